"""Big layers, and what is left after the process was killed."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.clients import Skopeo
from support.images import (
    MIB,
    Image,
    assert_layout_equals,
    random_bytes,
    sha256,
    write_image,
)
from support.server import Registry, Server, image_ids


@pytest.fixture(scope="module")
def big_image(module_scratch: Path) -> Image:
    """An image with a layer of 300 MiB that does not compress."""
    return write_image(module_scratch / "big", "big", layer_sizes=[300 * MIB, 1000])


def test_layer_of_300_mib(
    skopeo: Skopeo, registry: Registry, repository: str, big_image: Image, scratch: Path
) -> None:
    name = f"{registry.host}/{repository}:v1"
    assert skopeo.push(big_image.source, name) == big_image.digest
    skopeo.pull(name, scratch / "pulled")
    assert_layout_equals(big_image, scratch / "pulled")


@pytest.mark.own_server
def test_acknowledged_images_survive_kill(
    fresh_server: Server, scratch: Path, image: Image
) -> None:
    ecr = fresh_server.ecr()
    ecr.create_repository(repositoryName="before/empty")
    skopeo = Skopeo(scratch)
    skopeo.login(fresh_server.registry)
    assert skopeo.push(image.source, f"{fresh_server.registry.host}/app:v1") == image.digest
    ecr.close()

    fresh_server.kill()
    fresh_server.restart()

    registry = fresh_server.registry
    skopeo.login(registry)
    skopeo.pull(f"{registry.host}/app:v1", scratch / "pulled")
    assert_layout_equals(image, scratch / "pulled")
    assert registry.tags("app") == ["v1"]
    ecr = fresh_server.ecr()
    repositories = ecr.describe_repositories()["repositories"]
    assert {each["repositoryName"] for each in repositories} == {"app", "before/empty"}
    listed = ecr.list_images(repositoryName="app")["imageIds"]
    assert image_ids(listed) == {(image.digest, "v1")}
    ecr.close()
    assert skopeo.push(image.source, f"{registry.host}/app:v2") == image.digest


@pytest.mark.own_server
def test_push_cut_off_by_kill_can_be_repeated(
    fresh_server: Server, scratch: Path, image: Image
) -> None:
    content = b"".join(random_bytes("cut off", 8 * MIB))
    registry = fresh_server.registry
    skopeo = Skopeo(scratch)
    skopeo.login(registry)
    skopeo.push(image.source, f"{registry.host}/app:v1")

    location = registry.request("POST", "/v2/app/blobs/uploads/").headers["Location"]
    # The first half is acknowledged. Of the second, the server sees only a part.
    half = len(content) // 2
    answer = registry.request("PATCH", location, data=content[:half])
    assert answer.status_code == 202
    assert answer.headers["Range"] == f"0-{half - 1}"
    connection = http.client.HTTPConnection(registry.host)
    connection.putrequest("PATCH", urlsplit(answer.headers["Location"]).path)
    connection.putheader("Authorization", registry.authorization)
    connection.putheader("Content-Length", str(half))
    connection.endheaders()
    connection.send(content[half : half + MIB])

    fresh_server.kill()
    connection.close()
    fresh_server.restart()

    registry = fresh_server.registry
    registry.get(f"/v2/app/blobs/{sha256(content)}", status=404)
    registry.push_blob("app", content)
    assert registry.blob("app", sha256(content)) == content
    skopeo.login(registry)
    skopeo.pull(f"{registry.host}/app:v1", scratch / "pulled")
    assert_layout_equals(image, scratch / "pulled")

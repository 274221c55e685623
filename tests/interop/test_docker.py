"""Docker 20.10: chunked PATCHes without a Content-Type, resumes with Range, Docker media types."""

import json
from pathlib import Path

import pytest

from support.clients import Docker
from support.images import DOCKER_MANIFEST_LIST, Image, Index, sha256, write_docker_archive
from support.process import CommandFailed
from support.server import REFUSED, Registry
from support.wire import Recorder


@pytest.fixture
def loaded(docker: Docker, image: Image, scratch: Path) -> str:
    """The small image inside the engine, under a local name."""
    write_docker_archive(image, scratch / "image.tar", "loaded:v1")
    docker.docker("load", "--input", scratch / "image.tar")
    return "loaded:v1"


def push(docker: Docker, local: str, name: str) -> str:
    docker.docker("tag", local, name)
    docker.docker("push", name)
    return docker.digest(name)


def test_push_and_pull(
    docker: Docker, loaded: str, registry: Registry, repository: str, image: Image
) -> None:
    name = f"{registry.localhost}/{repository}:v1"
    digest = push(docker, loaded, name)
    manifest = registry.manifest(repository, "v1")
    assert sha256(manifest) == digest
    assert json.loads(manifest)["config"]["digest"] == image.config_digest

    docker.remove_everything()
    docker.docker("pull", name)
    pulled = docker.inspect(name)
    assert pulled["Id"] == image.config_digest
    assert pulled["RootFS"]["Layers"] == [layer.diff_id for layer in image.layers]
    assert docker.digest(name) == digest


def test_pull_by_digest(
    docker: Docker, loaded: str, registry: Registry, repository: str, image: Image
) -> None:
    name = f"{registry.localhost}/{repository}"
    digest = push(docker, loaded, f"{name}:v1")
    docker.remove_everything()
    docker.docker("pull", f"{name}@{digest}")
    assert docker.inspect(f"{name}@{digest}")["Id"] == image.config_digest


def test_second_push_of_the_same_image_succeeds(
    docker: Docker, loaded: str, registry: Registry, repository: str
) -> None:
    name = f"{registry.localhost}/{repository}:v1"
    digest = push(docker, loaded, name)
    docker.docker("push", name)
    assert docker.digest(name) == digest


def test_push_sends_everything_as_chunked_patches(
    docker: Docker,
    loaded: str,
    recorded: Registry,
    recorder: Recorder,
    repository: str,
    image: Image,
) -> None:
    docker.login(recorded)
    push(docker, loaded, f"{recorded.localhost}/{repository}:v1")

    patches = recorder.uploads("PATCH")
    assert len(patches) == len(image.layers) + 1
    assert all(patch.chunked and patch.status == 202 for patch in patches)
    assert {put.status for put in recorder.uploads("PUT")} == {201}
    recorder.assert_no_server_errors()


def test_manifest_list_of_two_architectures(
    docker: Docker, registry: Registry, repository: str, index: Index, scratch: Path
) -> None:
    name = f"{registry.localhost}/{repository}"
    digests = {}
    for image in index.images:
        architecture = image.platform["architecture"]
        write_docker_archive(image, scratch / f"{architecture}.tar", f"loaded:{architecture}")
        docker.docker("load", "--input", scratch / f"{architecture}.tar")
        digests[architecture] = push(docker, f"loaded:{architecture}", f"{name}:{architecture}")

    docker.docker(
        *("manifest", "create", "--insecure", f"{name}:multi"),
        *(f"{name}:{architecture}" for architecture in digests),
    )
    docker.docker("manifest", "push", "--insecure", f"{name}:multi")

    manifest_list = json.loads(registry.manifest(repository, "multi"))
    assert manifest_list["mediaType"] == DOCKER_MANIFEST_LIST
    listed = {
        entry["platform"]["architecture"]: entry["digest"] for entry in manifest_list["manifests"]
    }
    assert listed == digests

    docker.remove_everything()
    for image in index.images:
        docker.docker(
            "pull", "--platform", f"linux/{image.platform['architecture']}", f"{name}:multi"
        )
        assert docker.inspect(f"{name}:multi")["Id"] == image.config_digest


@pytest.mark.own_server
def test_login_with_a_wrong_password_is_refused(docker: Docker, registry: Registry) -> None:
    stranger = Registry(registry.host, registry.user, "not-the-password")
    with pytest.raises(CommandFailed, match=REFUSED):
        docker.login(stranger)
    # A refused login forgets the credentials that were good.
    docker.login(registry)

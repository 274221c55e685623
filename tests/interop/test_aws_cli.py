"""The `aws ecr` commands, by themselves and on what container clients pushed."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from support.clients import Skopeo
from support.images import OCI_MANIFEST, Image, sha256
from support.process import CommandFailed
from support.server import ACCOUNT, REGION, Managed, Registry, download, image_ids

pytestmark = pytest.mark.api


@pytest.fixture
def ecr(server: Managed) -> Callable[..., Any]:
    """Runs `aws ecr ...` and returns the JSON that it prints."""

    def call(*args: str) -> Any:
        printed = server.aws("ecr", *args)
        return json.loads(printed) if printed else None

    return call


def test_create_and_describe_a_repository(ecr: Callable[..., Any], repository: str) -> None:
    created = ecr("create-repository", "--repository-name", repository)["repository"]
    assert created["repositoryName"] == repository
    assert created["registryId"] == ACCOUNT
    assert created["repositoryArn"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}"
    assert created["repositoryUri"].endswith(f"/{repository}")
    assert created["imageTagMutability"] == "MUTABLE"
    assert created["imageScanningConfiguration"] == {"scanOnPush": False}
    assert created["encryptionConfiguration"] == {"encryptionType": "AES256"}

    described = ecr("describe-repositories", "--repository-names", repository)["repositories"]
    assert described == [created]

    with pytest.raises(CommandFailed, match="RepositoryAlreadyExistsException"):
        ecr("create-repository", "--repository-name", repository)


def test_repository_uri_can_be_pushed_to(
    ecr: Callable[..., Any], skopeo: Skopeo, server: Managed, repository: str, image: Image
) -> None:
    created = ecr("create-repository", "--repository-name", repository)["repository"]
    uri = created["repositoryUri"]
    # The address is the one that people type; log in there too.
    skopeo.login(Registry(uri.partition("/")[0], "AWS", server.registry.password))
    assert skopeo.push(image.source, f"{uri}:v1") == image.digest


def test_push_creates_the_repository(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    with pytest.raises(CommandFailed, match="RepositoryNotFoundException"):
        ecr("describe-repositories", "--repository-names", repository)
    skopeo.push(image.source, f"{registry.host}/{repository}:v1")
    (described,) = ecr("describe-repositories", "--repository-names", repository)["repositories"]
    assert described["repositoryName"] == repository


def test_repositories_are_paged(ecr: Callable[..., Any], repository: str) -> None:
    names = [f"{repository}/{number}" for number in range(5)]
    for name in names:
        ecr("create-repository", "--repository-name", name)

    # --max-items ends the first run in the middle and prints where to go on.
    everything = ecr("describe-repositories", "--page-size", "2")["repositories"]
    assert set(names) <= {each["repositoryName"] for each in everything}
    first = ecr("describe-repositories", "--page-size", "2", "--max-items", "3")
    rest = ecr("describe-repositories", "--starting-token", first["NextToken"])
    pages = [each["repositoryName"] for each in first["repositories"] + rest["repositories"]]
    assert len(first["repositories"]) == 3
    assert sorted(pages) == sorted(each["repositoryName"] for each in everything)


def test_login_password_is_the_authorization_token(
    ecr: Callable[..., Any], registry: Registry
) -> None:
    (data,) = ecr("get-authorization-token")["authorizationData"]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    assert user == "AWS"
    assert data["proxyEndpoint"].startswith("http")
    Registry(registry.host, user, password).get("/v2/")


def test_images_pushed_by_skopeo_are_listed_and_described(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    for tag in ("v1", "v2"):
        skopeo.push(image.source, f"{registry.host}/{repository}:{tag}")

    listed = ecr("list-images", "--repository-name", repository)["imageIds"]
    assert image_ids(listed) == {(image.digest, "v1"), (image.digest, "v2")}

    (detail,) = ecr("describe-images", "--repository-name", repository)["imageDetails"]
    assert detail["imageDigest"] == image.digest
    assert sorted(detail["imageTags"]) == ["v1", "v2"]
    assert detail["registryId"] == ACCOUNT
    assert detail["repositoryName"] == repository
    assert detail["imageManifestMediaType"] == OCI_MANIFEST
    layers = sum(layer.size for layer in image.layers)
    # Whether the configuration counts is not documented.
    assert detail["imageSizeInBytes"] in (layers, layers + len(image.config))


def test_images_are_paged(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    tags = [f"v{number}" for number in range(5)]
    for tag in tags:
        skopeo.push(image.source, f"{registry.host}/{repository}:{tag}")
    listed = ecr("list-images", "--repository-name", repository, "--page-size", "2")["imageIds"]
    assert sorted(each["imageTag"] for each in listed) == tags


def test_untagged_images_are_filtered(
    ecr: Callable[..., Any],
    skopeo: Skopeo,
    registry: Registry,
    repository: str,
    make_image: Callable[..., Image],
) -> None:
    old, new = make_image("untagged-old"), make_image("untagged-new")
    for each in (old, new):
        skopeo.push(each.source, f"{registry.host}/{repository}:v1")

    def listed(status: str) -> set[tuple[str, str | None]]:
        answer = ecr(
            "list-images", "--repository-name", repository, "--filter", f"tagStatus={status}"
        )
        return image_ids(answer["imageIds"])

    assert listed("UNTAGGED") == {(old.digest, None)}
    assert listed("TAGGED") == {(new.digest, "v1")}
    assert listed("ANY") == {(old.digest, None), (new.digest, "v1")}


def test_batch_get_image_returns_the_pushed_manifest(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    skopeo.push(image.source, f"{registry.host}/{repository}:v1")
    unknown = sha256(b"unknown")
    answer = ecr(
        *("batch-get-image", "--repository-name", repository, "--image-ids"),
        *("imageTag=v1", f"imageDigest={unknown}"),
    )
    (found,) = answer["images"]
    assert found["imageManifest"].encode() == image.manifest
    assert found["imageManifestMediaType"] == OCI_MANIFEST
    assert found["imageId"] == {"imageDigest": image.digest, "imageTag": "v1"}
    (failure,) = answer["failures"]
    assert failure["failureCode"] == "ImageNotFound"
    assert failure["imageId"] == {"imageDigest": unknown}


def test_download_url_for_layer_gives_the_bytes(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    skopeo.push(image.source, f"{registry.host}/{repository}:v1")
    digest = image.layers[0].digest
    answer = ecr(
        "get-download-url-for-layer", "--repository-name", repository, "--layer-digest", digest
    )
    assert answer["layerDigest"] == digest
    assert sha256(download(answer["downloadUrl"])) == digest


def test_batch_delete_of_the_last_tag_deletes_the_image(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    for tag in ("v1", "v2"):
        skopeo.push(image.source, f"{registry.host}/{repository}:{tag}")

    def delete(image_id: str) -> Any:
        return ecr("batch-delete-image", "--repository-name", repository, "--image-ids", image_id)

    assert delete("imageTag=v1")["failures"] == []
    assert registry.tags(repository) == ["v2"]
    registry.manifest(repository, image.digest)

    assert delete("imageTag=v2")["failures"] == []
    assert ecr("list-images", "--repository-name", repository)["imageIds"] == []
    registry.get(f"/v2/{repository}/manifests/{image.digest}", status=404)

    (failure,) = delete("imageTag=v2")["failures"]
    assert failure["failureCode"] == "ImageNotFound"


def test_batch_delete_by_digest_deletes_all_tags(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    for tag in ("v1", "v2"):
        skopeo.push(image.source, f"{registry.host}/{repository}:{tag}")
    answer = ecr(
        *("batch-delete-image", "--repository-name", repository),
        *("--image-ids", f"imageDigest={image.digest}"),
    )
    assert answer["failures"] == []
    assert {each["imageDigest"] for each in answer["imageIds"]} == {image.digest}
    assert ecr("list-images", "--repository-name", repository)["imageIds"] == []
    for tag in ("v1", "v2"):
        registry.get(f"/v2/{repository}/manifests/{tag}", status=404)


# The instances of a deployment may each believe for a while that it is there.
@pytest.mark.own_server
def test_repository_with_images_is_deleted_only_by_force(
    ecr: Callable[..., Any], skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    skopeo.push(image.source, f"{registry.host}/{repository}:v1")
    with pytest.raises(CommandFailed, match="RepositoryNotEmptyException"):
        ecr("delete-repository", "--repository-name", repository)
    registry.manifest(repository, "v1")

    deleted = ecr("delete-repository", "--repository-name", repository, "--force")["repository"]
    assert deleted["repositoryName"] == repository
    registry.get(f"/v2/{repository}/manifests/v1", status=404)
    with pytest.raises(CommandFailed, match="RepositoryNotFoundException"):
        ecr("describe-repositories", "--repository-names", repository)

    # The name is free again, and nothing of the old content shows through.
    skopeo.push(image.source, f"{registry.host}/{repository}:v2")
    assert registry.tags(repository) == ["v2"]


def test_describe_registry(ecr: Callable[..., Any]) -> None:
    answer = ecr("describe-registry")
    assert answer["registryId"] == ACCOUNT
    assert answer["replicationConfiguration"] == {"rules": []}

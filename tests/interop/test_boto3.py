"""The ECR API through boto3: layer uploads in parts, images, and its errors by class.

What one protocol writes the other reads: images put together here are pulled by
skopeo, and images that skopeo pushed are read here.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.clients import Skopeo
from support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    Image,
    Index,
    assert_layout_equals,
    random_bytes,
    sha256,
    write_image,
)
from support.server import ACCOUNT, REGION, Managed, Registry, download, image_ids

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def ecr(server: Managed) -> Iterable[Any]:
    client = server.ecr()
    yield client
    client.close()


@pytest.fixture
def created(ecr: Any, repository: str) -> str:
    """A repository that exists."""
    ecr.create_repository(repositoryName=repository)
    return repository


def upload_layer(ecr: Any, repository: str, content: bytes) -> str:
    """Uploads in parts of the size that the registry asks for."""
    started = ecr.initiate_layer_upload(repositoryName=repository)
    part_size = started["partSize"]
    for first in range(0, len(content), part_size):
        part = content[first : first + part_size]
        answer = ecr.upload_layer_part(
            repositoryName=repository,
            uploadId=started["uploadId"],
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
        assert answer["lastByteReceived"] == first + len(part) - 1
    digest = sha256(content)
    answer = ecr.complete_layer_upload(
        repositoryName=repository, uploadId=started["uploadId"], layerDigests=[digest]
    )
    assert answer["layerDigest"] == digest
    return digest


def upload_blobs(ecr: Any, repository: str, image: Image) -> None:
    for digest in image.blob_digests():
        upload_layer(ecr, repository, image.blob(digest).read_bytes())


def put_image(ecr: Any, repository: str, image: Image, tag: str | None = None) -> Any:
    tags = {} if tag is None else {"imageTag": tag}
    return ecr.put_image(repositoryName=repository, imageManifest=image.manifest.decode(), **tags)[
        "image"
    ]


def refused(code: str, call: Callable[..., Any], **arguments: Any) -> ClientError:
    """Makes a call that has to be refused with the given error class."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value
    assert error.response["Error"]["Code"] == code, error
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error


def test_image_made_of_uploaded_parts_is_pulled_by_skopeo(
    ecr: Any, skopeo: Skopeo, registry: Registry, created: str, scratch: Path
) -> None:
    part_size = ecr.initiate_layer_upload(repositoryName=created)["partSize"]
    # Two whole parts and a rest.
    image = write_image(scratch / "source", "parts", layer_sizes=[2 * part_size + 12_345, 1_000])
    upload_blobs(ecr, created, image)

    stored = put_image(ecr, created, image, "v1")
    assert stored["imageId"] == {"imageDigest": image.digest, "imageTag": "v1"}
    assert stored["imageManifest"].encode() == image.manifest
    assert stored["repositoryName"] == created
    assert stored["registryId"] == ACCOUNT

    name = f"{registry.host}/{created}:v1"
    skopeo.pull(name, scratch / "pulled")
    assert_layout_equals(image, scratch / "pulled")


def test_image_pushed_by_skopeo_is_read_by_the_api(
    ecr: Any, skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    skopeo.push(image.source, f"{registry.host}/{repository}:v1")

    answer = ecr.batch_get_image(
        repositoryName=repository,
        imageIds=[{"imageTag": "v1"}],
        acceptedMediaTypes=[OCI_MANIFEST],
    )
    assert answer["failures"] == []
    assert [each["imageManifest"].encode() for each in answer["images"]] == [image.manifest]

    for digest in image.blob_digests():
        url = ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=digest)
        assert sha256(download(url["downloadUrl"])) == digest


def test_index_put_by_the_api_is_pulled_by_skopeo(
    ecr: Any, skopeo: Skopeo, registry: Registry, created: str, index: Index, scratch: Path
) -> None:
    arguments = {
        "repositoryName": created,
        "imageManifest": index.manifest.decode(),
        "imageManifestMediaType": OCI_INDEX,
        "imageTag": "multi",
    }
    refused("ReferencedImagesNotFoundException", ecr.put_image, **arguments)
    for image in index.images:
        upload_blobs(ecr, created, image)
        put_image(ecr, created, image)
    assert ecr.put_image(**arguments)["image"]["imageId"]["imageDigest"] == index.digest

    skopeo.pull(f"{registry.host}/{created}:multi", scratch / "pulled", "--all")
    for image in index.images:
        assert_layout_equals(image, scratch / "pulled")


def test_layer_availability(ecr: Any, created: str) -> None:
    content = b"available" * 100
    unknown = sha256(b"unknown")
    digest = upload_layer(ecr, created, content)
    answer = ecr.batch_check_layer_availability(
        repositoryName=created, layerDigests=[digest, unknown]
    )
    available = {layer["layerDigest"]: layer for layer in answer["layers"]}
    assert available[digest]["layerAvailability"] == "AVAILABLE"
    assert available[digest]["layerSize"] == len(content)
    # Whether an unknown layer is a row or a failure is not documented.
    if unknown in available:
        assert available[unknown]["layerAvailability"] == "UNAVAILABLE"
    else:
        assert [(each["layerDigest"], each["failureCode"]) for each in answer["failures"]] == [
            (unknown, "MissingLayerDigest")
        ]


def test_paginators(ecr: Any, created: str, make_image: Callable[..., Image]) -> None:
    images = [make_image(f"paged-{number}", layer_sizes=[500]) for number in range(5)]
    for number, image in enumerate(images):
        upload_blobs(ecr, created, image)
        put_image(ecr, created, image, f"v{number}")
    expected = {(image.digest, f"v{number}") for number, image in enumerate(images)}
    paging = {"repositoryName": created, "PaginationConfig": {"PageSize": 2}}

    pages = list(ecr.get_paginator("list_images").paginate(**paging))
    assert [len(page["imageIds"]) for page in pages] == [2, 2, 1]
    assert image_ids([each for page in pages for each in page["imageIds"]]) == expected

    pages = list(ecr.get_paginator("describe_images").paginate(**paging))
    assert [len(page["imageDetails"]) for page in pages] == [2, 2, 1]
    details = [each for page in pages for each in page["imageDetails"]]
    assert {(each["imageDigest"], each["imageTags"][0]) for each in details} == expected


def test_unknown_repository(ecr: Any, repository: str, image: Image) -> None:
    message = (
        f"The repository with name '{repository}' does not exist "
        f"in the registry with id '{ACCOUNT}'"
    )
    calls = [
        (ecr.list_images, {}),
        (ecr.describe_images, {}),
        (ecr.delete_repository, {}),
        (ecr.initiate_layer_upload, {}),
        (ecr.put_image, {"imageManifest": image.manifest.decode()}),
        (ecr.batch_get_image, {"imageIds": [{"imageTag": "v1"}]}),
        (ecr.batch_delete_image, {"imageIds": [{"imageTag": "v1"}]}),
        (ecr.batch_check_layer_availability, {"layerDigests": [sha256(b"")]}),
        (ecr.get_download_url_for_layer, {"layerDigest": sha256(b"")}),
    ]
    for call, arguments in calls:
        error = refused("RepositoryNotFoundException", call, repositoryName=repository, **arguments)
        assert error.response["Error"]["Message"] == message
    error = refused(
        "RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=[repository]
    )
    assert error.response["Error"]["Message"] == message


def test_error_classes_of_boto3_are_raised(ecr: Any, repository: str) -> None:
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.list_images(repositoryName=repository)


def test_existing_repository(ecr: Any, created: str) -> None:
    error = refused(
        "RepositoryAlreadyExistsException", ecr.create_repository, repositoryName=created
    )
    assert error.response["Error"]["Message"] == (
        f"The repository with name '{created}' already exists in the registry with id '{ACCOUNT}'"
    )


# boto3 itself checks that a name has two characters, and nothing else.
@pytest.mark.parametrize("name", ["Upper", "a//b", "-a", "a/", "a..b", "a" * 257])
def test_invalid_repository_name(ecr: Any, name: str) -> None:
    refused("InvalidParameterException", ecr.create_repository, repositoryName=name)


def test_same_image_and_tag_again(ecr: Any, created: str, image: Image) -> None:
    upload_blobs(ecr, created, image)
    put_image(ecr, created, image, "v1")
    error = refused(
        "ImageAlreadyExistsException", put_image, ecr=ecr, repository=created, image=image, tag="v1"
    )
    assert error.response["Error"]["Message"] == (
        f"Image with digest '{image.digest}' and tag 'v1' already exists in the repository "
        f"with name '{created}' in registry with id '{ACCOUNT}'"
    )
    # A second tag on the same image is a different thing.
    put_image(ecr, created, image, "v2")


def test_missing_layers(ecr: Any, created: str, image: Image) -> None:
    upload_layer(ecr, created, image.config)
    error = refused(
        "LayersNotFoundException", put_image, ecr=ecr, repository=created, image=image, tag="v1"
    )
    for layer in image.layers:
        assert layer.digest in error.response["Error"]["Message"]
    assert ecr.list_images(repositoryName=created)["imageIds"] == []


def test_digest_that_does_not_match_the_manifest(ecr: Any, created: str, image: Image) -> None:
    upload_blobs(ecr, created, image)
    refused(
        "ImageDigestDoesNotMatchException",
        ecr.put_image,
        repositoryName=created,
        imageManifest=image.manifest.decode(),
        imageDigest=sha256(b"another"),
    )


@pytest.mark.parametrize("manifest", ["not json", "[]", "{}", '{"schemaVersion": 2}'])
def test_text_that_is_no_manifest(ecr: Any, created: str, manifest: str) -> None:
    refused(
        "InvalidParameterException", ecr.put_image, repositoryName=created, imageManifest=manifest
    )


def test_immutable_tag(
    ecr: Any,
    skopeo: Skopeo,
    registry: Registry,
    repository: str,
    make_image: Callable[..., Image],
) -> None:
    ecr.create_repository(repositoryName=repository, imageTagMutability="IMMUTABLE")
    first, second = make_image("immutable-first"), make_image("immutable-second")
    name = f"{registry.host}/{repository}:v1"
    skopeo.push(first.source, name)
    # What is there already may be pushed again; a different image may not take the tag.
    skopeo.push(first.source, name)
    with pytest.raises(AssertionError, match="immutable|TAG_INVALID|tag invalid"):
        skopeo.push(second.source, name)

    upload_blobs_if_missing(ecr, repository, second)
    error = refused(
        "ImageTagAlreadyExistsException",
        put_image,
        ecr=ecr,
        repository=repository,
        image=second,
        tag="v1",
    )
    assert error.response["Error"]["Message"] == (
        f"The image tag 'v1' already exists in the '{repository}' repository and cannot be "
        "overwritten because the repository is immutable."
    )
    assert registry.manifest(repository, "v1") == first.manifest


def upload_blobs_if_missing(ecr: Any, repository: str, image: Image) -> None:
    """A refused push has left its blobs in the registry, or it has not."""
    answer = ecr.batch_check_layer_availability(
        repositoryName=repository, layerDigests=image.blob_digests()
    )
    present = {
        layer["layerDigest"]
        for layer in answer["layers"]
        if layer["layerAvailability"] == "AVAILABLE"
    }
    for digest in set(image.blob_digests()) - present:
        upload_layer(ecr, repository, image.blob(digest).read_bytes())


def test_unknown_image(ecr: Any, created: str) -> None:
    digest = sha256(b"unknown")
    error = refused(
        "ImageNotFoundException",
        ecr.describe_images,
        repositoryName=created,
        imageIds=[{"imageDigest": digest}],
    )
    assert error.response["Error"]["Message"] == (
        f"The image with imageId {{imageDigest:'{digest}', imageTag:'null'}} does not exist within "
        f"the repository with name '{created}' in the registry with id '{ACCOUNT}'"
    )


def test_batch_calls_report_failures_one_by_one(ecr: Any, created: str) -> None:
    requested = [{"imageTag": "nothing"}, {"imageDigest": "no-digest"}, {}]
    for call in (ecr.batch_get_image, ecr.batch_delete_image):
        answer = call(repositoryName=created, imageIds=requested)
        codes = {failure["failureCode"] for failure in answer["failures"]}
        assert codes == {"ImageNotFound", "InvalidImageDigest", "MissingDigestAndTag"}


def test_child_of_an_index_is_not_deleted_before_the_index(
    ecr: Any, skopeo: Skopeo, registry: Registry, repository: str, index: Index
) -> None:
    skopeo.push(index.source, f"{registry.host}/{repository}:multi", "--all")
    child = {"imageDigest": index.images[0].digest}
    answer = ecr.batch_delete_image(repositoryName=repository, imageIds=[child])
    (failure,) = answer["failures"]
    assert failure["failureCode"] == "ImageReferencedByManifestList"

    parent = {"imageDigest": index.digest}
    assert ecr.batch_delete_image(repositoryName=repository, imageIds=[parent])["failures"] == []
    assert ecr.batch_delete_image(repositoryName=repository, imageIds=[child])["failures"] == []


def test_layer_with_a_wrong_digest(ecr: Any, created: str) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=created)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=created,
        uploadId=upload,
        partFirstByte=0,
        partLastByte=4,
        layerPartBlob=b"hello",
    )
    refused(
        "InvalidLayerException",
        ecr.complete_layer_upload,
        repositoryName=created,
        uploadId=upload,
        layerDigests=[sha256(b"other")],
    )


def test_layer_that_exists_already(ecr: Any, created: str) -> None:
    upload_layer(ecr, created, b"twice" * 50)
    refused(
        "LayerAlreadyExistsException",
        upload_layer,
        ecr=ecr,
        repository=created,
        content=b"twice" * 50,
    )


def test_upload_without_parts(ecr: Any, created: str) -> None:
    upload = ecr.initiate_layer_upload(repositoryName=created)["uploadId"]
    refused(
        "EmptyUploadException",
        ecr.complete_layer_upload,
        repositoryName=created,
        uploadId=upload,
        layerDigests=[sha256(b"")],
    )


def test_unknown_upload(ecr: Any, created: str) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    refused(
        "UploadNotFoundException",
        ecr.upload_layer_part,
        repositoryName=created,
        uploadId=unknown,
        partFirstByte=0,
        partLastByte=0,
        layerPartBlob=b"x",
    )
    refused(
        "UploadNotFoundException",
        ecr.complete_layer_upload,
        repositoryName=created,
        uploadId=unknown,
        layerDigests=[sha256(b"x")],
    )


def test_parts_with_a_gap(ecr: Any, created: str) -> None:
    started = ecr.initiate_layer_upload(repositoryName=created)
    size = started["partSize"]
    part = b"".join(random_bytes("gap", size))
    common = {"repositoryName": created, "uploadId": started["uploadId"]}
    ecr.upload_layer_part(**common, partFirstByte=0, partLastByte=size - 1, layerPartBlob=part)
    error = refused(
        "InvalidLayerPartException",
        ecr.upload_layer_part,
        **common,
        partFirstByte=size + 1,
        partLastByte=2 * size,
        layerPartBlob=part,
    )
    assert error.response["lastValidByteReceived"] == size - 1
    assert error.response["uploadId"] == started["uploadId"]


def test_wrong_secret_key(server: Managed) -> None:
    stranger = server.ecr(secret_key="not-the-secret-key")
    try:
        refused("InvalidSignatureException", stranger.describe_repositories)
    finally:
        stranger.close()


def test_token_of_the_api_opens_the_registry(ecr: Any, server: Managed) -> None:
    (data,) = ecr.get_authorization_token()["authorizationData"]
    answer = Registry(server.registry.host, "", "").request(
        "GET", "/v2/", headers={"Authorization": f"Basic {data['authorizationToken']}"}
    )
    assert answer.status_code == 200
    assert ecr.meta.region_name == REGION

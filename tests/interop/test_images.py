"""The archive, referrers, formats and pull times of images, through skopeo and the aws command."""

import json
from typing import Any

import pytest

from support.clients import Skopeo
from support.images import OCI_MANIFEST, Image, write_image
from support.process import CommandFailed, wait_for
from support.server import ACCOUNT, Managed, Registry

pytestmark = pytest.mark.api

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def aws(server: Managed, *args: str) -> Any:
    printed = server.aws("ecr", *args)
    return json.loads(printed) if printed else None


@pytest.fixture
def pushed(skopeo: Skopeo, registry: Registry, repository: str, scratch: Any) -> Image:
    image = write_image(scratch / "image", repository)
    skopeo.push(image.source, f"{registry.host}/{repository}:v1")
    return image


def status(server: Managed, repository: str) -> Any:
    (image,) = aws(server, "describe-images", "--repository-name", repository, "--filter", "imageStatus=ANY")[
        "imageDetails"
    ]
    return image


def test_an_image_goes_into_the_archive_and_comes_back(
    server: Managed, skopeo: Skopeo, registry: Registry, repository: str, pushed: Image, scratch: Any
) -> None:
    def move(target: str) -> Any:
        return aws(
            server,
            "update-image-storage-class",
            "--repository-name",
            repository,
            "--image-id",
            "imageTag=v1",
            "--target-storage-class",
            target,
        )

    moved = move("ARCHIVE")
    assert (moved["imageStatus"], moved["imageId"]["imageDigest"]) == ("ARCHIVED", pushed.digest)
    with pytest.raises(CommandFailed, match="(?i)manifest unknown|not found"):
        skopeo.pull(f"{registry.host}/{repository}:v1", scratch / "refused")
    assert aws(server, "list-images", "--repository-name", repository)["imageIds"] == []
    described = status(server, repository)
    assert described["imageStatus"] == "ARCHIVED"
    assert described["lastArchivedAt"]

    assert move("STANDARD")["imageStatus"] == "ACTIVE"
    skopeo.pull(f"{registry.host}/{repository}:v1", scratch / "pulled")
    described = status(server, repository)
    assert described["imageStatus"] == "ACTIVE"
    assert described["lastActivatedAt"]


def test_referrers_are_listed(server: Managed, repository: str, pushed: Image) -> None:
    client = server.ecr()
    subject = {"mediaType": OCI_MANIFEST, "digest": pushed.digest, "size": len(pushed.manifest)}
    config = json.loads(pushed.manifest)["config"]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example.sbom",
        "config": config,
        "layers": [],
        "subject": subject,
    }
    made = client.put_image(repositoryName=repository, imageManifest=json.dumps(manifest))["image"]
    client.close()
    found = aws(
        server,
        "list-image-referrers",
        "--repository-name",
        repository,
        "--subject-id",
        f"imageDigest={pushed.digest}",
        "--filter",
        "artifactTypes=application/vnd.example.sbom",
    )["referrers"]
    (referrer,) = found
    assert referrer["digest"] == made["imageId"]["imageDigest"]
    assert referrer["artifactType"] == "application/vnd.example.sbom"


def test_an_image_is_given_in_the_format_that_is_accepted(server: Managed, repository: str, pushed: Image) -> None:
    def get(image_id: str) -> Any:
        got = aws(
            server,
            "batch-get-image",
            "--repository-name",
            repository,
            "--image-ids",
            image_id,
            "--accepted-media-types",
            DOCKER,
        )
        (image,) = got["images"]
        return image

    converted = get("imageTag=v1")
    assert converted["imageManifestMediaType"] == DOCKER
    given, stored = json.loads(converted["imageManifest"]), json.loads(pushed.manifest)
    assert given["mediaType"] == DOCKER
    assert [layer["digest"] for layer in given["layers"]] == [layer["digest"] for layer in stored["layers"]]
    # By digest it is what the digest says.
    assert get(f"imageDigest={pushed.digest}")["imageManifest"].encode() == pushed.manifest


# A deployment learns of a pull by a log that is brought to a function.
@pytest.mark.own_server
def test_the_time_of_a_pull_and_who_is_excluded(
    server: Managed, skopeo: Skopeo, registry: Registry, repository: str, pushed: Image, scratch: Any
) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/scanner"
    assert aws(server, "register-pull-time-update-exclusion", "--principal-arn", role)["principalArn"] == role
    assert role in aws(server, "list-pull-time-update-exclusions")["pullTimeUpdateExclusions"]
    aws(server, "deregister-pull-time-update-exclusion", "--principal-arn", role)
    assert role not in aws(server, "list-pull-time-update-exclusions")["pullTimeUpdateExclusions"]

    assert "lastRecordedPullTime" not in status(server, repository)
    skopeo.pull(f"{registry.host}/{repository}:v1", scratch / "pulled")
    wait_for(lambda: "lastRecordedPullTime" in status(server, repository), "the time of the pull")

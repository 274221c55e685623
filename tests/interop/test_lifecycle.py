"""Lifecycle policies with the stock clients: the commands, the waiter and the paginator."""

import json
from typing import Any

import pytest

from support.clients import Skopeo
from support.images import Image, write_image
from support.process import CommandFailed
from support.server import Managed, Registry

pytestmark = pytest.mark.api


def policy(count: int) -> str:
    rule = {
        "rulePriority": 1,
        "description": "keep the newest",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["v*"],
            "countType": "imageCountMoreThan",
            "countNumber": count,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]})


@pytest.fixture
def pushed(
    skopeo: Skopeo, registry: Registry, repository: str, scratch: Any
) -> list[Image]:
    images = [write_image(scratch / f"image-{number}", f"lifecycle {number}") for number in range(4)]
    for number, image in enumerate(images):
        skopeo.push(image.source, f"{registry.host}/{repository}:v{number}")
    return images


def test_commands_waiter_and_paginator(
    server: Managed, repository: str, pushed: list[Image]
) -> None:
    def aws(*args: str) -> Any:
        printed = server.aws("ecr", *args)
        return json.loads(printed) if printed else None

    name = ("--repository-name", repository)
    with pytest.raises(CommandFailed, match="LifecyclePolicyPreviewNotFoundException"):
        aws("get-lifecycle-policy-preview", *name)
    started = aws("start-lifecycle-policy-preview", *name, "--lifecycle-policy-text", policy(1))
    assert started["status"] == "IN_PROGRESS"
    server.aws("ecr", "wait", "lifecycle-policy-preview-complete", *name)
    found = aws("get-lifecycle-policy-preview", *name)
    assert found["status"] == "COMPLETE"
    assert found["summary"] == {"expiringImageTotalCount": 3}
    expected = [image.digest for image in pushed[:3]]
    assert [each["imageDigest"] for each in found["previewResults"]] == expected

    client = server.ecr()
    pages = client.get_paginator("get_lifecycle_policy_preview").paginate(
        repositoryName=repository, PaginationConfig={"PageSize": 2}
    )
    listed = [[each["imageDigest"] for each in page["previewResults"]] for page in pages]
    assert listed == [expected[:2], expected[2:]]
    client.close()

    text = policy(100)
    assert aws("put-lifecycle-policy", *name, "--lifecycle-policy-text", text)[
        "lifecyclePolicyText"
    ] == text
    assert aws("get-lifecycle-policy", *name)["lifecyclePolicyText"] == text
    assert aws("delete-lifecycle-policy", *name)["lifecyclePolicyText"] == text
    with pytest.raises(CommandFailed, match="LifecyclePolicyNotFoundException"):
        aws("get-lifecycle-policy", *name)
    refused = json.dumps({"rules": [], "padding": "x" * 100})
    with pytest.raises(CommandFailed, match="Lifecycle policy validation failure"):
        aws("put-lifecycle-policy", *name, "--lifecycle-policy-text", refused)

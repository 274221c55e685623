"""Settings, tags, templates and account settings through the aws command and boto3."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from support.server import ACCOUNT, REGION, Managed

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def ecr(server: Managed) -> Iterable[Any]:
    client = server.ecr()
    yield client
    client.close()


def aws(server: Managed, *args: str) -> Any:
    printed = server.aws("ecr", *args)
    return json.loads(printed) if printed else None


def test_tag_mutability(server: Managed, ecr: Any, repository: str) -> None:
    ecr.create_repository(repositoryName=repository)
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    changed = aws(
        server,
        "put-image-tag-mutability",
        "--repository-name",
        repository,
        "--image-tag-mutability",
        "IMMUTABLE_WITH_EXCLUSION",
        "--image-tag-mutability-exclusion-filters",
        "filterType=WILDCARD,filter=dev-*",
    )
    assert changed["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert described["imageTagMutabilityExclusionFilters"] == filters
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="filters cannot be used with MUTABLE"):
        ecr.put_image_tag_mutability(
            repositoryName=repository,
            imageTagMutability="MUTABLE",
            imageTagMutabilityExclusionFilters=filters,
        )


def test_scan_on_push(server: Managed, ecr: Any, repository: str) -> None:
    ecr.create_repository(repositoryName=repository)
    aws(
        server,
        "put-image-scanning-configuration",
        "--repository-name",
        repository,
        "--image-scanning-configuration",
        "scanOnPush=true",
    )
    described = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    assert described["imageScanningConfiguration"] == {"scanOnPush": True}


def test_resource_tags(server: Managed, ecr: Any, repository: str) -> None:
    arn = ecr.create_repository(repositoryName=repository)["repository"]["repositoryArn"]
    aws(server, "tag-resource", "--resource-arn", arn, "--tags", "Key=team,Value=core", "Key=stage,Value=test")
    aws(server, "untag-resource", "--resource-arn", arn, "--tag-keys", "stage")
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "team", "Value": "core"}]
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    with pytest.raises(ecr.exceptions.TooManyTagsException):
        ecr.tag_resource(resourceArn=arn, tags=many)
    with pytest.raises(ecr.exceptions.InvalidTagParameterException):
        ecr.tag_resource(resourceArn=arn, tags=[{"Key": "aws:x", "Value": ""}])
    nothing = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{repository}-not"
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.list_tags_for_resource(resourceArn=nothing)


def test_account_settings(server: Managed, ecr: Any) -> None:
    name = "BLOB_MOUNTING"
    assert aws(server, "get-account-setting", "--name", name) == {"name": name, "value": "ENABLED"}
    for value in ("DISABLED", "ENABLED"):
        aws(server, "put-account-setting", "--name", name, "--value", value)
        assert ecr.get_account_setting(name=name)["value"] == value
    with pytest.raises(ecr.exceptions.InvalidParameterException, match="CLAIR"):
        ecr.put_account_setting(name="BASIC_SCAN_TYPE_VERSION", value="CLAIR")


def test_creation_templates(server: Managed, ecr: Any) -> None:
    created = aws(
        server,
        "create-repository-creation-template",
        "--prefix",
        "prod",
        "--applied-for",
        "CREATE_ON_PUSH",
        "REPLICATION",
        "--resource-tags",
        "Key=stage,Value=prod",
        "--image-tag-mutability",
        "IMMUTABLE",
    )["repositoryCreationTemplate"]
    assert created["appliedFor"] == ["CREATE_ON_PUSH", "REPLICATION"]
    with pytest.raises(ecr.exceptions.TemplateAlreadyExistsException):
        ecr.create_repository_creation_template(prefix="prod", appliedFor=["REPLICATION"])
    ecr.update_repository_creation_template(prefix="prod", description="live")
    pages = ecr.get_paginator("describe_repository_creation_templates").paginate(PaginationConfig={"PageSize": 1})
    found = {template["prefix"]: template for page in pages for template in page["repositoryCreationTemplates"]}
    assert found.keys() == {"ROOT", "prod"}
    assert found["prod"]["description"] == "live"
    assert found["prod"]["resourceTags"] == [{"Key": "stage", "Value": "prod"}]
    aws(server, "delete-repository-creation-template", "--prefix", "prod")
    with pytest.raises(ecr.exceptions.TemplateNotFoundException):
        ecr.delete_repository_creation_template(prefix="prod")

"""The calls that Terraform's provider makes, in its order, and those of CloudFormation and CDK.

The provider itself is not run: it is on no package registry, and building it takes
hours. Each class below does what the provider's resource of that name does: which
calls, with which members, which errors it takes for "is gone", and how it compares
what it has read with what was asked for. A plan after an apply has to be empty.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from support.images import OCI_MANIFEST, sha256
from support.server import ACCOUNT, REGION, Managed

pytestmark = pytest.mark.api

CONFIG = b"{}"

class Account:
    """Who applies, and to which registry."""

    def __init__(self, server: Managed):
        self.ecr = server.ecr()


@pytest.fixture(scope="module")
def account(server: Managed) -> Iterator[Account]:
    account = Account(server)
    yield account
    account.ecr.close()


def gone(codes: tuple[str, ...], call: Callable[..., Any], **arguments: Any) -> Any:
    """The answer of a call, or None if the error is one that the provider takes for "is gone"."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in codes:
            return None
        raise


def normalized(text: str) -> str:
    """JSON as the provider sends it: without white space, with sorted keys."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) if text else ""


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def same_policy(first: str, second: str) -> bool:
    """Whether two policies mean the same: order, single values and forms of an account are nothing."""

    def principal(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: sorted(map(whole, as_list(each))) for key, each in value.items()}
        return value

    def whole(name: str) -> str:
        return f"arn:aws:iam::{name}:root" if name.isdigit() else name

    def statement(value: dict[str, Any]) -> str:
        comparable = {
            key: principal(each)
            if "Principal" in key
            else sorted(as_list(each))
            if "Action" in key or "Resource" in key
            else each
            for key, each in value.items()
        }
        return json.dumps(comparable, sort_keys=True)

    def policy(text: str) -> tuple[Any, list[str]]:
        document = json.loads(text or "{}")
        return document.get("Version"), sorted(map(statement, as_list(document.get("Statement", []))))

    return policy(first) == policy(second)


def same_lifecycle_policy(first: str, second: str) -> bool:
    """Whether two lifecycle policies mean the same: rules by priority, tags in any order."""

    def reduced(text: str) -> list[Any]:
        rules = sorted(json.loads(text or "{}").get("rules", []), key=lambda rule: rule["rulePriority"])
        for rule in rules:
            selection = rule["selection"]
            for name in ("tagPatternList", "tagPrefixList"):
                if selection.get(name):
                    selection[name].sort()
                else:
                    selection.pop(name, None)
        return rules

    return reduced(first) == reduced(second)


def differing(config: dict[str, Any], state: dict[str, Any], same: dict[str, Callable] | None = None) -> list[str]:
    """A plan: the attributes of a configuration that its resource does not have."""
    equal = same or {}
    return [
        name
        for name, value in config.items()
        if not equal.get(name, lambda first, second: first == second)(value, state[name])
    ]


class RepositoryResource:
    """`aws_ecr_repository`."""

    # A block that is not in the configuration is no difference, whatever there is.
    DEFAULTS: dict[str, Any] = {"image_tag_mutability": "MUTABLE", "exclusion_filters": [], "tags": {}}

    def __init__(self, account: Account):
        self.account, self.ecr = account, account.ecr
        self.state: dict[str, Any] | None = None

    def create(self, config: dict[str, Any]) -> None:
        config = self.DEFAULTS | config
        arguments: dict[str, Any] = {
            "repositoryName": config["name"],
            "imageTagMutability": config["image_tag_mutability"],
        }
        if "encryption_configuration" in config:
            block = config["encryption_configuration"]
            arguments["encryptionConfiguration"] = {"encryptionType": block["encryption_type"]}
            if block.get("kms_key"):
                arguments["encryptionConfiguration"]["kmsKey"] = block["kms_key"]
        if config["exclusion_filters"]:
            arguments["imageTagMutabilityExclusionFilters"] = self._filters(config)
        if "scan_on_push" in config:
            arguments["imageScanningConfiguration"] = {"scanOnPush": config["scan_on_push"]}
        if config["tags"]:
            arguments["tags"] = [{"Key": key, "Value": value} for key, value in config["tags"].items()]
        self.ecr.create_repository(**arguments)
        self.read(config["name"])
        assert self.state is not None, "it is not there right after it was made"

    @staticmethod
    def _filters(config: dict[str, Any]) -> list[dict[str, str]]:
        return [{"filter": each, "filterType": "WILDCARD"} for each in config["exclusion_filters"]]

    def read(self, name: str) -> None:
        found = gone(("RepositoryNotFoundException",), self.ecr.describe_repositories, repositoryNames=[name])
        if found is None:
            self.state = None
            return
        (repository,) = found["repositories"]
        filters = repository.get("imageTagMutabilityExclusionFilters", [])
        encryption = repository["encryptionConfiguration"]
        self.state = {
            "arn": repository["repositoryArn"],
            "name": repository["repositoryName"],
            "registry_id": repository["registryId"],
            "repository_url": repository["repositoryUri"],
            "image_tag_mutability": repository["imageTagMutability"],
            "exclusion_filters": [each["filter"] for each in filters],
            "scan_on_push": repository["imageScanningConfiguration"]["scanOnPush"],
            "encryption_configuration": {
                "encryption_type": encryption["encryptionType"],
                "kms_key": encryption.get("kmsKey", ""),
            },
        }
        tags = self.ecr.list_tags_for_resource(resourceArn=self.state["arn"])["tags"]
        self.state["tags"] = {tag["Key"]: tag["Value"] for tag in tags}

    def plan(self, config: dict[str, Any]) -> list[str]:
        self.read(config["name"])
        assert self.state is not None
        config = self.DEFAULTS | config
        if "tags" not in self.state:
            config.pop("tags")

        def same_encryption(wanted: dict[str, str], there: dict[str, str]) -> bool:
            # The key is the service's to choose where none is given.
            return differing({name: value for name, value in wanted.items() if value}, there) == []

        return differing(config, self.state, {"encryption_configuration": same_encryption})

    def update(self, config: dict[str, Any]) -> None:
        old, config = dict(self.state or {}), self.DEFAULTS | config
        where = {"repositoryName": old["name"], "registryId": old["registry_id"]}
        changed = set(differing({name: config[name] for name in config if name in old}, old))
        if changed & {"image_tag_mutability", "exclusion_filters"}:
            arguments = where | {"imageTagMutability": config["image_tag_mutability"]}
            if config["exclusion_filters"]:
                arguments["imageTagMutabilityExclusionFilters"] = self._filters(config)
            self.ecr.put_image_tag_mutability(**arguments)
        if "scan_on_push" in changed:
            scanning = {"scanOnPush": config["scan_on_push"]}
            self.ecr.put_image_scanning_configuration(**where, imageScanningConfiguration=scanning)
        if "tags" in changed:
            removed = [key for key in old["tags"] if key not in config["tags"]]
            if removed:
                self.ecr.untag_resource(resourceArn=old["arn"], tagKeys=removed)
            set_to = {key: value for key, value in config["tags"].items() if old["tags"].get(key) != value}
            if set_to:
                tags = [{"Key": key, "Value": value} for key, value in set_to.items()]
                self.ecr.tag_resource(resourceArn=old["arn"], tags=tags)
        self.read(old["name"])

    def delete(self, *, force: bool = False) -> None:
        state = self.state or {}
        where = {"repositoryName": state["name"], "registryId": state["registry_id"]}
        if gone(("RepositoryNotFoundException",), self.ecr.delete_repository, **where, force=force) is None:
            return
        # It asks until the repository is gone; here the first answer has to say so.
        self.read(state["name"])
        assert self.state is None, "it is there after it was deleted"
        self.state = state


REPOSITORY_CONFIGS = {
    "as little as possible": {"name": "tf/little"},
    "defaults, spelled out": {
        "name": "tf/defaults",
        "image_tag_mutability": "MUTABLE",
        "scan_on_push": False,
        "encryption_configuration": {"encryption_type": "AES256"},
    },
    "everything": {
        "name": "tf/everything",
        "image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION",
        # A list: it has to come back in this order.
        "exclusion_filters": ["zeta*", "alpha-*", "*-mid-*"],
        "scan_on_push": True,
        "encryption_configuration": {"encryption_type": "AES256"},
        "tags": {"Name": "everything", "Cost Center": "12 = 12", "empty": ""},
    },
}


@pytest.mark.parametrize("config", list(REPOSITORY_CONFIGS.values()), ids=list(REPOSITORY_CONFIGS))
def test_repository(account: Account, config: dict[str, Any]) -> None:
    resource = RepositoryResource(account)
    resource.create(config)
    assert resource.state["arn"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{config['name']}"
    assert resource.state["repository_url"].endswith(f"/{config['name']}")
    assert resource.plan(config) == [], "a second plan is not empty"

    with pytest.raises(ClientError, match="RepositoryAlreadyExistsException"):
        RepositoryResource(account).create(config)
    assert resource.plan(config) == [], "a refused creation has changed something"

    resource.delete()
    resource.delete()
    resource.read(config["name"])
    assert resource.state is None


def test_repository_with_a_key(account: Account) -> None:
    resource = RepositoryResource(account)
    config = {"name": "tf/kms", "encryption_configuration": {"encryption_type": "KMS"}}
    resource.create(config)
    # The service names the key that it has chosen.
    assert resource.state["encryption_configuration"]["kms_key"].startswith("arn:aws:kms:")
    assert resource.plan(config) == []
    resource.delete()


def test_mutability_of_a_repository_is_updated(account: Account) -> None:
    resource = RepositoryResource(account)
    config: dict[str, Any] = {"name": "tf/mutability"}
    resource.create(config)
    changes = [
        {"image_tag_mutability": "IMMUTABLE"},
        {"image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION", "exclusion_filters": ["dev-*", "a*"]},
        {"image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION", "exclusion_filters": ["a*"]},
        {"image_tag_mutability": "MUTABLE_WITH_EXCLUSION", "exclusion_filters": ["v*"]},
        {"image_tag_mutability": "MUTABLE"},
    ]
    for change in changes:
        assert "image_tag_mutability" in resource.plan(config | change) or "exclusion_filters" in change
        resource.update(config | change)
        assert resource.plan(config | change) == []
    resource.delete()


def test_scanning_of_a_repository_is_updated(account: Account) -> None:
    resource = RepositoryResource(account)
    config: dict[str, Any] = {"name": "tf/scanning", "scan_on_push": False}
    resource.create(config)
    for value in (True, False):
        resource.update(config | {"scan_on_push": value})
        assert resource.plan(config | {"scan_on_push": value}) == []
    resource.delete()


def test_tags_of_a_repository_are_updated(account: Account) -> None:
    resource = RepositoryResource(account)
    config: dict[str, Any] = {"name": "tf/tags", "tags": {"stays": "1", "changes": "1", "goes": "1"}}
    resource.create(config)
    for tags in ({"stays": "1", "changes": "2", "comes": ""}, {}, {"back": "again"}):
        resource.update(config | {"tags": tags})
        assert resource.plan(config | {"tags": tags}) == []
    resource.delete()
    # Of a repository that is gone the provider wants to hear that it is gone.
    with pytest.raises(account.ecr.exceptions.RepositoryNotFoundException):
        account.ecr.list_tags_for_resource(resourceArn=resource.state["arn"])


def test_repository_with_images(account: Account) -> None:
    resource = RepositoryResource(account)
    resource.create({"name": "tf/full"})
    push(account, "tf/full", "latest")
    with pytest.raises(account.ecr.exceptions.RepositoryNotEmptyException):
        resource.delete()
    resource.delete(force=True)


def push(account: Account, repository: str, tag: str) -> str:
    """An image without layers; its digest."""
    upload = account.ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    where = {"repositoryName": repository, "uploadId": upload}
    last = len(CONFIG) - 1
    account.ecr.upload_layer_part(**where, partFirstByte=0, partLastByte=last, layerPartBlob=CONFIG)
    account.ecr.complete_layer_upload(**where, layerDigests=[sha256(CONFIG)])
    config = {"digest": sha256(CONFIG), "size": len(CONFIG)}
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    put = account.ecr.put_image(repositoryName=repository, imageManifest=json.dumps(document), imageTag=tag)
    return put["image"]["imageId"]["imageDigest"]


REPOSITORY_POLICY = {
    "Version": "2008-10-17",
    "Statement": [
        {
            "Sid": "pull",
            "Effect": "Allow",
            "Principal": {"AWS": ["111111111111", "arn:aws:iam::222222222222:root"]},
            "Action": ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
        },
        {"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "ecr:DescribeImages"},
    ],
}


def test_repository_policy(account: Account) -> None:
    ecr, name = account.ecr, "tf/policy"
    not_there = ("RepositoryNotFoundException", "RepositoryPolicyNotFoundException")
    ecr.create_repository(repositoryName=name)

    def read() -> str | None:
        found = gone(not_there, ecr.get_repository_policy, repositoryName=name)
        if found is None:
            return None
        assert (found["registryId"], found["repositoryName"]) == (ACCOUNT, name)
        return found["policyText"]

    assert read() is None
    other = json.loads(json.dumps(REPOSITORY_POLICY))
    other["Statement"] = other["Statement"][:1]
    for document in (REPOSITORY_POLICY, other):
        # The configuration is indented; what is sent is not.
        text = json.dumps(document, indent=2)
        ecr.set_repository_policy(repositoryName=name, policyText=normalized(text))
        assert same_policy(text, read()), "a second plan is not empty"
    delete = {"registryId": ACCOUNT, "repositoryName": name}
    assert same_policy(text, gone(not_there, ecr.delete_repository_policy, **delete)["policyText"])
    assert read() is None
    assert gone(not_there, ecr.delete_repository_policy, **delete) is None
    ecr.delete_repository(repositoryName=name)
    assert read() is None
    assert gone(not_there, ecr.delete_repository_policy, **delete) is None


def test_registry_policy(account: Account) -> None:
    ecr = account.ecr
    not_there = ("RegistryPolicyNotFoundException",)

    def read() -> str | None:
        found = gone(not_there, ecr.get_registry_policy)
        return found and found["policyText"]

    def policy(*actions: str) -> str:
        statement = {
            "Sid": "replication",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
            "Action": list(actions),
            "Resource": [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/*"],
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)

    assert read() is None
    for text in (policy("ecr:ReplicateImage"), policy("ecr:ReplicateImage", "ecr:CreateRepository")):
        put = ecr.put_registry_policy(policyText=normalized(text))
        assert put["registryId"] == ACCOUNT
        assert same_policy(text, read()), "a second plan is not empty"
    assert gone(not_there, ecr.delete_registry_policy) is not None
    assert read() is None
    assert gone(not_there, ecr.delete_registry_policy) is None


def lifecycle_policy(count: int) -> str:
    rules = [
        {
            # Not in the order of their priority, nor the tags in that of the alphabet.
            "rulePriority": 2,
            "description": "Keep the last images",
            "selection": {
                "tagStatus": "tagged",
                "tagPrefixList": ["v", "release-", "a"],
                "countType": "imageCountMoreThan",
                "countNumber": count,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": {"type": "expire"},
        },
    ]
    return json.dumps({"rules": rules}, indent=2)


def test_lifecycle_policy(account: Account) -> None:
    ecr, name = account.ecr, "tf/lifecycle"
    not_there = ("RepositoryNotFoundException", "LifecyclePolicyNotFoundException")
    ecr.create_repository(repositoryName=name)

    def read() -> str | None:
        found = gone(not_there, ecr.get_lifecycle_policy, repositoryName=name)
        if found is None:
            return None
        assert (found["registryId"], found["repositoryName"]) == (ACCOUNT, name)
        return found["lifecyclePolicyText"]

    assert read() is None
    # A change makes the resource anew: it is deleted before.
    for count in (30, 31):
        text = lifecycle_policy(count)
        put = ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=normalized(text))
        assert (put["registryId"], put["repositoryName"]) == (ACCOUNT, name)
        assert same_lifecycle_policy(text, read()), "a second plan is not empty"
        assert gone(not_there, ecr.delete_lifecycle_policy, repositoryName=name) is not None
        assert read() is None
    assert gone(not_there, ecr.delete_lifecycle_policy, repositoryName=name) is None
    ecr.delete_repository(repositoryName=name)
    assert read() is None
    assert gone(not_there, ecr.delete_lifecycle_policy, repositoryName=name) is None


class TemplateResource:
    """`aws_ecr_repository_creation_template`."""

    MEMBERS = {
        "applied_for": "appliedFor",
        "custom_role_arn": "customRoleArn",
        "description": "description",
        "encryption_configuration": "encryptionConfiguration",
        "image_tag_mutability": "imageTagMutability",
        "exclusion_filters": "imageTagMutabilityExclusionFilters",
        "lifecycle_policy": "lifecyclePolicy",
        "repository_policy": "repositoryPolicy",
        "resource_tags": "resourceTags",
    }
    SAME: dict[str, Callable[[Any, Any], bool]] = {
        "applied_for": lambda first, second: set(first) == set(second),
        "lifecycle_policy": same_lifecycle_policy,
        "repository_policy": same_policy,
        "resource_tags": lambda first, second: sorted(map(str, first)) == sorted(map(str, second)),
        "encryption_configuration": lambda first, second: differing(first, second) == [],
    }

    def __init__(self, account: Account):
        self.ecr = account.ecr
        self.state: dict[str, Any] | None = None

    def create(self, config: dict[str, Any]) -> None:
        given = {"imageTagMutability": "MUTABLE", "prefix": config["prefix"]}
        given |= {self.MEMBERS[name]: value for name, value in config.items() if name != "prefix"}
        made = self.ecr.create_repository_creation_template(**given)
        assert made["registryId"] == ACCOUNT
        self.read(made["repositoryCreationTemplate"]["prefix"])
        assert self.state is not None

    def read(self, prefix: str) -> None:
        pages = self.ecr.get_paginator("describe_repository_creation_templates").paginate(prefixes=[prefix])
        found = [each for page in pages for each in page["repositoryCreationTemplates"]]
        assert len(found) <= 1
        self.state = None
        if found:
            absent = {"applied_for": [], "exclusion_filters": [], "resource_tags": [], "encryption_configuration": {}}
            self.state = {"prefix": found[0]["prefix"]}
            self.state |= {
                name: found[0].get(member, absent.get(name, "")) for name, member in self.MEMBERS.items()
            }

    def plan(self, config: dict[str, Any]) -> list[str]:
        self.read(config["prefix"])
        assert self.state is not None
        return differing(config, self.state, self.SAME)

    def update(self, config: dict[str, Any]) -> None:
        """Sends what has changed; what is taken out of the configuration is sent empty."""
        changed = differing(config, self.state or {}, self.SAME)
        given = {self.MEMBERS[name]: config[name] for name in changed}
        if "exclusion_filters" in changed:
            given["imageTagMutability"] = config["image_tag_mutability"]
        if not config["exclusion_filters"]:
            # An empty list is sent as none.
            given.pop("imageTagMutabilityExclusionFilters", None)
        self.ecr.update_repository_creation_template(prefix=config["prefix"], **given)
        self.read(config["prefix"])

    def delete(self, prefix: str) -> None:
        gone(("TemplateNotFoundException",), self.ecr.delete_repository_creation_template, prefix=prefix)


def test_repository_creation_template(account: Account) -> None:
    resource = TemplateResource(account)
    little: dict[str, Any] = {"prefix": "tf-little", "applied_for": ["CREATE_ON_PUSH"]}
    resource.create(little)
    assert resource.plan(little | {"image_tag_mutability": "MUTABLE"}) == []
    resource.delete("tf-little")

    config: dict[str, Any] = {
        "prefix": "tf-all",
        "applied_for": ["REPLICATION", "PULL_THROUGH_CACHE", "CREATE_ON_PUSH"],
        "custom_role_arn": f"arn:aws:iam::{ACCOUNT}:role/templates",
        "description": "What Terraform makes",
        "encryption_configuration": {"encryptionType": "AES256"},
        "image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION",
        "exclusion_filters": [
            {"filter": "zeta*", "filterType": "WILDCARD"},
            {"filter": "alpha*", "filterType": "WILDCARD"},
        ],
        "lifecycle_policy": normalized(lifecycle_policy(30)),
        "repository_policy": normalized(json.dumps(REPOSITORY_POLICY)),
        "resource_tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}],
    }
    resource.create(config)
    assert resource.plan(config) == [], "a second plan is not empty"
    with pytest.raises(ClientError, match="TemplateAlreadyExistsException"):
        resource.create(config)

    changes: list[dict[str, Any]] = [
        {"description": "Another text"},
        {"applied_for": ["CREATE_ON_PUSH"]},
        {"image_tag_mutability": "MUTABLE_WITH_EXCLUSION", "exclusion_filters": config["exclusion_filters"][1:]},
        {"image_tag_mutability": "IMMUTABLE", "exclusion_filters": []},
        {"lifecycle_policy": normalized(lifecycle_policy(5))},
        {"resource_tags": [{"Key": "c", "Value": ""}]},
        {"resource_tags": []},
        {"lifecycle_policy": ""},
        {"repository_policy": ""},
        {"description": ""},
    ]
    for change in changes:
        config |= change
        resource.update(config)
        # What was not sent is as it was.
        assert resource.plan(config) == [], f"a second plan after {change} is not empty"
    resource.delete("tf-all")
    resource.delete("tf-all")
    resource.read("tf-all")
    assert resource.state is None


def test_account_setting(account: Account) -> None:
    ecr = account.ecr
    # Deleting the resource makes no call. The last value of each is what others expect.
    settings = {
        "BLOB_MOUNTING": ("DISABLED", "ENABLED"),
        "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE",),
        "REGISTRY_POLICY_SCOPE": ("V2",),
    }
    for name, values in settings.items():
        before = ecr.get_account_setting(name=name)["value"]
        for value in (*values, before):
            put = ecr.put_account_setting(name=name, value=value)
            assert (put["name"], put["value"]) == (name, value)
            read = ecr.get_account_setting(name=name)
            assert (read["name"], read["value"]) == (name, value), "a second plan is not empty"


def test_pull_time_update_exclusion(account: Account) -> None:
    ecr = account.ecr
    arn = f"arn:aws:iam::{ACCOUNT}:role/service/scanner"

    def listed() -> bool:
        found, token = [], {}
        while True:
            page = ecr.list_pull_time_update_exclusions(**token)
            found += page["pullTimeUpdateExclusions"]
            if not page.get("nextToken"):
                return arn in found
            token = {"nextToken": page["nextToken"]}

    assert ecr.register_pull_time_update_exclusion(principalArn=arn)["principalArn"] == arn
    assert listed()
    with pytest.raises(ClientError, match="ExclusionAlreadyExistsException"):
        ecr.register_pull_time_update_exclusion(principalArn=arn)
    not_there = ("ExclusionNotFoundException",)
    assert gone(not_there, ecr.deregister_pull_time_update_exclusion, principalArn=arn) is not None
    assert not listed()
    assert gone(not_there, ecr.deregister_pull_time_update_exclusion, principalArn=arn) is None


def test_cloudformation_repository(account: Account) -> None:
    """`AWS::ECR::Repository`: one resource with its policies; reading it reads all of them."""
    ecr, name = account.ecr, "cfn/repository"
    text = json.dumps(REPOSITORY_POLICY)
    ecr.create_repository(
        repositoryName=name,
        imageTagMutability="IMMUTABLE",
        imageScanningConfiguration={"scanOnPush": True},
        encryptionConfiguration={"encryptionType": "AES256"},
        tags=[{"Key": "aws-cdk:stack", "Value": "x"}],
    )
    ecr.set_repository_policy(repositoryName=name, policyText=text, registryId=ACCOUNT)
    lifecycle = lifecycle_policy(10)
    ecr.put_lifecycle_policy(repositoryName=name, registryId=ACCOUNT, lifecyclePolicyText=lifecycle)
    found = ecr.get_lifecycle_policy(repositoryName=name, registryId=ACCOUNT)
    assert same_lifecycle_policy(found["lifecyclePolicyText"], lifecycle)
    (repository,) = ecr.describe_repositories(repositoryNames=[name], registryId=ACCOUNT)["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    found = ecr.get_repository_policy(repositoryName=name, registryId=ACCOUNT)
    assert same_policy(found["policyText"], text)
    tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
    assert tags == [{"Key": "aws-cdk:stack", "Value": "x"}]
    # A stack that is made anew finds what a former one has left.
    with pytest.raises(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=name)
    push(account, name, "asset")
    with pytest.raises(ecr.exceptions.RepositoryNotEmptyException):
        ecr.delete_repository(repositoryName=name, registryId=ACCOUNT)
    # `EmptyOnDelete`.
    ecr.delete_repository(repositoryName=name, registryId=ACCOUNT, force=True)
    for call in (ecr.delete_repository, ecr.get_repository_policy):
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
            call(repositoryName=name)


def test_cdk_publishes_an_asset(account: Account) -> None:
    """What `cdk deploy` asks before and after it pushes an image."""
    ecr, name, tag = account.ecr, f"cdk-hnb659fds-container-assets-{ACCOUNT}-{REGION}", "0123abcd" * 8
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_repositories(repositoryNames=[name])
    ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["repositoryUri"].endswith(f"/{name}")
    image = {"repositoryName": name, "imageIds": [{"imageTag": tag}]}
    with pytest.raises(ecr.exceptions.ImageNotFoundException):
        ecr.describe_images(**image)
    (login,) = ecr.get_authorization_token()["authorizationData"]
    assert login["proxyEndpoint"].startswith(("http://", "https://"))
    digest = push(account, name, tag)
    (details,) = ecr.describe_images(**image)["imageDetails"]
    assert (details["imageDigest"], details["imageTags"]) == (digest, [tag])
    ecr.delete_repository(repositoryName=name, force=True)

"""Every paginator and waiter that botocore has for ECR, over what is served.

Each listing has a Region of its own, so that nothing else is in it. A listing that
the server does not serve yet is printed and not walked; one that it serves without a
way to fill it here fails.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
import pytest
from botocore import xform_name
from botocore.config import Config

from support.api import Caller, served_operations
from support.images import OCI_MANIFEST, sha256
from support.model import Model
from support.server import ACCOUNT, REGION, Managed

pytestmark = pytest.mark.own_server

MODEL = Model()
ITEMS = 11
# Each test has one to itself, other than where the other tests are.
REGIONS = [name for name in boto3.Session().get_available_regions("ecr") if name != REGION]
CONFIG = b"{}"


def in_region(server: Managed, region: str) -> Any:
    session = boto3.Session(
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=region,
    )
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return session.client("ecr", endpoint_url=server.url, config=config)


@pytest.fixture(scope="module")
def served(server: Managed) -> Iterator[set[str]]:
    caller = Caller(server, REGION)
    yield served_operations(caller)
    caller.client.close()


def upload_config(ecr: Any, repository: str) -> None:
    ecr.create_repository(repositoryName=repository)
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    where = {"repositoryName": repository, "uploadId": upload}
    ecr.upload_layer_part(**where, partFirstByte=0, partLastByte=len(CONFIG) - 1, layerPartBlob=CONFIG)
    ecr.complete_layer_upload(**where, layerDigests=[sha256(CONFIG)])


def put_image(ecr: Any, repository: str, number: int, tags: Iterable[str] = (), subject: dict | None = None) -> str:
    """Puts an image without layers; its digest."""
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": sha256(CONFIG),
        "size": len(CONFIG),
    }
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    document["annotations"] = {"number": str(number)}
    if subject:
        document["subject"] = subject
    text = json.dumps(document)
    for tag in tags:
        ecr.put_image(repositoryName=repository, imageManifest=text, imageTag=tag)
    if not tags:
        ecr.put_image(repositoryName=repository, imageManifest=text)
    return sha256(text.encode())


@dataclass
class Listing:
    """How a listing is filled, and what it lists then."""

    # Makes one item more; the items of the listing that it adds.
    add: Callable[[Any, int], list[Any]]
    # Reads the items of a page.
    items: Callable[[dict[str, Any]], list[Any]]
    arguments: dict[str, Any]
    prepare: Callable[[Any], None] = lambda _: None
    # Runs when all items are there, for listings of a result.
    finish: Callable[[Any], None] = lambda _: None
    # Whether an item that comes while the listing is read may be in it.
    grows: bool = True


REPOSITORY = {"repositoryName": "paged"}


def add_tags(ecr: Any, number: int) -> list[Any]:
    """Images with several tags, one, and none: their rows go over pages."""
    tags = [f"v{number}-{each}" for each in range(number % 4)]
    digest = put_image(ecr, "paged", number, tags)
    return [(digest, tag) for tag in tags] or [(digest, None)]


def add_repository(ecr: Any, number: int) -> list[Any]:
    # Not in the order of the numbers: a new one comes before and behind what is read.
    name = f"paged/{number * 7 % 23:02}"
    ecr.create_repository(repositoryName=name)
    return [name]


def add_template(ecr: Any, number: int) -> list[Any]:
    prefix = f"paged/{number * 7 % 23:02}"
    ecr.create_repository_creation_template(prefix=prefix, appliedFor=["CREATE_ON_PUSH"])
    return [prefix]


def add_exclusion(ecr: Any, number: int) -> list[Any]:
    arn = f"arn:aws:iam::{ACCOUNT}:role/scanner-{number * 7 % 23:02}"
    ecr.register_pull_time_update_exclusion(principalArn=arn)
    return [arn]


SUBJECT = {"mediaType": OCI_MANIFEST, "digest": sha256(b"the subject"), "size": 11}


def add_referrer(ecr: Any, number: int) -> list[Any]:
    return [put_image(ecr, "paged", number, subject=SUBJECT)]


def add_untagged(ecr: Any, number: int) -> list[Any]:
    return [put_image(ecr, "paged", number)]


# Whatever has no tag is expired, but for nothing: the images that have one stay.
EXPIRE_UNTAGGED = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "description": "all but the newest image, which has a tag",
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
                "action": {"type": "expire"},
            }
        ]
    }
)


def preview(ecr: Any) -> None:
    put_image(ecr, "paged", 1000, ["newest"])
    ecr.start_lifecycle_policy_preview(**REPOSITORY, lifecyclePolicyText=EXPIRE_UNTAGGED)
    waiter = ecr.get_waiter("lifecycle_policy_preview_complete")
    waiter.wait(**REPOSITORY, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})


def with_repository(ecr: Any) -> None:
    upload_config(ecr, "paged")


# An operation that is served and not here fails: it needs a way to fill its listing.
LISTINGS: dict[str, Listing] = {
    "ListImages": Listing(
        add_tags,
        lambda page: [(each["imageDigest"], each.get("imageTag")) for each in page["imageIds"]],
        REPOSITORY,
        with_repository,
    ),
    "DescribeImages": Listing(
        lambda ecr, number: [add_tags(ecr, number)[0][0]],
        lambda page: [each["imageDigest"] for each in page["imageDetails"]],
        REPOSITORY,
        with_repository,
    ),
    "DescribeRepositories": Listing(
        add_repository,
        lambda page: [each["repositoryName"] for each in page["repositories"]],
        {},
    ),
    "DescribeRepositoryCreationTemplates": Listing(
        add_template,
        lambda page: [each["prefix"] for each in page["repositoryCreationTemplates"]],
        {},
        # A new registry has one, for pushes.
        lambda ecr: ecr.delete_repository_creation_template(prefix="ROOT"),
    ),
    "ListPullTimeUpdateExclusions": Listing(
        add_exclusion,
        lambda page: page["pullTimeUpdateExclusions"],
        {},
    ),
    "ListImageReferrers": Listing(
        add_referrer,
        lambda page: [each["digest"] for each in page["referrers"]],
        REPOSITORY | {"subjectId": {"imageDigest": SUBJECT["digest"]}},
        with_repository,
    ),
    "GetLifecyclePolicyPreview": Listing(
        add_untagged,
        lambda page: [each["imageDigest"] for each in page["previewResults"]],
        REPOSITORY,
        with_repository,
        preview,
        grows=False,
    ),
}


def listings() -> list[str]:
    """What goes over pages: all operations with a paginator, or with a token for the next page."""
    session = botocore.session.get_session()
    with_paginator = session.get_paginator_model("ecr")._paginator_config
    with_token = {name for name in MODEL.operations if "nextToken" in MODEL.output(name).get("members", {})}
    assert set(with_paginator) <= with_token
    return sorted(with_token)


def pages(ecr: Any, operation: str, arguments: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """The pages of a listing, by botocore's paginator if it has one."""
    method = xform_name(operation)
    if ecr.can_paginate(method):
        yield from ecr.get_paginator(method).paginate(**arguments, PaginationConfig={"PageSize": size})
        return
    token: dict[str, str] = {}
    while True:
        page = getattr(ecr, method)(**arguments, maxResults=size, **token)
        yield page
        if not page.get("nextToken"):
            return
        token = {"nextToken": page["nextToken"]}


@pytest.mark.parametrize("operation", listings())
def test_a_listing_has_each_item_once(
    server: Managed, served: set[str], operation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if operation not in served:
        with capsys.disabled():
            print(f"\nnot served yet, not walked: {operation}")
        return
    assert operation in LISTINGS, f"{operation} is served: say here how its listing is filled"
    listing = LISTINGS[operation]
    region = REGIONS[listings().index(operation) + 1]
    ecr = in_region(server, region)
    listing.prepare(ecr)
    there = [item for number in range(ITEMS) for item in listing.add(ecr, number)]
    listing.finish(ecr)

    largest = MODEL.shape(MODEL.input(operation)["members"]["maxResults"])["max"]
    orders = []
    for size in (1, 2, largest):
        found = []
        for page in pages(ecr, operation, listing.arguments, size):
            assert len(listing.items(page)) <= size
            found += listing.items(page)
        assert sorted(map(repr, found)) == sorted(map(repr, there)), f"page size {size}"
        orders.append(found)
    assert orders[0] == orders[1] == orders[2], "the order depends on the page size"

    if ecr.can_paginate(xform_name(operation)):
        # The command line reads all pages and prints them as one.
        arguments = ["--cli-input-json", json.dumps(listing.arguments), "--page-size", "2"]
        printed = json.loads(server.aws("ecr", xform_name(operation, "-"), *arguments, "--region", region))
        assert sorted(map(repr, listing.items(printed))) == sorted(map(repr, there))

    if listing.grows:
        # Something new before each page but the first: what was there is listed once all the same.
        found, new = [], []
        for number, page in enumerate(pages(ecr, operation, listing.arguments, 2)):
            found += listing.items(page)
            if ITEMS + number < 23:
                new += listing.add(ecr, ITEMS + number)
        assert sorted(repr(item) for item in found if item in there) == sorted(map(repr, there))
        late = [item for item in found if item not in there]
        assert len(set(late)) == len(late) and set(late) <= set(new), "a new item is listed twice, or none"
    ecr.close()


def test_waiters(server: Managed, served: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    ecr = in_region(server, REGIONS[0])
    upload_config(ecr, "paged")
    digest = put_image(ecr, "paged", 1, ["latest"])
    quickly = {"WaiterConfig": {"Delay": 0.1, "MaxAttempts": 300}}

    def lifecycle() -> None:
        ecr.start_lifecycle_policy_preview(**REPOSITORY, lifecyclePolicyText=EXPIRE_UNTAGGED)
        ecr.get_waiter("lifecycle_policy_preview_complete").wait(**REPOSITORY, **quickly)
        assert ecr.get_lifecycle_policy_preview(**REPOSITORY)["status"] == "COMPLETE"

    def scan() -> None:
        image = REPOSITORY | {"imageId": {"imageDigest": digest}}
        ecr.start_image_scan(**image)
        ecr.get_waiter("image_scan_complete").wait(**image, **quickly)
        assert ecr.describe_image_scan_findings(**image)["imageScanStatus"]["status"] == "COMPLETE"

    waiters = {
        "lifecycle_policy_preview_complete": ("GetLifecyclePolicyPreview", lifecycle),
        "image_scan_complete": ("DescribeImageScanFindings", scan),
    }
    assert sorted(ecr.waiter_names) == sorted(waiters)
    for name, (operation, wait) in waiters.items():
        if operation in served:
            wait()
            continue
        with capsys.disabled():
            print(f"\nnot served yet, not waited for: {name}")
    ecr.close()

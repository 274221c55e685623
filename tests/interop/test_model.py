"""Every constraint of every operation, as the service model has it.

The cases are made at run time from the model that is checked in, which has to be
that of the installed botocore. Each is a whole request through boto3: what botocore
itself would refuse is put in place of the body that it made, and what comes back
is read by botocore and, member by member, against the output's shape.

Cases that a constraint forbids go to one Region, whose visible state is compared
before and after each operation's. Cases that are allowed change things, and go to
another.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from conftest import new_server
from support.api import AT_A_TIME, Answer, Caller, is_not_served, served_operations
from support.images import OCI_MANIFEST, sha256
from support.model import Case, Cases, Model, Samples, misfits
from support.process import wait_for
from support.server import ACCOUNT, Server

pytestmark = pytest.mark.own_server

MODEL = Model()
OPERATIONS = sorted(MODEL.operations)

# Where cases go that must not, and that may change something.
STILL, MOVING = "us-east-1", "eu-west-1"

# Errors that no operation declares, because the protocol has them for all.
COMMON_ERRORS = {
    "SerializationException": "the body is no JSON, or a value in it has another type",
    "UnknownOperationException": "there is no such operation, or nothing behind it yet",
    "AccessDeniedException": "the caller has no right, to another account's registry for one",
}

# The words of the model's constraints. A value that is allowed may be refused for what
# it means, but not in these words.
OF_THE_MODEL = (
    "must have length",
    "must have value",
    "must satisfy regular expression",
    "must satisfy enum value set",
    "must not be null",
)

REFUSAL = re.compile(r"Invalid parameter at '([^']*)' failed to satisfy constraint: '(.+)'", re.DOTALL)

LAYER, CONFIG = b"a layer of the model's image", b"{}"


def manifest(number: int = 0) -> str:
    """The manifest of an image; of each number another one."""
    descriptor = lambda media_type, content: {  # noqa: E731
        "mediaType": media_type,
        "digest": sha256(content),
        "size": len(content),
    }
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", LAYER)],
            "annotations": {"number": str(number)},
        }
    )


def policy(action: str) -> str:
    statement = {"Sid": "x", "Effect": "Deny", "Principal": {"AWS": "111111111111"}, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


LIFECYCLE_POLICY = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "description": "what has no tag goes",
                "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 100},
                "action": {"type": "expire"},
            }
        ]
    }
)


def known_values(region: str, repository: str) -> dict[str, Any]:
    """Values that mean something to the service, by shape."""
    image = {"imageDigest": sha256(manifest().encode())}
    scope = {"resource": f"arn:aws:ecr:{region}:{ACCOUNT}:repository/{repository}"}
    return {
        "RegistryId": ACCOUNT,
        "RepositoryName": repository,
        "Arn": scope["resource"],
        "ImageDigest": image["imageDigest"],
        "ImageTag": "latest",
        "ImageIdentifier": image,
        "SubjectIdentifier": image,
        "ImageManifest": manifest(),
        "MediaType": OCI_MANIFEST,
        "LayerDigest": sha256(LAYER),
        "BatchedOperationLayerDigest": sha256(LAYER),
        "RepositoryPolicyText": policy("ecr:DescribeImages"),
        "RegistryPolicyText": policy("ecr:ReplicateImage").replace(
            '"Action"', f'"Resource": "arn:aws:ecr:{region}:{ACCOUNT}:repository/*", "Action"'
        ),
        "LifecyclePolicyText": LIFECYCLE_POLICY,
        "LifecyclePolicyTextForRepositoryCreationTemplate": LIFECYCLE_POLICY,
        "TagKey": lambda number: f"key{number}",
        "AccountSettingName": "BLOB_MOUNTING",
        "AccountSettingValue": "ENABLED",
        "PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/scanner",
        "PullThroughCacheRuleRepositoryPrefix": "upstream",
        "Url": "public.ecr.aws",
        "Prefix": "templates",
        "ImageTagMutabilityExclusionFilterValue": lambda number: f"keep{number}*",
        # Page tokens are only ever those that an answer has given.
        "NextToken": "",
    }


class Scene:
    """A server with something in it, in both Regions."""

    def __init__(self, server: Server):
        self.still = Caller(server, STILL)
        self.moving = Caller(server, MOVING)
        self.served = served_operations(self.still)
        self.counts: dict[str, int] = {}
        self.pool = ThreadPoolExecutor(AT_A_TIME)
        self.fill(self.still, "model/app")

    def fill(self, caller: Caller, repository: str) -> None:
        """A repository with an image, its layers, and a policy."""
        client = caller.client
        client.create_repository(repositoryName=repository)
        for content in (LAYER, CONFIG):
            self.upload(caller, repository, content)
        client.put_image(repositoryName=repository, imageManifest=manifest(), imageTag="latest")

    def upload(self, caller: Caller, repository: str, content: bytes) -> None:
        client = caller.client
        upload = client.initiate_layer_upload(repositoryName=repository)["uploadId"]
        client.upload_layer_part(
            repositoryName=repository,
            uploadId=upload,
            partFirstByte=0,
            partLastByte=len(content) - 1,
            layerPartBlob=content,
        )
        client.complete_layer_upload(
            repositoryName=repository, uploadId=upload, layerDigests=[sha256(content)]
        )

    def state(self) -> str:
        """A digest of everything that the API shows of the Region where nothing may change."""
        seen = {}
        samples = Samples(MODEL, known_values(STILL, "model/app"))
        for operation in sorted(self.served - READS_THAT_DIFFER):
            if operation.startswith(("Describe", "Get", "List", "BatchGet")):
                shape = MODEL.operations[operation].get("input")
                answer = self.still.call(operation, samples.value(shape) if shape else {})
                seen[operation] = [answer.status, answer.body]
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


# Reading these gives something new each time, or counts as a pull.
READS_THAT_DIFFER = {"GetAuthorizationToken", "GetDownloadUrlForLayer", "BatchGetImage"}


@pytest.fixture(scope="module")
def scene(module_scratch: Path) -> Iterator[Scene]:
    server = new_server(module_scratch / "server")
    scene = Scene(server)
    yield scene
    scene.pool.shutdown()
    scene.still.client.close()
    scene.moving.client.close()
    server.stop()


def wrong_in(operation: str, answer: Answer) -> Iterator[str]:
    """What no answer may be, whatever was sent."""
    if answer.status >= 500:
        yield f"status {answer.status}"
    if not answer.is_refusal:
        if answer.status != 200:
            yield f"status {answer.status} of a success"
        yield from misfits(MODEL, MODEL.operations[operation].get("output"), answer.body)
        return
    declared = MODEL.operations[operation].get("errors", [])
    if answer.code not in declared and answer.code not in COMMON_ERRORS:
        yield f"{answer.code} is not declared"
    if answer.status != 400:
        yield f"status {answer.status} of {answer.code}"
    if not isinstance(answer.body, dict) or answer.body.get("__type") != answer.code:
        yield f"no error of the protocol: {answer.body!r}"
    # A sentence: several words, the first of which is no code.
    if len(answer.message.split()) < 3 or not answer.message.isprintable():
        yield f"the message is no sentence: {answer.message!r}"
    if answer.code in MODEL.shapes and isinstance(answer.body, dict):
        known = {name: value for name, value in answer.body.items() if name != "__type"}
        yield from misfits(MODEL, answer.code, known, "error")


def wrong_in_refusal(case: Case, answer: Answer) -> Iterator[str]:
    """Whether a forbidden value was refused, for the right reason, in the service's words."""
    if not answer.is_refusal:
        yield "it was accepted"
    elif case.constraint == "type":
        if answer.code != "SerializationException":
            yield f"{answer.code} instead of SerializationException"
        if not any(answer.message.startswith(f"{name}: expected ") for name in case.names):
            yield f"the message does not name {case.names}: {answer.message}"
    else:
        found = REFUSAL.fullmatch(answer.message)
        if answer.code != "InvalidParameterException" or not found:
            yield f"{answer.code}: {answer.message}"
        elif found[1] not in case.names:
            yield f"the message does not name {case.names}: {answer.message}"
        elif case.constraint not in found[2]:
            yield f"the message does not say '{case.constraint}': {answer.message}"


def wrong_in_allowed(answer: Answer) -> Iterator[str]:
    """Whether an allowed value was refused for a constraint of the model."""
    if answer.code == "SerializationException":
        yield answer.message
    found = REFUSAL.fullmatch(answer.message)
    if found and any(words in found[2] for words in OF_THE_MODEL):
        yield answer.message


def judged(operation: str, cases: list[tuple[Case, Answer]]) -> list[str]:
    """All that is wrong, a line each."""
    lines = []
    for case, answer in cases:
        problems = list(wrong_in(operation, answer))
        problems += wrong_in_refusal(case, answer) if case.constraint else wrong_in_allowed(answer)
        lines += [f"{operation}: {case}: {problem}" for problem in problems]
    return lines


def test_the_model_is_that_of_botocore() -> None:
    theirs = botocore.session.get_session().get_service_model("ecr")
    assert theirs.metadata["targetPrefix"] == MODEL.service
    assert sorted(theirs.operation_names) == OPERATIONS
    seen: set[str] = set()

    def compare(name: str, shape: Any) -> None:
        if name in seen:
            return
        seen.add(name)
        ours = MODEL.shapes[name]
        assert ours["type"] == shape.type_name, name
        for constraint in ("min", "max", "pattern"):
            assert ours.get(constraint) == shape.metadata.get(constraint), (name, constraint)
        assert sorted(ours.get("enum", [])) == sorted(shape.metadata.get("enum", [])), name
        if shape.type_name == "structure":
            assert sorted(ours.get("required", [])) == sorted(shape.required_members), name
            assert set(ours["members"]) == set(shape.members), name
            for member, inner in shape.members.items():
                assert ours["members"][member] == inner.name, (name, member)
                compare(inner.name, inner)
        elif shape.type_name == "list":
            compare(ours["member"], shape.member)
        elif shape.type_name == "map":
            compare(ours["key"], shape.key)
            compare(ours["value"], shape.value)

    for operation in OPERATIONS:
        ours, model = MODEL.operations[operation], theirs.operation_model(operation)
        assert sorted(ours["errors"]) == sorted(error.name for error in model.error_shapes), operation
        for shape in (model.input_shape, model.output_shape, *model.error_shapes):
            if shape is not None:
                compare(shape.name, shape)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_the_model_forbids_is_refused(scene: Scene, operation: str) -> None:
    if operation not in scene.served:
        answer = scene.still.raw(operation, b'{"anything": [1, 2]}')
        assert is_not_served(answer, operation), answer
        return
    cases = Cases(MODEL, Samples(MODEL, known_values(STILL, "model/app")))
    forbidden = [case for case in cases.of(operation) if case.constraint]
    before = scene.state()
    documents = [cases.document(operation, case) for case in forbidden]
    answers = scene.pool.map(lambda document: scene.still.call(operation, document), documents)
    problems = judged(operation, list(zip(forbidden, answers, strict=True)))
    assert problems == []
    assert scene.state() == before, "calls that were refused have changed something"
    scene.counts[operation] = scene.counts.get(operation, 0) + len(forbidden)


# Operations that need another one first to have something to do.
AFTER = {
    "DeleteRepositoryPolicy": ("SetRepositoryPolicy",),
    "GetRepositoryPolicy": ("SetRepositoryPolicy",),
    "DeleteRegistryPolicy": ("PutRegistryPolicy",),
    "GetRegistryPolicy": ("PutRegistryPolicy",),
    "DeleteLifecyclePolicy": ("PutLifecyclePolicy",),
    "GetLifecyclePolicy": ("PutLifecyclePolicy",),
    "StartLifecyclePolicyPreview": ("PutLifecyclePolicy",),
    "GetLifecyclePolicyPreview": ("PutLifecyclePolicy", "StartLifecyclePolicyPreview"),
    "DeleteRepositoryCreationTemplate": ("CreateRepositoryCreationTemplate",),
    "UpdateRepositoryCreationTemplate": ("CreateRepositoryCreationTemplate",),
    "DeregisterPullTimeUpdateExclusion": ("RegisterPullTimeUpdateExclusion",),
    "DeletePullThroughCacheRule": ("CreatePullThroughCacheRule",),
    "UpdatePullThroughCacheRule": ("CreatePullThroughCacheRule",),
    "ValidatePullThroughCacheRule": ("CreatePullThroughCacheRule",),
    "DeleteSigningConfiguration": ("PutSigningConfiguration",),
    "GetSigningConfiguration": ("PutSigningConfiguration",),
    "DescribeImageScanFindings": ("StartImageScan",),
    "StopReplicationBackfill": ("StartReplicationBackfill",),
}

# What the smallest valid input lacks to be one that the service does, by the number of
# the call: what is made has to be another each time.
PLAIN_INPUT: dict[str, Callable[[int], dict[str, Any]]] = {
    "CreateRepository": lambda number: {"repositoryName": f"model/created/{number}"},
    "PutImage": lambda number: {"imageManifest": manifest(number + 1)},
    "SetRepositoryPolicy": lambda _: {"force": True},
    "CreateRepositoryCreationTemplate": lambda number: {"prefix": f"templates/{number}"},
    "CreatePullThroughCacheRule": lambda number: {"ecrRepositoryPrefix": f"upstream-{number}"},
    "RegisterPullTimeUpdateExclusion": lambda number: {
        "principalArn": f"arn:aws:iam::{ACCOUNT}:role/scanner-{number}"
    },
}


def always_allowed(case: Case) -> bool:
    """Whether the case is nothing to the service: an optional member that is null, an unknown one."""
    return not case.constraint and (case.path == () or (len(case.path) == 1 and case.value is None))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_the_model_allows_is_not_refused_for_it(scene: Scene, operation: str) -> None:
    if operation not in scene.served:
        return
    caller, repository = scene.moving, f"model/{operation.lower()}"
    scene.fill(caller, repository)
    samples = Samples(MODEL, known_values(MOVING, repository))
    cases = Cases(MODEL, samples)
    allowed = [case for case in cases.of(operation) if not case.constraint]

    nothing = [case for case in allowed if always_allowed(case)]
    for number, case in enumerate([Case((), {}), *nothing]):
        plain = plain_input(scene, caller, repository, operation, samples, number)
        document = plain | (case.value if case.path == () else {case.path[0]: None})
        answer = caller.call(operation, document)
        problem = f"{operation} with {case}: {answer.code}: {answer.message}"
        assert not answer.is_refusal, problem
        assert list(wrong_in(operation, answer)) == []

    others = [case for case in allowed if not always_allowed(case)]
    documents = [cases.document(operation, case) for case in others]
    answers = scene.pool.map(lambda document: caller.call(operation, document), documents)
    assert judged(operation, list(zip(others, answers, strict=True))) == []
    if "PutRegistryPolicy" in scene.served:
        # What was allowed is not to be in the way of the next operation.
        caller.raw("DeleteRegistryPolicy", b"{}")
    scene.counts[operation] = scene.counts.get(operation, 0) + len(allowed) + 1


def plain_input(
    scene: Scene,
    caller: Caller,
    repository: str,
    operation: str,
    samples: Samples,
    number: int,
) -> dict[str, Any]:
    """An input with what is required, which has to succeed, and what it needs to do so."""

    def smallest(name: str) -> dict[str, Any]:
        shape = MODEL.operations[name].get("input")
        return samples.value(shape) if shape else {}

    if "StartLifecyclePolicyPreview" in (operation, *AFTER.get(operation, ())):
        wait_for_preview(caller, repository)
    for needed in AFTER.get(operation, ()):
        done = caller.call(needed, smallest(needed))
        assert not done.is_refusal or "AlreadyExists" in (done.code or ""), (needed, done)
    plain = smallest(operation)
    if operation in PLAIN_INPUT:
        plain |= PLAIN_INPUT[operation](number)
    if operation == "DeleteRepository":
        plain["repositoryName"] = f"model/deleted/{number}"
        assert not caller.call("CreateRepository", plain).is_refusal
    if operation in ("UploadLayerPart", "CompleteLayerUpload"):
        content = f"another layer, {number}".encode()
        where = {"repositoryName": repository}
        begun = caller.call("InitiateLayerUpload", where)
        part = where | {"uploadId": begun.body["uploadId"]}
        part |= {"partFirstByte": 0, "partLastByte": len(content) - 1}
        part["layerPartBlob"] = base64.b64encode(content).decode()
        if operation == "UploadLayerPart":
            return part
        assert not caller.call("UploadLayerPart", part).is_refusal
        return plain | {"uploadId": part["uploadId"], "layerDigests": [sha256(content)]}
    return plain


def wait_for_preview(caller: Caller, repository: str) -> None:
    """Waits until no preview is in progress: the next one would be refused."""
    where = {"repositoryName": repository}
    wait_for(
        lambda: caller.call("GetLifecyclePolicyPreview", where).body.get("status") != "IN_PROGRESS",
        "the end of the preview",
    )


# What the model allows and the service has no use for, by shape.
MEANINGLESS: dict[str, list[Any]] = {
    "TagList": [
        [{"Key": "aws:mine", "Value": "x"}],
        [{"Key": "AWS:mine", "Value": "x"}],
        [{"Key": "", "Value": "x"}],
        [{"Key": "k" * 129, "Value": "x"}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "k", "Value": "x"}, {"Key": "k", "Value": "y"}],
        [{"Key": f"key{number}", "Value": "x"} for number in range(51)],
        [{"Key": "new\nline", "Value": "x"}],
        [{"Key": "k", "Value": "a*b"}],
    ],
    "TagKeyList": [["aws:mine"], ["new\nline"], ["k" * 129]],
    "EncryptionConfiguration": [
        {"encryptionType": kind, "kmsKey": f"arn:aws:kms:{STILL}:{ACCOUNT}:key/{key}"}
        for kind in ("KMS", "KMS_DSSE")
        for key in ("00000000-0000-4000-8000-000000000000", "no-uuid")
    ],
    "ImageTagMutabilityExclusionFilters": [
        [{"filterType": "WILDCARD", "filter": "*a*b*"}],
        [{"filterType": "WILDCARD", "filter": "a*"}] * 2,
    ],
    "RepositoryPolicyText": [
        "{}",
        "null",
        '{"Statement": []}',
        policy("s3:GetObject"),
        policy("ecr:*").replace("111111111111", f"arn:aws:iam::{ACCOUNT}:user/nobody"),
    ],
    "LifecyclePolicyText": [" " * 100, '{"rules": []}'.ljust(100), LIFECYCLE_POLICY.replace("untagged", "tagged")],
    "ImageManifest": ["{", "[]", "{}", '{"schemaVersion": 1}', manifest().replace(sha256(LAYER), "sha256:x")],
    "PrincipalArn": ["arn:aws:iam::1:role/x", f"arn:aws:sts::{ACCOUNT}:assumed-role/x/y", "nobody"],
    "Prefix": ["a//b", "UPPER", "x" * 257],
}
MEANINGLESS["EncryptionConfigurationForRepositoryCreationTemplate"] = MEANINGLESS["EncryptionConfiguration"]
MEANINGLESS["RegistryPolicyText"] = MEANINGLESS["RepositoryPolicyText"]
MEANINGLESS["LifecyclePolicyTextForRepositoryCreationTemplate"] = MEANINGLESS["LifecyclePolicyText"]


def test_the_meaningless_values_are_of_the_model() -> None:
    assert [name for name in MEANINGLESS if name not in MODEL.shapes] == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_values_that_mean_nothing_get_a_declared_error(scene: Scene, operation: str) -> None:
    """The model does not forbid them, so no generated case has them."""
    input_shape = MODEL.operations[operation].get("input")
    if operation not in scene.served or not input_shape:
        return
    samples = Samples(MODEL, known_values(STILL, "model/app"))
    before = scene.state()
    for member, shape in MODEL.shapes[input_shape]["members"].items():
        for value in MEANINGLESS.get(shape, []):
            answer = scene.still.call(operation, samples.value(input_shape) | {member: value})
            assert list(wrong_in(operation, answer)) == [], (member, value, answer)
            # Taking away what is not there changes nothing and is no error.
            if operation != "UntagResource" and not operation.startswith(("Describe", "List", "Get")):
                assert answer.is_refusal, (member, value, answer)
    assert scene.state() == before, "calls that were refused have changed something"


BODIES = {
    "no JSON": b"repositoryName=x",
    "white space": b" \n\t ",
    "half an object": b'{"repositoryName": "model/app"',
    "two documents": b"{}{}",
    "something behind the end": b"{} x",
    "a comment": b"{/* */}",
    "a comma too many": b'{"registryId": null,}',
    "single quotes": b"{'registryId': null}",
    "NaN": b'{"maxResults": NaN}',
    "infinity": b'{"maxResults": Infinity}',
    "a number with a sign": b'{"maxResults": +1}',
    "a number with leading zeros": b'{"maxResults": 007}',
    "a hexadecimal number": b'{"maxResults": 0x10}',
    "a number beyond all": b'{"maxResults": 1e999}',
    "a long number": b'{"maxResults": ' + b"9" * 10_000 + b"}",
    "a key twice": b'{"registryId": null, "registryId": null}',
    "a key twice, once escaped": b'{"registryId": null, "\\u0072egistryId": null}',
    "a key twice, deep": b'{"x": [{"a": 1, "a": 1}]}',
    "deep nesting": b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}",
    "nesting without end": b"[" * 100_000,
    "deep objects": b'{"x":' * 50_000 + b"1" + b"}" * 50_000,
    "invalid UTF-8": b'{"repositoryName": "\xff\xfe"}',
    "an overlong encoding": b'{"repositoryName": "\xc0\xaf"}',
    "half a character": b'{"repositoryName": "\xe2\x82"}',
    "half a surrogate pair": b'{"repositoryName": "\\ud800"}',
    "another encoding": '{"registryId": null}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a NUL": b"\0",
    "a control character in a text": b'{"repositoryName": "a\nb"}',
    "an unknown escape": b'{"repositoryName": "\\x41"}',
    "many values": b'{"x": [' + b"0," * 300_000 + b"0]}",
    "CBOR": bytes.fromhex("bf6e7265706f7369746f72794e616d65626162ff"),
}


@pytest.mark.parametrize("body", list(BODIES.values()), ids=list(BODIES))
def test_bodies_that_are_no_input(scene: Scene, body: bytes) -> None:
    before = scene.state()
    for operation in sorted(scene.served):
        answer = scene.still.raw(operation, body)
        assert list(wrong_in(operation, answer)) == []
        assert answer.code == "SerializationException", (operation, answer)
    assert scene.state() == before


def test_an_empty_body_is_an_empty_input(scene: Scene) -> None:
    # A client of the protocol may leave the body away where there is nothing to say.
    for operation in sorted(scene.served):
        empty, braces = (scene.still.raw(operation, body) for body in (b"", b"{}"))
        assert (empty.status, empty.code, empty.message) == (braces.status, braces.code, braces.message)


PREFIX = MODEL.service

TARGETS = {
    "an unknown operation": f"{PREFIX}.MakeCoffee",
    "no operation": f"{PREFIX}.",
    "only the service": PREFIX,
    "only the operation": "DescribeRepositories",
    "another case": f"{PREFIX}.describeRepositories",
    "another service": "SpencerFrontendService.DescribeRepositories",
    "another version": "AmazonEC2ContainerRegistry_V20141201.DescribeRepositories",
    "something behind it": f"{PREFIX}.DescribeRepositories.x",
    "white space in it": f"{PREFIX}. DescribeRepositories",
    "a path": f"{PREFIX}./../DescribeRepositories",
    "a long one": f"{PREFIX}." + "x" * 4_000,
    "nothing": "",
}


@pytest.mark.parametrize("target", list(TARGETS.values()), ids=list(TARGETS))
def test_targets_that_are_no_operation(scene: Scene, target: str) -> None:
    answer = scene.still.raw("DescribeRepositories", b"{}", {"X-Amz-Target": target})
    assert (answer.status, answer.code) == (400, "UnknownOperationException"), answer
    assert answer.message.isprintable() and len(answer.message) < 1_000


def test_a_call_without_a_target(scene: Scene) -> None:
    answer = scene.still.raw("DescribeRepositories", b"{}", {"X-Amz-Target": None})
    assert (answer.status, answer.code) == (400, "UnknownOperationException"), answer


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-amz-json-1.0",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded; charset=utf-8",
        "text/plain",
        "",
        None,
        "x" * 4_000,
    ],
)
def test_the_content_type_does_not_decide(scene: Scene, content_type: str | None) -> None:
    # The target says what a request is, as it does for the service.
    answer = scene.still.raw("DescribeRepositories", b"{}", {"Content-Type": content_type})
    assert answer.status == 200, answer
    assert list(wrong_in("DescribeRepositories", answer)) == []


def test_every_operation_has_cases(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Stands last: it counts what the tests before it have done."""
    with capsys.disabled():
        print(f"\n{sum(scene.counts.values())} cases of {len(scene.counts)} operations:")
        for operation, count in sorted(scene.counts.items()):
            print(f"  {count:4} {operation}")
        missing = [operation for operation in OPERATIONS if operation not in scene.served]
        print(f"not served yet: {', '.join(missing) or 'none'}")
    without = [operation for operation in scene.served if not scene.counts.get(operation)]
    assert without == []

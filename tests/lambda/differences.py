"""What services that stand for AWS do otherwise than AWS, as far as the registry cares:
each is asked for, so that the table in ARCHITECTURE.md stays true.

    differences.py --ministack PROGRAM --logs FOLDER           prints the table
    differences.py --ministack PROGRAM --logs FOLDER --check   fails if ARCHITECTURE.md has another

What is documented of AWS is from its User Guides; nothing here asks AWS.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deployment
from botocore.exceptions import ClientError
from deployment import boto3, deploy

ARCHITECTURE = deploy.ROOT / "ARCHITECTURE.md"
MARKERS = ("<!-- differences:begin -->", "<!-- differences:end -->")
ACCOUNT = "000000000000"


@dataclass
class Difference:
    """What is asked of ministack, and what AWS answers."""

    what: str
    aws: str
    ministack: str
    is_so: Callable[["Asked"], bool]


class Asked:
    """A ministack with the template in it, and what is asked of it again and again."""

    def __init__(self, stack: deploy.Stack):
        self.stack = stack
        self.table, self.bucket = stack.resources["Table"], stack.resources["Bucket"]
        session = stack.session("ApiFunctionRole")
        role = stack.client("iam").get_role(RoleName=stack.resources["TenantWriteRole"])["Role"]["Arn"]
        tags = [{"Key": "tenant", "Value": ACCOUNT}]
        sts = self.client_of("sts", session)
        given = sts.assume_role(RoleArn=role, RoleSessionName="tenant", Tags=tags)["Credentials"]
        self.function = session
        self.tenant = {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def client_of(self, service: str, session: dict[str, str]) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.stack.endpoint,
            region_name=deploy.REGION,
            aws_access_key_id=session["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=session["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=session["AWS_SESSION_TOKEN"],
        )

    def policy(self, name: str, statement: dict[str, Any]) -> Any:
        """A session of a role that has one statement."""
        iam = self.stack.client("iam")
        trust = {"Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        whole = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*", **statement}}
        iam.put_role_policy(RoleName=name, PolicyName="one", PolicyDocument=json.dumps(whole))
        return deploy.Stack(self.stack.endpoint, {name: name}).session(name)


def code_of(call: Callable[[], Any]) -> str:
    """The error code of a call, or `none`."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "none"


def put_object(asked: Asked) -> bool:
    s3 = asked.client_of("s3", asked.tenant)
    own = code_of(lambda: s3.put_object(Bucket=asked.bucket, Key=f"{ACCOUNT}/x", Body=b"x"))
    return own == "AccessDenied"


def leading_keys(asked: Asked) -> bool:
    conditions = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["T#1#*"]}}
    session = asked.policy("leading-keys", {"Action": "dynamodb:PutItem", "Condition": conditions})
    table = asked.client_of("dynamodb", session)
    item = {"pk": {"S": "T#2#x"}, "sk": {"S": "x"}}
    return code_of(lambda: table.put_item(TableName=asked.table, Item=item)) == "none"


def encryption_context(asked: Asked) -> bool:
    kms = asked.client_of("kms", asked.function)
    context = {"purpose": "registry-sealing"}
    key = asked.stack.resources["SealingKey"]
    call = lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)  # noqa: E731
    return code_of(call) == "AccessDeniedException"


def alias(asked: Asked) -> bool:
    key = asked.stack.client("kms").create_key(Tags=[{"TagKey": "tenant", "TagValue": ACCOUNT}])["KeyMetadata"]["KeyId"]
    kms = asked.client_of("kms", asked.function)
    call = lambda: kms.create_alias(AliasName=f"alias/ironwharf/{ACCOUNT}/x", TargetKeyId=key)  # noqa: E731
    return code_of(call) == "AccessDeniedException"


def small_part(asked: Asked) -> bool:
    s3 = asked.stack.client("s3")
    place = {"Bucket": asked.bucket, "Key": "parts"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**place, UploadId=upload, PartNumber=number, Body=b"x")["ETag"]}
        for number in (1, 2)
    ]
    call = lambda: s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})  # noqa: E731
    return code_of(call) == "none"


def checksum(asked: Asked) -> bool:
    s3 = asked.stack.client("s3")
    answer = s3.put_object(Bucket=asked.bucket, Key="checksum", Body=b"x", ChecksumAlgorithm="SHA256")
    return "ChecksumSHA256" not in answer


def expiry(asked: Asked) -> bool:
    described = asked.stack.client("dynamodb").describe_time_to_live(TableName=asked.table)
    return described["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"


def bucket_key(asked: Asked) -> bool:
    described = asked.stack.client("s3").get_bucket_encryption(Bucket=asked.bucket)
    rule = described["ServerSideEncryptionConfiguration"]["Rules"][0]
    return rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def kinds(asked: Asked) -> bool:
    """That each kind of resource which is left out cannot be had."""
    return all(
        refuses(asked, kind, properties)
        for kind, properties in (
            (
                "AWS::ApplicationAutoScaling::ScalableTarget",
                {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount", "ResourceId": "service/a/b"},
            ),
            (
                "AWS::CloudWatch::Alarm",
                {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Metrics": [{"Id": "a"}]},
            ),
            ("AWS::EC2::VPCEndpointService", {"AcceptanceRequired": True}),
        )
    )


def refuses(asked: Asked, kind: str, properties: dict[str, Any]) -> bool:
    formation = asked.stack.client("cloudformation")
    body = json.dumps({"Resources": {"One": {"Type": kind, "Properties": properties}}})
    name = kind.replace("::", "-")
    try:
        formation.create_stack(StackName=name, TemplateBody=body)
        formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    except Exception:  # noqa: BLE001 - the waiter and the call have different errors
        return True
    return False


DIFFERENCES = (
    Difference(
        "a variable in a policy, `${aws:PrincipalTag/tenant}`",
        "is what the session's tag says",
        "is no variable: nothing is allowed by it",
        put_object,
    ),
    Difference("`dynamodb:LeadingKeys`", "is compared with the keys of the call", "is not looked at", leading_keys),
    Difference(
        "`kms:EncryptionContext:…` in a policy",
        "is compared with the context of the call",
        "is never there: nothing is allowed by it",
        encryption_context,
    ),
    Difference("what `kms:CreateAlias` is done to", "the alias and the key", "everything: `*` has to be allowed", alias),
    Difference("a part of less than 5 MiB before the last", "`EntityTooSmall`", "is taken", small_part),
    Difference("the checksum in the answer to `PutObject`", "is there", "is not", checksum),
    Difference("`TimeToLiveSpecification` in a template", "turns expiry on", "is passed over", expiry),
    Difference("`BucketEncryption` with a KMS key in a template", "is used", "becomes `AES256`", bucket_key),
    Difference("scaling, PrivateLink and alarms of several metrics in a template", "are there", "are refused", kinds),
)


def table() -> str:
    """The table as ARCHITECTURE.md has it."""
    lines = ["| what | AWS | ministack 1.5.33 |", "|---|---|---|"]
    lines += [f"| {one.what} | {one.aws} | {one.ministack} |" for one in DIFFERENCES]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ministack", required=True, type=Path)
    parser.add_argument("--logs", required=True, type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    ministack, endpoint = deployment.start_ministack(options.ministack, options.logs)
    try:
        parameters = {"RegistryHost": "registry.example.com", "RootAccessKeyId": "AKIADIFFERENCES00000"}
        asked = Asked(deploy.deploy(endpoint, "ministack", parameters, adapted=False))
        gone = [one.what for one in DIFFERENCES if not one.is_so(asked)]
    finally:
        ministack.terminate()
        ministack.wait()
    for what in gone:
        print(f"differences: no longer so: {what}", file=sys.stderr)
    if not options.check:
        print(table())
    else:
        written = re.search(f"{MARKERS[0]}\n(.*)\n{MARKERS[1]}", ARCHITECTURE.read_text(), re.DOTALL)
        if not written or written[1] != table():
            print("differences: ARCHITECTURE.md has another table", file=sys.stderr)
            return 1
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())

"""IAM and STS through boto3 and the stock AWS CLI."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.server import Server

ALLOW_LIST = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": ["ecr:DescribeRepositories"], "Resource": "*"},
}


def client(server: Server, service: str, key: dict | None = None):
    """A client of the server, as its root or with another key."""
    key = key or {
        "AccessKeyId": server.access_key,
        "SecretAccessKey": server.secret_key,
        "SessionToken": None,
    }
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key.get("SessionToken"),
        config=Config(retries={"max_attempts": 0}),
    )


def code_of(call, **parameters) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


# The instances of a deployment may each believe a policy for a while.
@pytest.mark.own_server
def test_the_life_of_a_user(server: Server) -> None:
    iam = client(server, "iam")
    for number in range(5):
        iam.create_user(UserName=f"user{number}", Path="/paged/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/paged/", PaginationConfig={"PageSize": 2}))
    assert [len(page["Users"]) for page in pages] == [2, 2, 1]
    assert [user["UserName"] for page in pages for user in page["Users"]] == [f"user{number}" for number in range(5)]
    for number in range(5):
        iam.delete_user(UserName=f"user{number}")

    created = iam.create_user(UserName="ada", Tags=[{"Key": "team", "Value": "a"}])["User"]
    assert created["Arn"].endswith(":user/ada") and created["UserId"].startswith("AIDA")
    assert iam.get_user(UserName="ADA")["User"]["UserId"] == created["UserId"]
    assert code_of(iam.create_user, UserName="Ada") == "EntityAlreadyExists"
    assert code_of(iam.get_user, UserName="nobody") == "NoSuchEntity"
    assert code_of(iam.put_user_policy, UserName="ada", PolicyName="p", PolicyDocument="{}") == "MalformedPolicyDocument"
    iam.put_user_policy(UserName="ada", PolicyName="p", PolicyDocument=json.dumps(ALLOW_LIST))
    assert iam.get_user_policy(UserName="ada", PolicyName="p")["PolicyDocument"] == ALLOW_LIST
    keys = [iam.create_access_key(UserName="ada")["AccessKey"] for _ in range(2)]
    assert code_of(iam.create_access_key, UserName="ada") == "LimitExceeded"
    assert code_of(iam.delete_user, UserName="ada") == "DeleteConflict"
    used = client(server, "ecr", keys[0])
    used.describe_repositories()
    assert code_of(used.create_repository, repositoryName="not/allowed") == "AccessDeniedException"
    last_used = iam.get_access_key_last_used(AccessKeyId=keys[0]["AccessKeyId"])
    assert last_used["UserName"] == "ada" and last_used["AccessKeyLastUsed"]["ServiceName"] == "ecr"
    iam.update_access_key(UserName="ada", AccessKeyId=keys[0]["AccessKeyId"], Status="Inactive")
    assert code_of(used.describe_repositories) == "UnrecognizedClientException"
    for key in keys:
        iam.delete_access_key(UserName="ada", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="ada", PolicyName="p")
    iam.delete_user(UserName="ada")
    assert code_of(iam.get_user, UserName="ada") == "NoSuchEntity"


def test_managed_policies_have_versions_and_are_kept_while_attached(server: Server) -> None:
    iam = client(server, "iam")
    arn = iam.create_policy(PolicyName="list", PolicyDocument=json.dumps(ALLOW_LIST))["Policy"]["Arn"]
    for _ in range(4):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(ALLOW_LIST), SetAsDefault=True)
    assert code_of(iam.create_policy_version, PolicyArn=arn, PolicyDocument=json.dumps(ALLOW_LIST)) == "LimitExceeded"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v5"
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == ALLOW_LIST
    assert code_of(iam.delete_policy_version, PolicyArn=arn, VersionId="v5") == "DeleteConflict"
    iam.create_group(GroupName="listers")
    iam.attach_group_policy(GroupName="listers", PolicyArn=arn)
    assert code_of(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyGroups"][0]["GroupName"] == "listers"
    iam.detach_group_policy(GroupName="listers", PolicyArn=arn)
    for version in ["v1", "v2", "v3", "v4"]:
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)
    iam.delete_group(GroupName="listers")
    aws = [page["Policies"] for page in iam.get_paginator("list_policies").paginate(Scope="AWS")]
    assert "AmazonEC2ContainerRegistryPowerUser" in [policy["PolicyName"] for page in aws for policy in page]


def test_a_role_is_assumed(server: Server) -> None:
    iam = client(server, "iam")
    account = client(server, "sts").get_caller_identity()["Account"]
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "seven"}},
        },
    }
    role = iam.create_role(RoleName="lister", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    assert role["AssumeRolePolicyDocument"] == trust and role["MaxSessionDuration"] == 3600
    iam.attach_role_policy(
        RoleName="lister", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    )
    iam.create_user(UserName="assumer")
    assume = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}
    iam.put_user_policy(UserName="assumer", PolicyName="p", PolicyDocument=json.dumps(assume))
    sts = client(server, "sts", iam.create_access_key(UserName="assumer")["AccessKey"])
    parameters = {"RoleArn": role["Arn"], "RoleSessionName": "run"}
    assert code_of(sts.assume_role, **parameters) == "AccessDenied"
    assumed = sts.assume_role(ExternalId="seven", **parameters)
    assert assumed["AssumedRoleUser"]["Arn"].endswith(":assumed-role/lister/run")
    session = client(server, "ecr", assumed["Credentials"])
    session.describe_repositories()
    assert code_of(session.create_repository, repositoryName="no/right") == "AccessDeniedException"
    nothing = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
    narrow = sts.assume_role(ExternalId="seven", Policy=json.dumps(nothing), **parameters)
    assert code_of(client(server, "ecr", narrow["Credentials"]).describe_repositories) == "AccessDeniedException"
    decisions = iam.simulate_principal_policy(
        PolicySourceArn=role["Arn"], ActionNames=["ecr:ListImages", "ecr:PutImage"]
    )["EvaluationResults"]
    assert [decision["EvalDecision"] for decision in decisions] == ["allowed", "implicitDeny"]
    assert iam.get_account_summary()["SummaryMap"]["Roles"] >= 1

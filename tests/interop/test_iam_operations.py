"""The operations of IAM that no story of the other tests has a part for, through boto3.

Each is called with success, looked at with the operation that reads what it wrote, and
called on what is not there.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.server import ACCOUNT, Server

pytestmark = pytest.mark.own_server


def document(effect: str = "Allow", *actions: str) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": list(actions or ("ecr:ListImages",)), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust(principal: str = ACCOUNT) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


READ_ONLY = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"


@pytest.fixture(scope="module")
def iam(server: Server) -> Iterator[Any]:
    client = boto3.client(
        "iam",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    yield client
    client.close()


def refused(code: str, call: Callable[..., Any], **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    assert len(caught.value.response["Error"]["Message"].split()) > 2


def values(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_groups(iam: Any) -> None:
    iam.create_group(GroupName="builders", Path="/ops/")
    iam.create_user(UserName="grouped")
    iam.add_user_to_group(GroupName="builders", UserName="grouped")
    group = iam.get_group(GroupName="builders")
    assert group["Group"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/ops/builders"
    assert [user["UserName"] for user in group["Users"]] == ["grouped"]
    assert [each["GroupName"] for each in iam.list_groups_for_user(UserName="grouped")["Groups"]] == ["builders"]

    iam.update_group(GroupName="builders", NewGroupName="makers", NewPath="/")
    assert [each["GroupName"] for each in iam.list_groups(PathPrefix="/")["Groups"]].count("makers") == 1
    # The members are those of the group, whatever its name.
    assert [each["GroupName"] for each in iam.list_groups_for_user(UserName="grouped")["Groups"]] == ["makers"]
    refused("NoSuchEntity", iam.get_group, GroupName="builders")
    refused("NoSuchEntity", iam.update_group, GroupName="builders", NewGroupName="x")

    iam.remove_user_from_group(GroupName="makers", UserName="grouped")
    refused("NoSuchEntity", iam.remove_user_from_group, GroupName="makers", UserName="nobody")
    assert iam.get_group(GroupName="makers")["Users"] == []
    iam.delete_user(UserName="grouped")
    iam.delete_group(GroupName="makers")


# Of groups, roles and users: how each is made, named and removed.
HOLDERS = ["group", "role", "user"]


@pytest.fixture(params=HOLDERS)
def holder(request: pytest.FixtureRequest, iam: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """A group, role or user, and how it is named in calls."""
    kind = request.param
    name = {f"{kind.capitalize()}Name": f"holder-{kind}"}
    extra = {"AssumeRolePolicyDocument": json.dumps(trust())} if kind == "role" else {}
    getattr(iam, f"create_{kind}")(**name, **extra)
    yield kind, name
    getattr(iam, f"delete_{kind}")(**name)


def test_inline_policies(iam: Any, holder: tuple[str, dict[str, str]]) -> None:
    kind, name = holder
    calls = {
        "group": (iam.put_group_policy, iam.get_group_policy, iam.list_group_policies, iam.delete_group_policy),
        "role": (iam.put_role_policy, iam.get_role_policy, iam.list_role_policies, iam.delete_role_policy),
        "user": (iam.put_user_policy, iam.get_user_policy, iam.list_user_policies, iam.delete_user_policy),
    }
    put, get, listed, delete = calls[kind]
    for effect in ("Allow", "Deny"):
        put(**name, PolicyName="inline", PolicyDocument=json.dumps(document(effect)))
        found = get(**name, PolicyName="inline")
        assert (found["PolicyName"], found["PolicyDocument"]) == ("inline", document(effect))
    assert listed(**name)["PolicyNames"] == ["inline"]
    refused("MalformedPolicyDocument", put, **name, PolicyName="inline", PolicyDocument='{"Statement": 7}')
    assert get(**name, PolicyName="inline")["PolicyDocument"] == document("Deny")
    delete(**name, PolicyName="inline")
    assert listed(**name)["PolicyNames"] == []
    for call in (get, delete):
        refused("NoSuchEntity", call, **name, PolicyName="inline")


def test_attached_policies(iam: Any, holder: tuple[str, dict[str, str]]) -> None:
    kind, name = holder
    calls = {
        "group": (iam.attach_group_policy, iam.list_attached_group_policies, iam.detach_group_policy),
        "role": (iam.attach_role_policy, iam.list_attached_role_policies, iam.detach_role_policy),
        "user": (iam.attach_user_policy, iam.list_attached_user_policies, iam.detach_user_policy),
    }
    attach, listed, detach = calls[kind]
    # Attaching what is attached is no error.
    for _ in range(2):
        attach(**name, PolicyArn=READ_ONLY)
    (found,) = listed(**name)["AttachedPolicies"]
    assert found == {"PolicyName": READ_ONLY.rpartition("/")[2], "PolicyArn": READ_ONLY}
    refused("NoSuchEntity", attach, **name, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/nothing")
    detach(**name, PolicyArn=READ_ONLY)
    assert listed(**name)["AttachedPolicies"] == []
    refused("NoSuchEntity", detach, **name, PolicyArn=READ_ONLY)


def test_permissions_boundaries(iam: Any) -> None:
    iam.create_user(UserName="bounded")
    iam.create_role(RoleName="bounded", AssumeRolePolicyDocument=json.dumps(trust()))
    iam.put_user_permissions_boundary(UserName="bounded", PermissionsBoundary=READ_ONLY)
    iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=READ_ONLY)
    expected = {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": READ_ONLY}
    assert iam.get_user(UserName="bounded")["User"]["PermissionsBoundary"] == expected
    assert iam.get_role(RoleName="bounded")["Role"]["PermissionsBoundary"] == expected
    iam.delete_user_permissions_boundary(UserName="bounded")
    iam.delete_role_permissions_boundary(RoleName="bounded")
    assert "PermissionsBoundary" not in iam.get_user(UserName="bounded")["User"]
    assert "PermissionsBoundary" not in iam.get_role(RoleName="bounded")["Role"]
    nothing = f"arn:aws:iam::{ACCOUNT}:policy/nothing"
    refused("NoSuchEntity", iam.put_user_permissions_boundary, UserName="bounded", PermissionsBoundary=nothing)
    refused("NoSuchEntity", iam.put_role_permissions_boundary, RoleName="nobody", PermissionsBoundary=READ_ONLY)
    refused("NoSuchEntity", iam.delete_user_permissions_boundary, UserName="nobody")
    refused("NoSuchEntity", iam.delete_role_permissions_boundary, RoleName="nobody")
    iam.delete_user(UserName="bounded")
    iam.delete_role(RoleName="bounded")


def test_roles(iam: Any) -> None:
    iam.create_role(RoleName="changing", Path="/ci/", AssumeRolePolicyDocument=json.dumps(trust()))
    iam.update_role(RoleName="changing", Description="first", MaxSessionDuration=7200)
    role = iam.get_role(RoleName="changing")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("first", 7200)
    assert iam.update_role_description(RoleName="changing", Description="second")["Role"]["Description"] == "second"
    iam.update_assume_role_policy(RoleName="changing", PolicyDocument=json.dumps(trust("222222222222")))
    role = iam.get_role(RoleName="changing")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("second", 7200)
    assert role["AssumeRolePolicyDocument"] == trust("222222222222")
    refused(
        "MalformedPolicyDocument", iam.update_assume_role_policy, RoleName="changing", PolicyDocument='{"Statement": 7}'
    )
    assert [each["RoleName"] for each in iam.list_roles(PathPrefix="/ci/")["Roles"]] == ["changing"]
    for call, more in (
        (iam.get_role, {}),
        (iam.update_role, {"Description": "x"}),
        (iam.update_role_description, {"Description": "x"}),
        (iam.update_assume_role_policy, {"PolicyDocument": json.dumps(trust())}),
    ):
        refused("NoSuchEntity", call, RoleName="nobody", **more)
    iam.delete_role(RoleName="changing")


def test_users_are_renamed(iam: Any) -> None:
    iam.create_user(UserName="before")
    key = iam.create_access_key(UserName="before")["AccessKey"]["AccessKeyId"]
    user = iam.get_user(UserName="before")["User"]["UserId"]
    iam.update_user(UserName="before", NewUserName="after", NewPath="/moved/")
    renamed = iam.get_user(UserName="after")["User"]
    assert (renamed["UserId"], renamed["Path"]) == (user, "/moved/")
    (listed,) = iam.list_access_keys(UserName="after")["AccessKeyMetadata"]
    assert (listed["AccessKeyId"], listed["UserName"], listed["Status"]) == (key, "after", "Active")
    refused("NoSuchEntity", iam.list_access_keys, UserName="before")
    refused("NoSuchEntity", iam.update_user, UserName="before", NewUserName="x")
    iam.delete_access_key(UserName="after", AccessKeyId=key)
    iam.delete_user(UserName="after")


def test_policy_versions(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="versioned", PolicyDocument=json.dumps(document()))["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document("Deny")))
    listed = {each["VersionId"]: each["IsDefaultVersion"] for each in iam.list_policy_versions(PolicyArn=arn)["Versions"]}
    assert listed == {"v1": True, "v2": False}
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    refused("NoSuchEntity", iam.set_default_policy_version, PolicyArn=arn, VersionId="v9")
    refused("NoSuchEntity", iam.list_policy_versions, PolicyArn=arn + "x")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy(PolicyArn=arn)


def test_oidc_providers(iam: Any) -> None:
    thumbprints = ["a" * 40, "b" * 40]
    made = iam.create_open_id_connect_provider(
        Url="https://tokens.example.com", ClientIDList=["one"], ThumbprintList=thumbprints[:1]
    )
    arn = made["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/tokens.example.com"
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    provider = {"OpenIDConnectProviderArn": arn}
    # Twice is once.
    for _ in range(2):
        iam.add_client_id_to_open_id_connect_provider(**provider, ClientID="two")
    iam.update_open_id_connect_provider_thumbprint(**provider, ThumbprintList=thumbprints)
    found = iam.get_open_id_connect_provider(**provider)
    assert (found["Url"], sorted(found["ClientIDList"])) == ("tokens.example.com", ["one", "two"])
    assert found["ThumbprintList"] == thumbprints
    for _ in range(2):
        iam.remove_client_id_from_open_id_connect_provider(**provider, ClientID="one")
    assert iam.get_open_id_connect_provider(**provider)["ClientIDList"] == ["two"]
    iam.delete_open_id_connect_provider(**provider)
    for call, more in (
        (iam.get_open_id_connect_provider, {}),
        (iam.add_client_id_to_open_id_connect_provider, {"ClientID": "x"}),
        (iam.remove_client_id_from_open_id_connect_provider, {"ClientID": "x"}),
        (iam.update_open_id_connect_provider_thumbprint, {"ThumbprintList": thumbprints}),
    ):
        refused("NoSuchEntity", call, **provider, **more)


def test_tags(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="tagged", PolicyDocument=json.dumps(document()))["Policy"]["Arn"]
    made = iam.create_open_id_connect_provider(Url="https://tagged.example.com", ClientIDList=["one"])
    iam.create_user(UserName="tagged")
    iam.create_role(RoleName="tagged", AssumeRolePolicyDocument=json.dumps(trust()))
    provider = {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}
    nobody = {"OpenIDConnectProviderArn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/nobody.example.com"}
    kinds: list[tuple[Any, Any, Any, dict[str, str], dict[str, str]]] = [
        (iam.tag_policy, iam.list_policy_tags, iam.untag_policy, {"PolicyArn": arn}, {"PolicyArn": arn + "x"}),
        (iam.tag_role, iam.list_role_tags, iam.untag_role, {"RoleName": "tagged"}, {"RoleName": "nobody"}),
        (iam.tag_user, iam.list_user_tags, iam.untag_user, {"UserName": "tagged"}, {"UserName": "nobody"}),
        (
            iam.tag_open_id_connect_provider,
            iam.list_open_id_connect_provider_tags,
            iam.untag_open_id_connect_provider,
            provider,
            nobody,
        ),
    ]
    for tag, listed, untag, name, missing in kinds:
        tag(**name, Tags=[{"Key": "colour", "Value": "red"}, {"Key": "size", "Value": ""}])
        tag(**name, Tags=[{"Key": "colour", "Value": "blue"}])
        assert values(listed(**name)["Tags"]) == {"colour": "blue", "size": ""}
        # What is not there is taken away without an error.
        untag(**name, TagKeys=["colour", "nothing"])
        assert values(listed(**name)["Tags"]) == {"size": ""}
        refused("NoSuchEntity", tag, **missing, Tags=[{"Key": "a", "Value": "b"}])
        refused("NoSuchEntity", listed, **missing)
        refused("NoSuchEntity", untag, **missing, TagKeys=["a"])
        refused("InvalidInput", tag, **name, Tags=[{"Key": "aws:reserved", "Value": "x"}])
    iam.delete_policy(PolicyArn=arn)
    iam.delete_open_id_connect_provider(**provider)
    iam.delete_user(UserName="tagged")
    iam.delete_role(RoleName="tagged")


def test_simulation(iam: Any) -> None:
    policy = document("Allow", "ecr:ListImages")
    policy["Statement"][0]["Condition"] = {"StringEquals": {"aws:PrincipalTag/team": "a"}}
    text = json.dumps(policy)
    context = {"ContextKeyName": "aws:PrincipalTag/team", "ContextKeyType": "string"}
    for team, decision in (("a", "allowed"), ("b", "implicitDeny")):
        (result,) = iam.simulate_custom_policy(
            PolicyInputList=[text],
            ActionNames=["ecr:ListImages"],
            ContextEntries=[context | {"ContextKeyValues": [team]}],
        )["EvaluationResults"]
        assert (result["EvalActionName"], result["EvalDecision"]) == ("ecr:ListImages", decision)
    keys = ["aws:PrincipalTag/team"]
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=[text])["ContextKeyNames"] == keys
    iam.create_user(UserName="simulated")
    iam.put_user_policy(UserName="simulated", PolicyName="p", PolicyDocument=text)
    source = {"PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/simulated"}
    assert iam.get_context_keys_for_principal_policy(**source)["ContextKeyNames"] == keys
    refused("NoSuchEntity", iam.get_context_keys_for_principal_policy, PolicySourceArn=source["PolicySourceArn"] + "x")
    iam.delete_user_policy(UserName="simulated", PolicyName="p")
    iam.delete_user(UserName="simulated")


def test_all_of_an_account(iam: Any) -> None:
    iam.create_user(UserName="detailed")
    iam.put_user_policy(UserName="detailed", PolicyName="p", PolicyDocument=json.dumps(document()))
    iam.create_role(RoleName="detailed", AssumeRolePolicyDocument=json.dumps(trust()))
    pages = iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 1})
    users, roles = [], []
    for page in pages:
        users += page["UserDetailList"]
        roles += page["RoleDetailList"]
    (user,) = [each for each in users if each["UserName"] == "detailed"]
    assert user["UserPolicyList"] == [{"PolicyName": "p", "PolicyDocument": document()}]
    (role,) = [each for each in roles if each["RoleName"] == "detailed"]
    assert role["AssumeRolePolicyDocument"] == trust()
    iam.delete_user_policy(UserName="detailed", PolicyName="p")
    iam.delete_user(UserName="detailed")
    iam.delete_role(RoleName="detailed")


def test_what_is_not_kept(iam: Any) -> None:
    """What tools ask for before they delete a user or role: there is none of it."""
    iam.create_user(UserName="plain")
    iam.create_role(RoleName="plain", AssumeRolePolicyDocument=json.dumps(trust()))
    user = {"UserName": "plain"}
    assert iam.list_mfa_devices(**user)["MFADevices"] == []
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_ssh_public_keys(**user)["SSHPublicKeys"] == []
    assert iam.list_service_specific_credentials(**user)["ServiceSpecificCredentials"] == []
    assert iam.list_signing_certificates(**user)["Certificates"] == []
    assert iam.list_account_aliases()["AccountAliases"] == []
    assert iam.list_instance_profiles_for_role(RoleName="plain")["InstanceProfiles"] == []
    refused("NoSuchEntity", iam.get_login_profile, **user)
    refused("NoSuchEntity", iam.delete_login_profile, **user)
    for call in (iam.list_mfa_devices, iam.list_ssh_public_keys, iam.list_signing_certificates):
        refused("NoSuchEntity", call, UserName="nobody")
    refused("NoSuchEntity", iam.list_instance_profiles_for_role, RoleName="nobody")
    iam.delete_user(UserName="plain")
    iam.delete_role(RoleName="plain")

"""Logging in with a token of an OpenID Connect issuer, as jobs of CI systems do.

The `aws` program and boto3 know nothing but a file with the token, the role and
the address: they call AssumeRoleWithWebIdentity by themselves.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from conftest import new_server
from support.clients import Skopeo
from support.images import OCI_MANIFEST, Image
from support.issuer import Issuer, issuer
from support.process import CommandFailed, run
from support.server import ACCOUNT, REGION, Registry, Server

pytestmark = pytest.mark.own_server

AUDIENCE = "sts.amazonaws.com"
SUBJECT = "repo:acme/web:ref:refs/heads/main"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci"


@pytest.fixture(scope="module")
def idp(module_scratch: Path) -> Iterator[Issuer]:
    with issuer(module_scratch / "issuer") as made:
        yield made


@pytest.fixture(scope="module")
def trusting(module_scratch: Path, idp: Issuer) -> Iterator[Server]:
    """A server with the issuer as a provider, and a role for its tokens."""
    options = ("--allow-private-issuers", "--issuer-ca", idp.certificate)
    server = new_server(module_scratch / "server", *options)
    iam = boto3.Session(
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=REGION,
    ).client("iam", endpoint_url=server.url, config=Config(proxies={}))
    provider = iam.create_open_id_connect_provider(Url=idp.url, ClientIDList=[AUDIENCE])
    condition = {"StringEquals": {f"{idp.host}:aud": AUDIENCE, f"{idp.host}:sub": SUBJECT}}
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Federated": provider["OpenIDConnectProviderArn"]},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": condition,
        },
    }
    iam.create_role(RoleName="ci", AssumeRolePolicyDocument=json.dumps(trust))
    actions = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    policy = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"},
    }
    iam.put_role_policy(RoleName="ci", PolicyName="pull", PolicyDocument=json.dumps(policy))
    yield server
    server.stop()


def aws(server: Server, token: str, scratch: Path, *args: str) -> str:
    """Runs `aws` with a token and without keys."""
    file = scratch / "token"
    file.write_text(token)
    return run(
        [Path(sys.executable).with_name("aws"), *args],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(scratch),
            "LANG": "C.UTF-8",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
            "AWS_ROLE_ARN": ROLE,
            "AWS_ROLE_SESSION_NAME": "build",
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ENDPOINT_URL_STS": server.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_DEFAULT_OUTPUT": "json",
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        },
    )


def test_a_token_is_somebody(trusting: Server, idp: Issuer, scratch: Path) -> None:
    token = idp.token(SUBJECT, AUDIENCE)
    identity: Any = json.loads(aws(trusting, token, scratch, "sts", "get-caller-identity"))
    assert identity["Account"] == ACCOUNT
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/build"


def test_a_job_logs_in_and_pulls(
    trusting: Server, idp: Issuer, image: Image, repository: str, scratch: Path
) -> None:
    skopeo = Skopeo(scratch)
    skopeo.login(trusting.registry)
    skopeo.push(image.source, f"{trusting.registry.host}/{repository}:v1")

    token = idp.token(SUBJECT, AUDIENCE)
    password = aws(trusting, token, scratch, "ecr", "get-login-password").strip()
    job = Registry(trusting.registry.host, "AWS", password)
    assert job.manifest(repository, "v1") == image.manifest
    for layer in image.layers:
        job.blob(repository, layer.digest)
    # The role may pull and nothing else.
    refused = job.request(
        "PUT",
        f"/v2/{repository}/manifests/v2",
        headers={"Content-Type": OCI_MANIFEST},
        data=image.manifest,
    )
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("subject", "audience", "claims", "said"),
    [
        ("repo:evil/web:ref:refs/heads/main", AUDIENCE, {}, "AccessDenied"),
        (SUBJECT, "somebody", {}, "Incorrect token audience"),
        (SUBJECT, AUDIENCE, {"exp": 1_700_000_000}, "ExpiredTokenException"),
        (SUBJECT, AUDIENCE, {"iss": "https://evil.example"}, "No OpenIDConnect provider found"),
    ],
)
def test_a_token_that_is_not_good(
    trusting: Server,
    idp: Issuer,
    scratch: Path,
    subject: str,
    audience: str,
    claims: dict[str, object],
    said: str,
) -> None:
    token = idp.token(subject, audience, **claims)
    with pytest.raises(CommandFailed, match=said):
        aws(trusting, token, scratch, "sts", "get-caller-identity")

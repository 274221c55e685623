"""Builds the functions and deploys infra/template.yaml with the SAM CLI, to services
that stand for AWS's on this machine.

What such services do not have is left out of the template, and only that; the test of
tests/lambda/differences.py says when that changes. Run by `localstack/up` and by
`tests/lambda/run`, with the Python of .tools/sam.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "target" / "sam"
REGION = "us-east-1"
STACK = "ironwharf"

# Of which services resources are left out, by what stands for AWS.
LEFT_OUT = {
    # Its CloudFormation knows no scaling, no alarm of several metrics and no PrivateLink,
    # and a service of ECS fails at numbers that are parameters. Its tasks would need Docker.
    "ministack": (
        "AWS::ApplicationAutoScaling::",
        "AWS::CloudWatch::Alarm",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::VPCEndpointService",
        "AWS::ECS::Service",
        # Refuses whoever does not speak TLS, which nobody does on one machine.
        "AWS::S3::BucketPolicy",
    ),
    # Its free edition has no load balancers and no containers; `localstack/up` runs both
    # as processes. What depends on them goes too.
    "localstack": (
        "AWS::ApplicationAutoScaling::",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::EC2::",
        "AWS::ECS::",
        "AWS::ElasticLoadBalancingV2::",
        "AWS::Lambda::Permission",
        "AWS::Route53::",
        "AWS::S3::BucketPolicy",
        "AWS::WAFv2::",
    ),
}


# Keys of conditions that ministack does not know.
UNDECIDED = ("dynamodb:LeadingKeys", "kms:EncryptionContext:")


@dataclass
class Stack:
    """What was deployed: resources by their names in the template."""

    endpoint: str
    resources: dict[str, str]

    def client(self, service: str) -> Any:
        """A client of a service, as the holder of the account."""
        return client(service, self.endpoint)

    def environment(self, function: str) -> dict[str, str]:
        """The environment variables that a function was deployed with."""
        configuration = self.client("lambda").get_function_configuration(FunctionName=self.resources[function])
        return configuration["Environment"]["Variables"]

    def root_secret(self) -> str:
        """The secret access key of the registry's root."""
        return self.client("secretsmanager").get_secret_value(SecretId=self.resources["RootSecret"])["SecretString"]

    def session(self, role: str) -> dict[str, str]:
        """What Lambda and ECS give to what runs with a role."""
        arn = self.client("iam").get_role(RoleName=self.resources[role])["Role"]["Arn"]
        given = self.client("sts").assume_role(RoleArn=arn, RoleSessionName=role)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    def ingress_environment(self) -> dict[str, str]:
        """What the template gives to the container of the ingress."""
        own = {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": self.endpoint}
        own["IRONWHARF_ROOT_SECRET_ACCESS_KEY"] = self.root_secret()
        return self.environment("ApiFunction") | own | self.session("IngressRole")


def client(service: str, endpoint: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(proxies={}, retries={"max_attempts": 0}),
    )


def build() -> None:
    """`sam build`, as samconfig.toml has it: each function with cargo-lambda."""
    sam("build", "--build-dir", str(BUILT))


def deploy(endpoint: str, services: str, parameters: dict[str, str], *, adapted: bool = True) -> Stack:
    """`sam deploy` of what `build` has built, but for what `services` do not have."""
    left, template = without(yaml.safe_load((BUILT / "template.yaml").read_text()), LEFT_OUT[services])
    # Beside the other, because paths in it are relative.
    path = BUILT / f"template-{services}.yaml"
    path.write_text(yaml.safe_dump(template, sort_keys=False))
    print(f"deploying all of the template but {', '.join(sorted(left)) or 'nothing'}", file=sys.stderr)
    given = [f"{name}={value}" for name, value in (network(endpoint, services) | parameters).items()]
    sam(
        *("deploy", "--template", str(path), "--stack-name", STACK, "--region", REGION, "--resolve-s3"),
        *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-fail-on-empty-changeset"),
        *("--parameter-overrides", *given),
        endpoint=endpoint,
    )
    listed = client("cloudformation", endpoint).describe_stack_resources(StackName=STACK)["StackResources"]
    stack = Stack(endpoint, {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed})
    if services == "ministack":
        tell_endpoint(stack)
        if adapted:
            adapt_roles(stack)
    return stack


def tell_endpoint(stack: Stack) -> None:
    """Tells the functions where the services are, as LocalStack does of itself."""
    functions = stack.client("lambda")
    for name in stack.resources:
        if name.endswith("Function"):
            variables = stack.environment(name) | {"AWS_ENDPOINT_URL": stack.endpoint}
            functions.update_function_configuration(
                FunctionName=stack.resources[name], Environment={"Variables": variables}
            )


def adapt_roles(stack: Stack) -> None:
    """Makes the policies of the roles such that ministack can decide them as AWS does.

    It knows no variables in policies and none of the keys below (tests/lambda/differences.py).
    There is one tenant here, so its name takes the variable's place; conditions on the keys go. Actions, resources and tags stay, and who may take a tenant role.
    """
    iam = stack.client("iam")
    account = stack.environment("ApiFunction")["IRONWHARF_ROOT_ACCOUNT"]
    for name, role in stack.resources.items():
        if not name.endswith("Role"):
            continue
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            text = json.dumps(document).replace("${aws:PrincipalTag/tenant}", account)
            document = json.loads(text)
            for statement in document["Statement"]:
                conditions = statement.get("Condition", {})
                if any(key.startswith(UNDECIDED) for key in keys_of(conditions)):
                    del statement["Condition"]
                # It knows neither the alias nor the key as what this is done to.
                if statement["Action"] == "kms:CreateAlias":
                    statement["Resource"] = "*"
            iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
        # In place of ECS and Lambda, which would give out the session.
        trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        if any("Service" in statement["Principal"] for statement in trust["Statement"]):
            holder = {"AWS": f"arn:aws:iam::{account}:root"}
            trust["Statement"].append({"Effect": "Allow", "Principal": holder, "Action": "sts:AssumeRole"})
            iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))


def keys_of(conditions: dict[str, dict[str, Any]]) -> set[str]:
    return {key for tests in conditions.values() for key in tests}


def without(template: dict[str, Any], kinds: tuple[str, ...]) -> tuple[set[str], dict[str, Any]]:
    """The template without resources of some kinds and outputs that are of them; what was left out."""
    resources = template["Resources"]
    left = {name for name, resource in resources.items() if resource["Type"].startswith(kinds)}
    # Also what is nothing without them, such as a dashboard that shows them.
    while more := {name for name, resource in resources.items() if referred(resource["Properties"]) & left} - left:
        left |= more
    template["Resources"] = {name: resource for name, resource in resources.items() if name not in left}
    outputs = template["Outputs"].items()
    template["Outputs"] = {name: output for name, output in outputs if not left & referred(output)}
    for resource in template["Resources"].values():
        depends = resource.get("DependsOn", [])
        kept = [name for name in ([depends] if isinstance(depends, str) else depends) if name not in left]
        if depends:
            resource["DependsOn"] = kept
    return {f"{resources[name]['Type']} {name}" for name in left}, template


def referred(value: Any) -> set[str]:
    """The resources that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(referred, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    match value:
        case {"Ref": str(name)}:
            return {name}
        case {"Fn::GetAtt": [str(name), *_]} | {"Fn::GetAtt": str(name)}:
            return {name.split(".")[0]}
        case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), *_]}:
            return set(re.findall(r"\$\{(\w+)", text))
    return referred(list(value.values()))


def network(endpoint: str, services: str) -> dict[str, str]:
    """The parameters that name what is there before: a network and a certificate."""
    if services == "localstack":
        # No resource that is left refers to them.
        return {
            "VpcId": "vpc-0",
            "SubnetIds": "subnet-0,subnet-1",
            "IngressSubnetIds": "subnet-0,subnet-1",
            "CertificateArn": f"arn:aws:acm:{REGION}:000000000000:certificate/none",
            "IngressImage": "ironwharf-ingress:none",
        }
    ec2 = client("ec2", endpoint)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        for number, zone in enumerate("ab")
    ]
    subnets = ",".join(subnet["Subnet"]["SubnetId"] for subnet in subnets)
    certificate = client("acm", endpoint).request_certificate(DomainName="registry.example.com")
    return {
        "VpcId": vpc,
        "SubnetIds": subnets,
        "IngressSubnetIds": subnets,
        "CertificateArn": certificate["CertificateArn"],
        "IngressImage": "ironwharf-ingress:none",
    }


def sam(*arguments: str, endpoint: str | None = None) -> None:
    """Runs the SAM CLI; what it printed is shown if it failed."""
    programs = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    if endpoint:
        environment["AWS_ENDPOINT_URL"] = endpoint
    ran = subprocess.run(
        [str(programs / "sam"), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        # The progress of an upload is one line, overwritten again and again.
        lines = [line.rsplit("\r", 1)[-1] for line in (ran.stdout + ran.stderr).splitlines()]
        raise SystemExit("\n".join([*lines, f"sam {arguments[0]} failed"]))

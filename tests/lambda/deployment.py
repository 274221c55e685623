"""The registry as it is deployed, on this machine: infra/template.yaml, deployed by the
SAM CLI to services that somebody else wrote (ministack), the functions it was deployed
with, the ingress, and a front in the shape of the load balancer.

    deployment.py --ministack PROGRAM --ingress PROGRAM --logs FOLDER -- COMMAND...

Runs the command with REGISTRY_HOST, REGISTRY_PASSWORD, REGISTRY_ACCESS_KEY and _SECRET_KEY, and
says at the end what went where. Each function and the ingress has the rights of its own
role and of sessions of the tenant roles, and no others. A function that failed, wrote an
error to its log or was never frozen is a failure, whatever the command says.
"""

import argparse
import base64
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOCALSTACK = Path(__file__).resolve().parents[2] / "localstack"
sys.path.insert(0, str(LOCALSTACK))

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402

import deploy  # noqa: E402
from front import Front  # noqa: E402
from instances import Function  # noqa: E402
from rules import read_rules  # noqa: E402
from told import Listener  # noqa: E402

INSTANCES = 3
# Of the packages, by the names in the template.
FUNCTIONS = ("PullFunction", "PushFunction", "ApiFunction", "JobsFunction")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait_for(what: str, is_there: Callable[[], bool]) -> None:
    """Waits for a state; a process that does not reach it fails the run."""
    deadline = time.monotonic() + 60
    while not is_there():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} is not there after a minute")
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start_ministack(
    program: Path, logs: Path, *, checks_rights: bool = True
) -> tuple[subprocess.Popen[bytes], str]:
    """A ministack of our own, which checks who may do what unless it is told not to."""
    port = free_port()
    process = subprocess.Popen(
        [str(program)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(logs),
            "TMPDIR": str(logs),
            "AUTH": str(checks_rights).lower(),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            # What it tells functions, as LocalStack does.
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        },
        stdout=(logs / "ministack.log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    wait_for("ministack", lambda: listens(port))
    return process, f"http://127.0.0.1:{port}"


def root_client(host: str, access_key: str, secret_key: str) -> Any:
    """A client of the registry's API, as its root."""
    return boto3.client(
        "ecr",
        endpoint_url=f"http://{host}",
        region_name=deploy.REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(proxies={}),
    )


def login(ecr: Any) -> str:
    """The password of the data plane."""
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().removeprefix("AWS:")


def faults(log: Path) -> list[str]:
    """The lines of a log that tell of a fault."""
    lines = log.read_text(errors="replace").splitlines()
    return [f"{log.name}: {line[:400]}" for line in lines if re.search(r'"level":"ERROR"|panicked', line)]


class Schedule:
    """What the template has each minute, each second."""

    def __init__(self, jobs: Function):
        self.jobs, self.steps = jobs, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.over.wait(1):
            self.steps += self.jobs.invoke({"job": "work"})["steps"]

    def stop(self) -> None:
        self.over.set()
        self.thread.join()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ministack", required=True, type=Path)
    parser.add_argument("--ingress", required=True, type=Path)
    parser.add_argument("--logs", required=True, type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    logs, command = options.logs, options.command[1:]
    logs.mkdir(parents=True, exist_ok=True)

    front_port, ingress_port = free_port(), free_port()
    host = f"127.0.0.1:{front_port}"
    plain = {"PATH": os.environ["PATH"], "HOME": str(logs), "TMPDIR": str(logs), "AWS_REGION": deploy.REGION}
    root_key = "AKIA" + "".join(secrets.choice("ABCDEFGH") for _ in range(16))
    started: list[subprocess.Popen[bytes]] = []
    functions: dict[str, Function] = {}
    front = None
    status = 1
    problems: list[str] = []
    try:
        ministack, endpoint = start_ministack(options.ministack, logs)
        started.append(ministack)
        stack = deploy.deploy(endpoint, "ministack", {"RegistryHost": host, "RootAccessKeyId": root_key})
        listener = Listener(stack)
        plain["AWS_ENDPOINT_URL"] = endpoint
        for name in FUNCTIONS:
            environment = plain | stack.environment(name) | stack.session(f"{name}Role")
            bootstrap = deploy.BUILT / name / "bootstrap"
            functions[name] = Function(name, bootstrap, environment, logs, 1 if name == "JobsFunction" else INSTANCES)
        started.append(
            subprocess.Popen(
                [str(options.ingress)],
                env=plain
                | stack.ingress_environment()
                | {"IRONWHARF_LISTEN": f"127.0.0.1:{ingress_port}"},
                stdout=(logs / "Ingress.log").open("wb"),
                stderr=subprocess.STDOUT,
            )
        )
        wait_for("the ingress", lambda: listens(ingress_port))
        front = Front(read_rules(), functions, f"127.0.0.1:{ingress_port}", front_port)

        ecr = root_client(host, root_key, stack.root_secret())
        # Locally every registry has this one; here, as on AWS, who wants it makes it.
        ecr.create_repository_creation_template(prefix="ROOT", appliedFor=["CREATE_ON_PUSH"])
        password = login(ecr)
        problems += listener.check(ecr)
        schedule = Schedule(functions["JobsFunction"])
        status = subprocess.run(
            command,
            env=os.environ
            | {
                "REGISTRY_HOST": host,
                "REGISTRY_PASSWORD": password,
                "REGISTRY_ACCESS_KEY": root_key,
                "REGISTRY_SECRET_KEY": stack.root_secret(),
            },
            check=False,
        ).returncode
        schedule.stop()
        print(f"jobs: {schedule.steps} steps of work")
    finally:
        if front:
            front.stop()
        for function in functions.values():
            function.stop()
        for process in reversed(started):
            process.terminate()
            process.wait()
    return verdict(status, problems, front, functions, logs)


def verdict(
    status: int, problems: list[str], front: Front, functions: dict[str, Function], logs: Path
) -> int:
    """What went where, and whether all of it was well."""
    if status:
        problems = [*problems, f"the command ended with status {status}"]
    problems += front.failures
    print("requests: " + ", ".join(f"{target} {count}" for target, count in sorted(front.led.items())))
    for name, function in functions.items():
        if not function.invocations:
            problems.append(f"{name} was never called")
        if not any(instance.froze for instance in function.instances):
            problems.append(f"{name} was never frozen")
    for log in sorted(logs.glob("*.log")):
        if log.stem == "ministack":
            continue
        problems += faults(log)
    for problem in problems[:20]:
        print(f"lambda: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""The registry as it is deployed: functions, ingress and load balancer, over services
that somebody else wrote (ministack), on this machine.

    deployment.py --ministack PROGRAM --binaries FOLDER --logs FOLDER -- COMMAND...

Runs the command with REGISTRY_HOST, REGISTRY_PASSWORD, and credentials for the API, and
says at the end what went where. A function that failed, wrote an error to its log or was
never frozen is a failure, whatever the command says.
"""

import argparse
import base64
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.config import Config

from front import Front
from instances import Function
from rules import read_rules

REGION = "us-east-1"
ACCOUNT = "123456789012"
INSTANCES = 3


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


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ministack", required=True, type=Path)
    parser.add_argument("--binaries", required=True, type=Path)
    parser.add_argument("--logs", required=True, type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    logs, command = options.logs, options.command[1:]
    logs.mkdir(parents=True, exist_ok=True)

    services, front_port, ingress_port = free_port(), free_port(), free_port()
    endpoint, host = f"http://127.0.0.1:{services}", f"127.0.0.1:{front_port}"
    plain = {"PATH": os.environ["PATH"], "HOME": str(logs), "TMPDIR": str(logs)}
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    root = {
        "IRONWHARF_ROOT_ACCESS_KEY_ID": "AKIA" + "".join(secrets.choice("ABCDEFGH") for _ in range(16)),
        "IRONWHARF_ROOT_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
    }
    started: list[subprocess.Popen[bytes]] = []
    functions: dict[str, Function] = {}
    front = None
    status = 1
    try:
        started.append(
            subprocess.Popen(
                [str(options.ministack)],
                env=plain
                | {"AUTH": "true", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(services), "IOT_MTLS_ENABLED": "0"},
                stdout=(logs / "ministack.log").open("wb"),
                stderr=subprocess.STDOUT,
            )
        )
        wait_for("ministack", lambda: listens(services))
        # The registry makes what the template makes; it is then stopped.
        maker = subprocess.Popen(
            [str(options.binaries / "ironwharf"), "serve", "--listen", "127.0.0.1:0", "--region", REGION]
            + ["--account", ACCOUNT, "--data-dir", str(logs / "maker"), "--endpoint-url", endpoint],
            env=plain | credentials | root,
            stdout=subprocess.PIPE,
            stderr=(logs / "maker.log").open("wb"),
        )
        assert maker.stdout and b"listening" in maker.stdout.readline(), (logs / "maker.log").read_text()
        maker.terminate()
        maker.wait()

        environment = plain | credentials | {
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": endpoint,
            "IRONWHARF_TABLE": "ironwharf",
            "IRONWHARF_BUCKET": f"ironwharf-{REGION}",
            "IRONWHARF_KMS_KEY": "alias/ironwharf",
            "IRONWHARF_REGISTRY_HOST": host,
            "IRONWHARF_ROOT_ACCOUNT": ACCOUNT,
            "IRONWHARF_ROOT_ACCESS_KEY_ID": root["IRONWHARF_ROOT_ACCESS_KEY_ID"],
        }
        for name in ("pull", "push", "api", "jobs"):
            own = environment | (root if name == "api" else {})
            logical = f"{name.capitalize()}Function"
            bootstrap = options.binaries / f"ironwharf-{name}"
            count = 1 if name == "jobs" else INSTANCES
            functions[logical] = Function(logical, bootstrap, own, logs, count)
        started.append(
            subprocess.Popen(
                [str(options.binaries / "ironwharf-ingress")],
                env=environment | root | {"IRONWHARF_LISTEN": f"127.0.0.1:{ingress_port}"},
                stdout=(logs / "Ingress.log").open("wb"),
                stderr=subprocess.STDOUT,
            )
        )
        wait_for("the ingress", lambda: listens(ingress_port))
        front = Front(read_rules(), functions, f"127.0.0.1:{ingress_port}", front_port)

        ecr = boto3.client(
            "ecr",
            endpoint_url=f"http://{host}",
            region_name=REGION,
            aws_access_key_id=root["IRONWHARF_ROOT_ACCESS_KEY_ID"],
            aws_secret_access_key=root["IRONWHARF_ROOT_SECRET_ACCESS_KEY"],
            config=Config(proxies={}),
        )
        # Locally every registry has this one; here, as on AWS, who wants it makes it.
        ecr.create_repository_creation_template(prefix="ROOT", appliedFor=["CREATE_ON_PUSH"])
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        password = base64.b64decode(token).decode().removeprefix("AWS:")
        status = subprocess.run(
            command,
            env=os.environ | {"REGISTRY_HOST": host, "REGISTRY_PASSWORD": password},
            check=False,
        ).returncode
        done = functions["JobsFunction"].invoke({"job": "work"})
        print(f"jobs: {done}")
    finally:
        if front:
            front.stop()
        for function in functions.values():
            function.stop()
        for process in reversed(started):
            process.terminate()
            process.wait()
    return verdict(status, front, functions, logs)


def verdict(status: int, front: Front, functions: dict[str, Function], logs: Path) -> int:
    """What went where, and whether all of it was well."""
    problems = [f"the command ended with status {status}"] if status else []
    problems += front.failures
    print("requests: " + ", ".join(f"{target} {count}" for target, count in sorted(front.led.items())))
    for name, function in functions.items():
        if not function.invocations:
            problems.append(f"{name} was never called")
        if not any(instance.froze for instance in function.instances):
            problems.append(f"{name} was never frozen")
    for log in sorted(logs.glob("*.log")):
        if log.stem in ("ministack", "maker"):
            continue
        for line in log.read_text(errors="replace").splitlines():
            if re.search(r'"level":"ERROR"|panicked', line):
                problems.append(f"{log.name}: {line[:400]}")
    for problem in problems[:20]:
        print(f"lambda: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""The whole registry over services that stand for AWS's: the deployed functions, the
streaming ingress, and a front in the shape of the load balancer.

    localstack/up                  LocalStack in Docker, started by compose
    localstack/up URL ministack    a ministack that runs at URL
    localstack/up URL localstack   a LocalStack that runs at URL
"""

import argparse
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import deploy
from front import DeployedFunction, Front
from rules import read_rules

COMPOSE = Path(__file__).resolve().parent / "compose.yaml"
FUNCTIONS = ("PullFunction", "PushFunction", "ApiFunction")


def main() -> int:
    parser = argparse.ArgumentParser(prog="localstack/up", description=__doc__.split("\n\n")[0])
    parser.add_argument("url", nargs="?", help="where the services are; without it LocalStack is started in Docker")
    parser.add_argument("services", nargs="?", choices=deploy.LEFT_OUT, default="localstack", help="what is there")
    parser.add_argument("--port", type=int, default=5100, help="where the registry listens")
    options = parser.parse_args()
    url = options.url
    if url is None:
        compose = ["docker", "compose", "--file", str(COMPOSE), "up", "--detach", "--wait"]
        if subprocess.run(compose, check=False).returncode:
            print("localstack/up: Docker did not start LocalStack; give the URL of one that runs", file=sys.stderr)
            return 2
        url = "http://localhost.localstack.cloud:4566"
    say("building the functions and the ingress, which takes minutes the first time")
    deploy.build()
    ingress_program = build_ingress()
    say("deploying the template")
    key = "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
    host = f"localhost:{options.port}"
    stack = deploy.deploy(url, options.services, {"RegistryHost": host, "RootAccessKeyId": key})
    ingress = None
    front = None
    try:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        listen = {"IRONWHARF_LISTEN": f"127.0.0.1:{port}"}
        environment = {**os.environ, **stack.ingress_environment(), **listen}
        ingress = subprocess.Popen([str(ingress_program)], env=environment, stdout=subprocess.PIPE)
        if not ingress.stdout or b"listening" not in ingress.stdout.readline():
            return 1
        threading.Thread(target=lambda: sys.stderr.buffer.writelines(ingress.stdout), daemon=True).start()
        functions = {name: DeployedFunction(stack.client("lambda"), stack.resources[name]) for name in FUNCTIONS}
        front = Front(read_rules(), functions, f"127.0.0.1:{port}", options.port)
        print(
            f"""ironwharf listening on http://{host}

  export AWS_DEFAULT_REGION={deploy.REGION} AWS_ACCESS_KEY_ID={key}
  export AWS_SECRET_ACCESS_KEY={shlex.quote(stack.root_secret())}
  aws ecr get-login-password --endpoint-url http://{host} |
      docker login --username AWS --password-stdin {host}
""",
            flush=True,
        )
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        # Until a signal, or the end of the ingress.
        while not stop.wait(0.2) and ingress.poll() is None:
            pass
    finally:
        if front:
            front.stop()
        if ingress:
            ingress.terminate()
            ingress.wait()
    return 0


def build_ingress() -> Path:
    """The ingress, as infra/ingress/Dockerfile wants it."""
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "ironwharf-ingress"], cwd=deploy.ROOT, check=True)
    return deploy.ROOT / "target" / "release" / "ironwharf-ingress"


def say(sentence: str) -> None:
    print(f"localstack/up: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

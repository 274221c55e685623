"""`ironwharf serve --endpoint-url`, over ministack: one process, and services that
somebody else wrote for its storage.

    endpoint.py --ministack PROGRAM --server PROGRAM --logs FOLDER -- COMMAND...

Runs the command as deployment.py does.
"""

import argparse
import os
import secrets
import subprocess
import sys
from pathlib import Path

import deployment
from deployment import deploy
from split import Split, start_localstack


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ministack", required=True, type=Path)
    parser.add_argument("--server", required=True, type=Path)
    parser.add_argument("--localstack", type=Path, help="the Python that has LocalStack, for S3 and KMS of it")
    parser.add_argument("--logs", required=True, type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    log = options.logs / "server.log"
    port = deployment.free_port()
    host, key, secret = f"127.0.0.1:{port}", f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    ministack, endpoint = deployment.start_ministack(options.ministack, options.logs)
    localstack = None
    if options.localstack:
        localstack, address = start_localstack(options.localstack, options.logs)
        split = Split(address, endpoint.removeprefix("http://"))
        endpoint = split.url
    server = subprocess.Popen(
        [str(options.server), "serve", "--listen", host, "--region", deploy.REGION, "--endpoint-url", endpoint]
        + ["--data-dir", str(options.logs / "data")],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(options.logs),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "IRONWHARF_ROOT_ACCESS_KEY_ID": key,
            "IRONWHARF_ROOT_SECRET_ACCESS_KEY": secret,
        },
        stdout=subprocess.DEVNULL,
        stderr=log.open("wb"),
    )
    try:
        deployment.wait_for("the server", lambda: deployment.listens(port))
        ecr = deployment.root_client(host, key, secret)
        credentials = {
            "REGISTRY_HOST": host,
            "REGISTRY_PASSWORD": deployment.login(ecr),
            "REGISTRY_ACCESS_KEY": key,
            "REGISTRY_SECRET_KEY": secret,
        }
        status = subprocess.run(options.command[1:], env=os.environ | credentials, check=False).returncode
    finally:
        server.terminate()
        stopped = server.wait()
        for services in filter(None, (ministack, localstack)):
            services.terminate()
            services.wait()
    if localstack:
        print(f"requests: {split.led}")
    problems = [f"the command ended with status {status}"] if status else []
    problems += [f"the server ended with status {stopped}"] if stopped else []
    problems += deployment.faults(log)
    for problem in problems[:20]:
        print(f"endpoint: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

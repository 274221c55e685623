"""`localstack/up`, over ministack: what it prints is done, with skopeo and the AWS CLI.
Once as over ministack, and once as over LocalStack, which checks no rights and has no
load balancers and no containers.

    up.py --ministack PROGRAM --logs FOLDER
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import deployment
from deployment import LOCALSTACK

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "interop"))

from support.images import assert_layout_equals, write_image  # noqa: E402

PROGRAMS = Path(sys.executable).parent


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ministack", required=True, type=Path)
    parser.add_argument("--logs", required=True, type=Path)
    options = parser.parse_args()
    for services in ("ministack", "localstack"):
        logs = options.logs / services
        logs.mkdir(parents=True, exist_ok=True)
        ministack, endpoint = deployment.start_ministack(
            options.ministack, logs, checks_rights=services == "ministack"
        )
        try:
            check(endpoint, services, logs / "up.log")
        finally:
            ministack.terminate()
            ministack.wait()
    return 0


def check(endpoint: str, services: str, log: Path) -> None:
    port = deployment.free_port()
    host = f"localhost:{port}"
    up = subprocess.Popen(
        [str(LOCALSTACK / "up"), endpoint, services, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=log.open("wb"),
        text=True,
    )
    try:
        assert up.stdout
        printed = ""
        while "docker login" not in printed:
            line = up.stdout.readline()
            if not line:
                raise SystemExit(log.read_text())
            printed += line
        assert f"ironwharf listening on http://{host}\n" in printed, printed
        exports = [shlex.split(line)[1:] for line in printed.splitlines() if line.startswith("  export ")]
        use(host, dict(one.split("=", 1) for export in exports for one in export))
        print(f"localstack/up as over {services}: pushed, pulled and described")
    finally:
        up.send_signal(signal.SIGINT)
        stopped = up.wait()
    assert stopped == 0, f"it stopped with {stopped}"


def use(host: str, credentials: dict[str, str]) -> None:
    """A first push and pull, and a look at the image."""
    environment = {**os.environ, **credentials, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "AWS_PAGER": ""}

    def run(*command: str) -> str:
        ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert ran.returncode == 0, f"{command[0]} {command[1]}: {ran.stderr}"
        return ran.stdout

    api = ("--endpoint-url", f"http://{host}")
    password = run("aws", "ecr", "get-login-password", *api).strip()
    run("aws", "ecr", "create-repository", "--repository-name", "team/app", *api)
    with tempfile.TemporaryDirectory() as folder:
        image = write_image(Path(folder) / "pushed", "up")
        place = f"docker://{host}/team/app:one"
        copy = ("skopeo", "copy", "--preserve-digests")
        run(*copy, "--dest-tls-verify=false", "--dest-creds", f"AWS:{password}", image.source, place)
        pulled = Path(folder) / "pulled"
        run(*copy, "--src-tls-verify=false", "--src-creds", f"AWS:{password}", place, f"oci:{pulled}:latest")
        assert_layout_equals(image, pulled)
        described = run("aws", "ecr", "describe-images", "--repository-name", "team/app", *api)
        assert image.digest in described, described


if __name__ == "__main__":
    sys.exit(main())

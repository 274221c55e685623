"""The README: every command in it, in order, as a newcomer would type it."""

import re
import sys
from pathlib import Path

import pytest

from support.clients import Docker, run_confined
from support.images import Image, write_docker_archive
from support.process import Daemon
from support.server import binary_path

REPOSITORY = Path(__file__).parents[2]

# What starts the server and what runs the tests is done by others: the server
# is started below, without an argument too, and this test is one of the tests.
DONE_ELSEWHERE = [
    "cargo run --release\n",
    "cargo test --workspace\n",
    "tests/interop/run\ntests/conformance/run\ntests/lambda/run\n",
    # tests/lambda builds and deploys so, to services that stand for AWS.
    'localstack/install && export PATH="$PWD/.tools/sam/bin:$PATH"\nsam build\nsam deploy --config-env dev\n',
    "localstack/up\nlocalstack/up http://127.0.0.1:4566 ministack\n",
]


def commands() -> list[str]:
    """The shell blocks of the README, but for those done elsewhere."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.M | re.S)
    assert [block for block in blocks if block in DONE_ELSEWHERE] == DONE_ELSEWHERE
    return [block for block in blocks if block not in DONE_ELSEWHERE]


@pytest.mark.own_server
def test_every_command_works(docker: Docker, image: Image, scratch: Path) -> None:
    write_docker_archive(image, scratch / "image.tar", "busybox:latest")
    docker.docker("load", "--input", scratch / "image.tar")

    home = scratch / "newcomer"
    home.mkdir()
    output = home / "server.out"
    env = docker.env | {
        "HOME": str(home),
        "XDG_DATA_HOME": "",
        # The port of the README may be taken on this machine.
        "IRONWHARF_LISTEN": "127.0.0.1:0",
        "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    server = Daemon([binary_path()], env=env, log=home / "server.log", stdout=output)
    try:
        found: list[str] = []

        def is_ready() -> bool:
            found[:] = re.findall(r"^ironwharf listening on http://127.0.0.1:(\d+)$", output.read_text(), re.M)
            return bool(found)

        server.wait_until(is_ready, "the ready line")
        script = "".join(commands()).replace("localhost:5100", f"localhost:{found[0]}")
        # The README takes the release build; the suite may be told another one.
        script = script.replace('"$PWD/target/release:$PATH"', f'"{binary_path().parent}:$PATH"')
        # The engine is in the scratch folder, and skopeo does not read DOCKER_HOST.
        script = script.replace("docker-daemon:", f"--src-daemon-host {docker.env['DOCKER_HOST']} docker-daemon:")
        env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
        printed = run_confined(home, ["bash", "-euo", "pipefail", "-c", script], env=env)
        assert "Login Succeeded" in printed
        assert '"repositoryName": "team/app"' in printed
        assert '"repositoryName": "elsewhere"' in printed
    finally:
        assert server.stop() == 0

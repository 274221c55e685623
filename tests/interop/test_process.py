"""The program as a process: what it says when it cannot start, and how it stops."""

import http.client
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from support.images import sha256
from support.server import Server, binary_path

pytestmark = pytest.mark.own_server


def refuse(*args: str | Path, home: Path, **variables: str) -> str:
    """Starts the program, which must refuse with status 2 and one sentence."""
    done = subprocess.run(
        [str(binary_path()), *map(str, args)],
        env={"HOME": str(home), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, f"status {done.returncode}: {done.stderr}"
    assert "panicked" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--listen", "5100", "--listen"),
        ("--listen", "localhost:x", "127.0.0.1:5100"),
        ("--account", "12", "12 digits"),
        ("--region", "nowhere", "us-east-1"),
        ("--registry-host", "http://x", "not a host name"),
        ("--endpoint-url", "nope", "http://localhost:4566"),
        ("--create-on-push", "maybe", "true, false"),
        ("--no-such-option", "x", "--no-such-option"),
    ],
)
def test_a_bad_option(option: str, value: str, said: str, scratch: Path) -> None:
    assert said in refuse("serve", option, value, home=scratch)


def test_an_endpoint_without_credentials(scratch: Path) -> None:
    where = ("--listen", "127.0.0.1:0", "--data-dir", scratch / "data", "--endpoint-url", "http://127.0.0.1:9")
    said = refuse("serve", *where, home=scratch, AWS_EC2_METADATA_DISABLED="true")
    assert said.startswith("ironwharf: there are no AWS credentials for --endpoint-url: set AWS_ACCESS_KEY_ID")
    assert said.count("\n") == 1, said


def test_a_data_folder_of_another_account(scratch: Path) -> None:
    folder = scratch / "data"
    Server(folder, scratch, scratch).stop()
    where = ("--listen", "127.0.0.1:0", "--data-dir", folder)
    said = refuse("serve", *where, "--account", "111111111111", home=scratch)
    assert "belongs to account 000000000000; start with --account 000000000000" in said


def test_a_busy_port(scratch: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refuse("serve", "--listen", address, "--data-dir", scratch / "data", home=scratch)
    assert f"cannot listen on {address}" in said
    assert "--listen" in said


def test_a_data_folder_in_use(fresh_server: Server, scratch: Path) -> None:
    folder = scratch / "server" / "data"
    said = refuse("serve", "--listen", "127.0.0.1:0", "--data-dir", folder, home=scratch)
    assert re.search(r"in use|another", said), said
    # The server that has it is not disturbed.
    assert fresh_server.registry.get("/v2/").status_code == 200


def test_a_stop_lets_an_upload_finish(fresh_server: Server) -> None:
    registry = fresh_server.registry
    content = b"x" * (6 * 1024 * 1024)
    started = registry.request("POST", "/v2/stopped/blobs/uploads/")
    path = f"{started.headers['Location']}?digest={sha256(content)}"
    upload = http.client.HTTPConnection(registry.host, timeout=60)
    upload.putrequest("PUT", path)
    upload.putheader("Authorization", registry.authorization)
    upload.putheader("Content-Length", str(len(content)))
    upload.endheaders()
    upload.send(content[:1000])
    # Answered on another connection: the server has seen the one above by now.
    registry.get("/v2/")
    process = fresh_server._daemon.process
    process.send_signal(signal.SIGTERM)
    # It takes no new connections any more, but this one goes on.
    while True:
        try:
            socket.create_connection(registry.host.split(":"), timeout=60).close()
        except ConnectionResetError:
            # It was waiting to be accepted when the socket closed.
            continue
        except ConnectionRefusedError:
            break
    upload.send(content[1000:])
    with upload.getresponse() as answer:
        assert answer.status == 201
        answer.read()
    upload.close()
    assert process.wait(timeout=60) == 0

    fresh_server.restart()
    assert fresh_server.registry.blob("stopped", sha256(content)) == content


def test_the_keys_never_reach_a_log(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUST_LOG", "trace")
    for name in ("logs", "home"):
        (scratch / "own" / name).mkdir(parents=True)
    server = Server(scratch / "own" / "data", scratch / "own" / "logs", scratch / "own" / "home")
    server.registry.push_blob("logged", b"bytes of a layer")
    server.stop()
    log = (scratch / "own" / "logs" / "server-1.log").read_text()
    assert "answered" in log
    for secret in ("Plaintext", server.secret_key, server.registry.password, "X-Amz-Signature", "bytes of a layer"):
        assert secret not in log

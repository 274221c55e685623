"""The registry under test: our own server, or one that runs already."""

import base64
import os
import re
import secrets
import signal
import string
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import boto3
import requests
from botocore.config import Config

from support.images import ALL_MANIFESTS, sha256
from support.process import STATE_LIMIT_SECONDS, Daemon, run

ACCOUNT = "000000000000"
REGION = "us-east-1"

# How clients put a 401 or 403 into words. (Not the numbers: ports contain them.)
REFUSED = "(?i)unauthorized|authentication required|invalid username/password|denied|forbidden"

REPOSITORY_ROOT = Path(__file__).resolve().parents[3]

# With the end of the line, so that a line written only in part does not match.
_READY_LINE = re.compile(r"http://(127\.0\.0\.1:[0-9]+).*\n")


def binary_path() -> Path:
    return Path(
        os.environ.get("IRONWHARF_BIN") or REPOSITORY_ROOT / "target" / "release" / "ironwharf"
    )


@dataclass
class Registry:
    """Where a registry is and what opens it."""

    host: str
    user: str
    password: str

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def localhost(self) -> str:
        """The same address in the form that people type."""
        return "localhost:" + self.host.rpartition(":")[2]

    @property
    def authorization(self) -> str:
        credentials = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(credentials).decode()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Makes a request; `path` may also be a Location, relative or absolute."""
        with requests.Session() as session:
            # Without this, requests would pick up proxies and a .netrc of the machine.
            session.trust_env = False
            if self.user:
                session.auth = (self.user, self.password)
            url = urljoin(self.url, path)
            return session.request(method, url, timeout=STATE_LIMIT_SECONDS, **options)

    def get(self, path: str, status: int = 200, **options: Any) -> requests.Response:
        return expect(self.request("GET", path, **options), status)

    def manifest(self, repository: str, reference: str) -> bytes:
        """The stored bytes of a manifest, with the digest header checked against them."""
        response = self.get(
            f"/v2/{repository}/manifests/{reference}",
            headers={"Accept": ", ".join(ALL_MANIFESTS)},
        )
        assert response.headers["Docker-Content-Digest"] == sha256(response.content)
        return response.content

    def blob(self, repository: str, digest: str) -> bytes:
        content = self.get(f"/v2/{repository}/blobs/{digest}").content
        assert sha256(content) == digest
        return content

    def push_blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Pushes in one request and returns the descriptor without a media type."""
        digest = sha256(content)
        response = self.request(
            "POST",
            f"/v2/{repository}/blobs/uploads/",
            params={"digest": digest},
            headers={"Content-Type": "application/octet-stream"},
            data=content,
        )
        expect(response, 201)
        return {"digest": digest, "size": len(content)}

    def push_manifest(
        self, repository: str, reference: str, manifest: bytes, media_type: str
    ) -> requests.Response:
        response = self.request(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            headers={"Content-Type": media_type},
            data=manifest,
        )
        return expect(response, 201)

    def tags(self, repository: str) -> list[str]:
        return self.get(f"/v2/{repository}/tags/list").json()["tags"]

    def referrers(self, repository: str, digest: str, **parameters: str) -> requests.Response:
        return self.get(f"/v2/{repository}/referrers/{digest}", params=parameters)


def download(url: str) -> bytes:
    """Fetches what a presigned URL stands for, with nothing but the URL."""
    with requests.Session() as session:
        session.trust_env = False
        return expect(session.get(url, timeout=STATE_LIMIT_SECONDS), 200).content


def expect(response: requests.Response, status: int) -> requests.Response:
    request = response.request
    assert response.status_code == status, (
        f"{request.method} {request.url} answered {response.status_code}: {response.text[:2000]}"
    )
    return response


class Managed:
    """A registry and the credentials of its root, for the API."""

    registry: Registry

    def __init__(self, home: Path, access_key: str, secret_key: str):
        self._home = home
        self.access_key = access_key
        self.secret_key = secret_key

    @property
    def url(self) -> str:
        return self.registry.url

    def aws(self, *args: str, host: str | None = None) -> str:
        """Runs the `aws` command line program against this registry."""
        return run(
            [
                Path(sys.executable).with_name("aws"),
                "--endpoint-url",
                f"http://{host or self.registry.host}",
                *args,
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._home),
                "LANG": "C.UTF-8",
                "AWS_ACCESS_KEY_ID": self.access_key,
                "AWS_SECRET_ACCESS_KEY": self.secret_key,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_DEFAULT_OUTPUT": "json",
                "AWS_PAGER": "",
                "AWS_EC2_METADATA_DISABLED": "true",
                # One attempt: a request that fails now and then has to be seen.
                "AWS_MAX_ATTEMPTS": "1",
            },
        )

    def ecr(self, secret_key: str | None = None) -> Any:
        """A boto3 client for the ECR API."""
        session = boto3.Session(
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            region_name=REGION,
        )
        return session.client(
            "ecr",
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )


class Deployment(Managed):
    """A registry that runs already."""

    def __init__(self, registry: Registry, home: Path, access_key: str, secret_key: str):
        super().__init__(home, access_key, secret_key)
        self.registry = registry


class Server(Managed):
    """An Ironwharf process on a port of its own."""

    def __init__(
        self, data_directory: Path, logs: Path, home: Path, options: Sequence[str | Path] = ()
    ):
        access_key = "AKIA" + "".join(secrets.choice(string.ascii_uppercase) for _ in range(16))
        super().__init__(home, access_key, secrets.token_hex(20))
        self._options = options
        self._data_directory = data_directory
        self._logs = logs
        self._starts = 0
        self._start()

    def _start(self) -> None:
        binary = binary_path()
        assert os.access(binary, os.X_OK), f"no server at {binary}: build it, or set IRONWHARF_BIN"
        self._starts += 1
        self._stdout = self._logs / f"server-{self._starts}.out"
        self._daemon = Daemon(
            [
                *(binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", self._data_directory),
                *self._options,
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._home),
                "IRONWHARF_ROOT_ACCESS_KEY_ID": self.access_key,
                "IRONWHARF_ROOT_SECRET_ACCESS_KEY": self.secret_key,
                # Set, for instance, to see each request in the log of a failing run.
                **{name: os.environ[name] for name in ("RUST_LOG",) if name in os.environ},
            },
            log=self._logs / f"server-{self._starts}.log",
            stdout=self._stdout,
        )
        found: list[str] = []

        def is_ready() -> bool:
            match = _READY_LINE.search(self._stdout.read_text())
            if match:
                found.append(match[1])
            return match is not None

        self._daemon.wait_until(is_ready, "the ready line")
        self.registry = Registry(found[0], "AWS", self._password(found[0]))

    def _password(self, host: str) -> str:
        return self.aws("ecr", "get-login-password", host=host).strip()

    def kill(self) -> None:
        """Ends the process the way a power cut would: without a chance to tidy up."""
        self._daemon.process.send_signal(signal.SIGKILL)
        self._daemon.process.wait()

    def restart(self) -> None:
        assert self._daemon.process.poll() is not None, "the server is still running"
        self._start()

    def stop(self) -> None:
        status = self._daemon.stop()
        log = self._daemon.log.read_text(errors="replace")
        assert status == 0, f"the server ended with status {status} after SIGTERM\n{log[-8000:]}"
        ready = _READY_LINE.findall(self._stdout.read_text())
        assert len(ready) == 1, f"more than one ready line: {ready}"


def image_ids(images: Sequence[dict[str, str]]) -> set[tuple[str, str | None]]:
    """`imageIds` of the API as a set of (digest, tag)."""
    return {(image["imageDigest"], image.get("imageTag")) for image in images}

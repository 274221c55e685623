"""A layer of 10 GiB through the streaming ingress, and many layers at once: how much
memory it takes.

    large.py --ministack PROGRAM --ingress PROGRAM --logs FOLDER [--gibibytes N]

The object store takes parts and forgets them, since nothing else here could keep 10 GiB
and say nothing about the ingress; it answers as S3 does. All else is ministack's. Fails
if the ingress needs more than the template gives it, or more than 256 MiB for one layer.
"""

import argparse
import base64
import hashlib
import http.client
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import deployment
from deployment import deploy
from front import DeployedFunction, Front
from rules import read_rules

ONE_LAYER_KIB = 256 * 1024
BLOCK = 1024 * 1024
# As many as have places at once in the ingress, and more.
AT_ONCE = 32
AT_ONCE_MIB = 128


class ForgetfulStore(BaseHTTPRequestHandler):
    """Multipart uploads of S3, without their bytes; other requests go on to ministack."""

    protocol_version = "HTTP/1.1"
    services = ""
    stored = 0
    lock = threading.Lock()

    def log_message(self, *_: Any) -> None:
        pass

    def do_PUT(self) -> None:
        parameters = parse_qs(urlsplit(self.path).query)
        if "partNumber" not in parameters:
            self._pass_on()
            return
        length = self._read()
        with ForgetfulStore.lock:
            ForgetfulStore.stored += length
        self._answer(b"", {"ETag": f'"{secrets.token_hex(16)}"'})

    def do_POST(self) -> None:
        query = urlsplit(self.path).query
        if query.startswith("uploads"):
            self._read()
            upload = f"<UploadId>{secrets.token_hex(16)}</UploadId>"
            self._answer(f"<InitiateMultipartUploadResult>{upload}</InitiateMultipartUploadResult>".encode())
        elif "uploadId" in query:
            self._read()
            etag = '<ETag>"0"</ETag>'
            self._answer(f"<CompleteMultipartUploadResult>{etag}</CompleteMultipartUploadResult>".encode())
        else:
            self._pass_on()

    def do_GET(self) -> None:
        self._pass_on()

    def _read(self) -> int:
        """Takes the body; how much it was."""
        length = left = int(self.headers.get("Content-Length", 0))
        while left:
            left -= len(self.rfile.read(min(left, BLOCK)))
        return length

    def _answer(self, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "application/xml", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.services, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers))
        with connection.getresponse() as answer:
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)


def memory(process: subprocess.Popen[bytes], name: str) -> int:
    """VmRSS or VmHWM of a process, in KiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found
    return int(found[1])


class Pusher:
    """Pushes layers that nobody has to keep."""

    def __init__(self, front: str, ingress: str, password: str):
        login = base64.b64encode(f"AWS:{password}".encode()).decode()
        self.front, self.ingress = front, ingress
        self.headers = {"Authorization": f"Basic {login}", "Host": front}
        self.block = secrets.token_bytes(BLOCK)

    def push(self, mebibytes: int, by_patch: bool) -> None:
        """One layer: `PATCH` in chunks and `PUT`, or one `PUT` with its length."""
        connection = http.client.HTTPConnection(self.front, timeout=60)
        connection.request("POST", "/v2/large/app/blobs/uploads/", headers=self.headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202, answer.status
        location = urlsplit(answer.headers["Location"])
        path = location.path
        first = secrets.token_bytes(BLOCK)
        hasher = hashlib.sha256(first)
        for _ in range(mebibytes - 1):
            hasher.update(self.block)
        digest = f"sha256:{hasher.hexdigest()}"
        if by_patch:
            self._send("PATCH", path, first, mebibytes, chunked=True, status=202)
            self._send("PUT", f"{path}?digest={digest}", b"", 0, chunked=False, status=201)
        else:
            self._send("PUT", f"{path}?digest={digest}", first, mebibytes, chunked=False, status=201)

    def _send(self, method: str, path: str, first: bytes, mebibytes: int, *, chunked: bool, status: int) -> None:
        connection = http.client.HTTPConnection(self.ingress, timeout=600)
        connection.putrequest(method, path, skip_host=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.putheader("X-Forwarded-For", "203.0.113.9")
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        else:
            connection.putheader("Content-Length", str(mebibytes * BLOCK))
        connection.endheaders()
        for number in range(mebibytes):
            block = self.block if number else first
            connection.send(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
        if chunked:
            connection.send(b"0\r\n\r\n")
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == status, (method, answer.status, text)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ministack", required=True, type=Path)
    parser.add_argument("--ingress", required=True, type=Path)
    parser.add_argument("--logs", required=True, type=Path)
    parser.add_argument("--gibibytes", type=int, default=10)
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    template = deploy.yaml.safe_load((deploy.BUILT / "template.yaml").read_text())
    given_kib = int(template["Resources"]["IngressTask"]["Properties"]["Memory"]) * 1024

    ministack, endpoint = deployment.start_ministack(options.ministack, options.logs)
    started = [ministack]
    front = None
    problems = []
    try:
        key = "AKIA" + "".join(secrets.choice("ABCDEFGH") for _ in range(16))
        front_port, ingress_port = deployment.free_port(), deployment.free_port()
        host = f"127.0.0.1:{front_port}"
        stack = deploy.deploy(endpoint, "ministack", {"RegistryHost": host, "RootAccessKeyId": key})
        ForgetfulStore.services = urlsplit(endpoint).netloc
        store = ThreadingHTTPServer(("127.0.0.1", 0), ForgetfulStore)
        store.daemon_threads = True
        threading.Thread(target=store.serve_forever, daemon=True).start()
        environment = {"PATH": os.environ["PATH"], **stack.ingress_environment()}
        environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{store.server_address[1]}"
        environment["IRONWHARF_LISTEN"] = f"127.0.0.1:{ingress_port}"
        ingress = subprocess.Popen(
            [str(options.ingress)],
            env=environment,
            stdout=(options.logs / "Ingress.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        started.append(ingress)
        deployment.wait_for("the ingress", lambda: deployment.listens(ingress_port))
        names = ("PullFunction", "PushFunction", "ApiFunction")
        functions = {name: DeployedFunction(stack.client("lambda"), stack.resources[name]) for name in names}
        front = Front(read_rules(), functions, f"127.0.0.1:{ingress_port}", front_port)
        ecr = deployment.root_client(host, key, stack.root_secret())
        ecr.create_repository(repositoryName="large/app")
        pusher = Pusher(host, f"127.0.0.1:{ingress_port}", deployment.login(ecr))

        print(f"at rest: {memory(ingress, 'VmRSS') // 1024} MiB")
        for by_patch in (True, False):
            way, before, since = "PATCH and PUT" if by_patch else "one PUT", ForgetfulStore.stored, time.monotonic()
            pusher.push(options.gibibytes * 1024, by_patch)
            seconds, peak = time.monotonic() - since, memory(ingress, "VmHWM")
            stored = ForgetfulStore.stored - before
            print(f"{options.gibibytes} GiB by {way}: {stored} bytes stored in {seconds:.0f} s, peak {peak // 1024} MiB")
            if stored != options.gibibytes * 1024 * BLOCK:
                problems.append(f"{stored} bytes were stored")
            if peak > ONE_LAYER_KIB:
                problems.append(f"one layer took {peak} KiB")
        threads = [
            threading.Thread(target=pusher.push, args=(AT_ONCE_MIB, number % 2 == 0)) for number in range(AT_ONCE)
        ]
        before = ForgetfulStore.stored
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        peak = memory(ingress, "VmHWM")
        print(f"{AT_ONCE} layers of {AT_ONCE_MIB} MiB at once: peak {peak // 1024} MiB")
        if ForgetfulStore.stored - before != AT_ONCE * AT_ONCE_MIB * BLOCK:
            problems.append("not all of the layers was stored")
        # A quarter for what else is in a container.
        if peak > given_kib * 3 // 4:
            problems.append(f"{AT_ONCE} layers took {peak} KiB of the {given_kib} that the template gives")
    finally:
        if front:
            front.stop()
        for process in reversed(started):
            process.terminate()
            process.wait()
    for problem in problems:
        print(f"large: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

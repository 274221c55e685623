"""One endpoint for services of two: S3 and KMS of LocalStack, which run without Docker,
and all else of ministack. By the service that a request is signed for.
"""

import http.client
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import deployment

# How the services stand in the scope of a signature, in a header and in a URL.
SCOPES = ("/s3/aws4_request", "/kms/aws4_request", "%2Fs3%2Faws4_request")


def start_localstack(python: Path, logs: Path) -> tuple[subprocess.Popen[bytes], str]:
    """LocalStack 4.14.0 as a process of its Python."""
    port = deployment.free_port()
    process = subprocess.Popen(
        [str(python), "-m", "localstack.runtime.main"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(logs),
            "TMPDIR": str(logs),
            # The other server does not keep to the address.
            "GATEWAY_SERVER": "hypercorn",
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "SERVICES": "s3,kms",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
        },
        start_new_session=True,
        stdout=(logs / "localstack.log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    deployment.wait_for("LocalStack", lambda: deployment.listens(port))
    return process, f"127.0.0.1:{port}"


class Split:
    """The endpoint, and how many requests went to LocalStack."""

    def __init__(self, localstack: str, ministack: str):
        self.led = {"localstack": 0, "ministack": 0}
        split = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def _pass_on(self) -> None:
                signed = self.headers.get("Authorization", "") + self.path
                is_theirs = any(scope in signed for scope in SCOPES)
                target = localstack if is_theirs else ministack
                split.led["localstack" if is_theirs else "ministack"] += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection = http.client.HTTPConnection(target, timeout=60)
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                with connection.getresponse() as answer:
                    content = answer.read()
                    self.send_response(answer.status)
                    length = str(len(content))
                    for name, value in answer.getheaders():
                        if name.lower() == "content-length" and self.command == "HEAD":
                            length = value
                        elif name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                            self.send_header(name, value)
                    if answer.status not in (204, 304):
                        self.send_header("Content-Length", length)
                    self.end_headers()
                    self.wfile.write(content)
                connection.close()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


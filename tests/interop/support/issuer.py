"""An issuer of web identity tokens: HTTPS on a port of its own, keys and all.

Keys and signatures are made by the openssl program; nothing of it is needed in
Python then.
"""

import base64
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*args: str | Path, stdin: bytes | None = None) -> bytes:
    words = ["openssl", *map(str, args)]
    done = subprocess.run(words, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Issuer:
    """`https://localhost:<port>`, which signs with RS256."""

    def __init__(self, scratch: Path):
        scratch.mkdir()
        self.certificate = scratch / "certificate.pem"
        self._key = scratch / "signing.pem"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", scratch / "tls.pem", "-out", self.certificate),
        )
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self._key)
        pages: dict[str, dict[str, Any]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path)
                body = json.dumps(page).encode()
                self.send_response(404 if page is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, scratch / "tls.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        # As it stands in ARNs and in the keys of conditions.
        self.host = f"localhost:{self._server.server_address[1]}"
        self.url = f"https://{self.host}"
        pages["/.well-known/openid-configuration"] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        modulus = _openssl("rsa", "-in", self._key, "-noout", "-modulus").decode().strip()
        number = bytes.fromhex(modulus.removeprefix("Modulus="))
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": _base64url(number), "e": "AQAB"}
        pages["/keys"] = {"keys": [key]}
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def token(self, subject: str, audience: str, **claims: object) -> str:
        now = int(time.time())
        payload = {"iss": self.url, "sub": subject, "aud": audience, "iat": now, "exp": now + 300, **claims}
        header = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, payload))
        signature = _openssl("dgst", "-sha256", "-sign", self._key, stdin=signed.encode())
        return f"{signed}.{_base64url(signature)}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def issuer(scratch: Path) -> Iterator[Issuer]:
    made = Issuer(scratch)
    yield made
    made.stop()

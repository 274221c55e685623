"""A proxy that notes how a client talks to the registry.

The point of having several clients is that each one uploads in its own way. A
new version of a client may change its way, and the suite would silently cover
less. So one push of each client goes through here and the test states the form
that it stands for.
"""

import http.client
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.process import STATE_LIMIT_SECONDS

_PIECE = 256 * 1024
_TLS_HANDSHAKE = b"\x16"
_NO_TLS = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# Framing and connection handling are between two neighbours, not end to end.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Exchange:
    method: str
    path: str
    status: int
    body_size: int
    chunked: bool
    content_range: str | None
    authorized: bool

    @property
    def is_upload(self) -> bool:
        return "/blobs/uploads/" in self.path


@dataclass
class Recorder:
    """What went through, in the order in which the answers came back."""

    host: str
    exchanges: list[Exchange] = field(default_factory=list)

    def uploads(self, method: str) -> list[Exchange]:
        return [each for each in self.exchanges if each.is_upload and each.method == method]

    def assert_no_server_errors(self) -> None:
        """Clients repeat what failed; a push that succeeds may hide an error."""
        failed = [each for each in self.exchanges if each.status >= 500]
        assert not failed, failed


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Proxy"
    _upstream: http.client.HTTPConnection | None = None

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        # A client that tries HTTPS first must be told at once that there is none.
        # Its greeting has no line end, and parsing it would wait for one.
        first = self.connection.recv(1, socket.MSG_PEEK)
        if first == _TLS_HANDSHAKE:
            self.connection.sendall(_NO_TLS)
        elif first:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True
        if self._upstream is not None:
            self._upstream.close()

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._forward
        raise AttributeError(name)

    def _request_body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            left = int(self.headers.get("Content-Length", 0))
            while left > 0 and (piece := self.rfile.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece

    def _forward(self) -> None:
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(
                self.server.target, timeout=STATE_LIMIT_SECONDS
            )
        upstream = self._upstream
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                upstream.putheader(name, value)
        if chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        elif "Content-Length" in self.headers:
            upstream.putheader("Content-Length", self.headers["Content-Length"])
        upstream.endheaders()

        body_size = 0
        for piece in self._request_body():
            body_size += len(piece)
            upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            upstream.send(b"0\r\n\r\n")

        response = upstream.getresponse()
        self.server.recorder.exchanges.append(
            Exchange(
                method=self.command,
                path=self.path,
                status=response.status,
                body_size=body_size,
                chunked=chunked,
                content_range=self.headers["Content-Range"],
                authorized="Authorization" in self.headers,
            )
        )
        self._answer(response)
        if response.will_close:
            upstream.close()
            self._upstream = None

    def _answer(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = response.getheader("Content-Length")
        bodyless = self.command == "HEAD" or response.status in (204, 304)
        if length is not None:
            self.send_header("Content-Length", length)
        elif not bodyless:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := response.read(_PIECE):
            if length is None:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            self.wfile.write(piece)
        if length is None and not bodyless:
            self.wfile.write(b"0\r\n\r\n")


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.recorder = Recorder(f"127.0.0.1:{self.server_port}")
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


def record(target: str) -> _Proxy:
    """Starts a proxy to `target` (host:port) on a free port of the loopback interface."""
    return _Proxy(target)

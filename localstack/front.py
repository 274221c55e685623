"""A front in the shape of an application load balancer.

Rules decide by method, path, header and parameter which target a request goes to. A
function gets an event of at most 1 MB, with headers and parameters of several values,
and a body in base64 unless it is text; it may answer 1 MB. The ingress gets the request
itself, as it comes.
"""

import base64
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import urlsplit

from rules import Rule

# "The maximum size of the request body that you can send to a Lambda function is 1 MB",
# and of the answer too (Elastic Load Balancing: Lambda functions as targets).
LIMIT_BYTES = 1024 * 1024
BLOCK_BYTES = 256 * 1024

# What a load balancer passes on as text.
TEXT = ("text/", "application/json", "application/javascript", "application/xml")

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection", "expect"}


class FunctionFailed(Exception):
    """An invocation without an answer: a crash, or an error of the function's own."""


class Function(Protocol):
    """What answers events."""

    name: str

    def invoke(self, event: Any) -> Any:
        """The answer to an event; FunctionFailed if there is none."""


class DeployedFunction:
    """A function that a service of Lambda runs."""

    def __init__(self, client: Any, name: str):
        self.client, self.name = client, name

    def invoke(self, event: Any) -> Any:
        answer = self.client.invoke(FunctionName=self.name, Payload=json.dumps(event).encode())
        payload = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise FunctionFailed(f"{self.name}: {payload}")
        return payload


class Front:
    """The load balancer, and how often it led where."""

    def __init__(self, rules: list[Rule], functions: dict[str, Function], ingress: str, port: int):
        self.rules, self.functions, self.ingress = rules, functions, ingress
        self.led: dict[str, int] = {}
        self.too_large = 0
        self.failures: list[str] = []
        self.lock = threading.Lock()
        front = self

        class Handler(_Handler):
            balancer = front

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    balancer: Front

    def log_message(self, *_: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            # Clients try TLS first, and without it if they see that this is HTTP.
            if self.rfile.peek(1)[:1] == b"\x16":
                self.wfile.write(b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n")
                self.close_connection = True
                return
            super().handle_one_request()
        except ConnectionError:
            # Whoever is gone does not wait for an answer.
            self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._lead
        raise AttributeError(name)

    def _lead(self) -> None:
        balancer = self.balancer
        parts = urlsplit(self.path)
        rule = next(
            (rule for rule in balancer.rules if rule.matches(self.command, parts.path, parts.query, self.headers)),
            None,
        )
        with balancer.lock:
            target = rule.target if rule else "none"
            balancer.led[target] = balancer.led.get(target, 0) + 1
        if rule is None:
            self._say(404, "No rule.")
        elif rule.target == "Ingress":
            self._pass_on()
        else:
            self._invoke(balancer.functions[rule.target], parts.path, parts.query)

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            block = self.rfile.read(min(left, BLOCK_BYTES))
            if not block:
                raise ConnectionError("the client is gone")
            left -= len(block)
            yield block

    def _invoke(self, function: Function, path: str, query: str) -> None:
        body = b""
        for block in self._body():
            body += block
            if len(body) > LIMIT_BYTES:
                self.balancer.too_large += 1
                self._say(413, "Request Entity Too Large")
                return
        headers: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        headers["x-forwarded-for"] = [self.client_address[0]]
        headers["x-forwarded-proto"] = ["https"]
        headers["x-forwarded-port"] = ["443"]
        headers["x-amzn-trace-id"] = ["Root=1-5c536348-3d683b8b04734faae651f476"]
        parameters: dict[str, list[str]] = {}
        for pair in filter(None, query.split("&")):
            name, _, value = pair.partition("=")
            # As they are: a load balancer decodes nothing.
            parameters.setdefault(name, []).append(value)
        kind = self.headers.get("Content-Type", "")
        is_text = not body or (kind.startswith(TEXT) and "Content-Encoding" not in self.headers)
        event = {
            "requestContext": {"elb": {"targetGroupArn": f"arn:aws:elasticloadbalancing:::{function.name}"}},
            "httpMethod": self.command,
            "path": path,
            "multiValueQueryStringParameters": parameters,
            "multiValueHeaders": headers,
            "body": body.decode() if is_text else base64.b64encode(body).decode(),
            "isBase64Encoded": not is_text,
        }
        try:
            answer = function.invoke(event)
        except FunctionFailed as failure:
            self.balancer.failures.append(str(failure))
            self._say(502, "Bad Gateway")
            return
        if len(json.dumps(answer).encode()) > LIMIT_BYTES:
            self.balancer.failures.append(f"{self.command} {path}: an answer of more than 1 MB")
            self._say(502, "Bad Gateway")
            return
        content = answer.get("body") or ""
        content = base64.b64decode(content) if answer.get("isBase64Encoded") else content.encode()
        self.send_response(answer["statusCode"])
        has_length = False
        for name, values in answer["multiValueHeaders"].items():
            if name.lower() == "content-length":
                has_length = True
                # A HEAD has the length of what a GET would bring.
                values = values if self.command == "HEAD" else [str(len(content))]
            for value in values:
                self.send_header(name, value)
        if not has_length and answer["statusCode"] not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _pass_on(self) -> None:
        connection = http.client.HTTPConnection(self.balancer.ingress, timeout=120)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        is_chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        for name, value in self.headers.items():
            if name.lower() not in HOP_BY_HOP:
                connection.putheader(name, value)
        connection.putheader("X-Forwarded-For", self.client_address[0])
        if is_chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        try:
            for block in self._body():
                connection.send(b"%x\r\n%s\r\n" % (len(block), block) if is_chunked else block)
            if is_chunked:
                connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # The answer came before the end of the request.
            self.close_connection = True
        with connection.getresponse() as answer:
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            content = answer.read()
            if answer.status not in (204, 304):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        connection.close()

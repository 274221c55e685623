"""Lambda functions as processes, behind the Runtime API that they ask for work.

An instance gets one event at a time, and is stopped (SIGSTOP) from the moment it asks
for the next one until there is one: nothing that it left running goes on.
"""

import json
import os
import queue
import signal
import subprocess
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from front import FunctionFailed

TIMEOUT_SECONDS = 60
API = "/2018-06-01/runtime"


class _Invocation:
    def __init__(self, event: Any):
        self.id = str(uuid.uuid4())
        self.body = json.dumps(event).encode()
        self.answers: queue.Queue[bytes | Exception] = queue.Queue()


class Instance:
    """One process of a function."""

    def __init__(self, function: "Function", number: int):
        self.function = function
        self.waiting: queue.Queue[_Invocation] = queue.Queue()
        self.current: _Invocation | None = None
        self.froze = 0
        instance = self

        class RuntimeApi(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path != f"{API}/invocation/next":
                    self.send_error(404)
                    return
                instance._next(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b"".join(iter(lambda: _chunk(self.rfile), b""))
                instance._answered(self.path, body)
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.api = ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        self.api.daemon_threads = True
        threading.Thread(target=self.api.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{self.api.server_address[1]}"
        environment = {
            **function.environment,
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_STREAM_NAME": str(number),
            "AWS_LAMBDA_LOG_GROUP_NAME": function.name,
        }
        log = (function.logs / f"{function.name}-{number}.log").open("wb")
        self.process = subprocess.Popen(
            [str(function.bootstrap)], env=environment, stdout=log, stderr=subprocess.STDOUT
        )

    def _next(self, handler: BaseHTTPRequestHandler) -> None:
        self._freeze()
        self.function.free.put(self)
        invocation = self.waiting.get()
        self.current = invocation
        self._thaw()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(invocation.body)))
        handler.send_header("Lambda-Runtime-Aws-Request-Id", invocation.id)
        handler.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + TIMEOUT_SECONDS) * 1000)))
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{self.function.name}"
        handler.send_header("Lambda-Runtime-Invoked-Function-Arn", arn)
        handler.end_headers()
        handler.wfile.write(invocation.body)

    def _answered(self, path: str, body: bytes) -> None:
        if self.current is None:
            raise FunctionFailed(f"{self.function.name} failed at its start: {body!r}")
        if path == f"{API}/invocation/{self.current.id}/response":
            self.current.answers.put(body)
        else:
            self.current.answers.put(FunctionFailed(f"{self.function.name}: {path}: {body!r}"))

    def _freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)
        self.froze += 1

    def _thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.api.shutdown()
        self.api.server_close()


def _chunk(stream: Any) -> bytes:
    size = int(stream.readline().split(b";")[0], 16)
    data = stream.read(size)
    stream.readline()
    return data


class Function:
    """A function with some instances."""

    def __init__(self, name: str, bootstrap: Path, environment: dict[str, str], logs: Path, instances: int):
        self.name, self.bootstrap, self.environment, self.logs = name, bootstrap, environment, logs
        self.free: queue.Queue[Instance] = queue.Queue()
        self.instances = [Instance(self, number) for number in range(instances)]
        self.invocations = 0

    def invoke(self, event: Any) -> Any:
        """What the function answers to an event; waits for an instance that is free."""
        instance = self.free.get(timeout=TIMEOUT_SECONDS)
        self.invocations += 1
        invocation = _Invocation(event)
        instance.waiting.put(invocation)
        answer = invocation.answers.get(timeout=TIMEOUT_SECONDS)
        if isinstance(answer, Exception):
            raise answer
        return json.loads(answer)

    def stop(self) -> None:
        for instance in self.instances:
            instance.stop()

"""Calls of the ECR API through boto3, with bodies that boto3 would not send."""

import json
import threading
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from support.model import Model
from support.server import Server

# How many calls are under way at a time, of those that do not depend on each other.
AT_A_TIME = 8


@dataclass
class Answer:
    """What came back: botocore's reading of it, and the body as it was."""

    status: int
    body: Any
    code: str | None
    message: str

    @property
    def is_refusal(self) -> bool:
        return self.code is not None


class Caller:
    """A boto3 client whose bodies and headers can be others than it would send."""

    def __init__(self, server: Server, region: str):
        session = boto3.Session(
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=region,
        )
        self.client = session.client(
            "ecr",
            endpoint_url=server.url,
            config=Config(
                retries={"total_max_attempts": 1},
                proxies={},
                max_pool_connections=AT_A_TIME,
                parameter_validation=False,
            ),
        )
        self._local = threading.local()
        self.client.meta.events.register("before-call.ecr", self._replace)
        self.client.meta.events.register("after-call.ecr", self._note)

    def _replace(self, params: dict[str, Any], **_: Any) -> None:
        body, headers = getattr(self._local, "sent", (None, {}))
        if body is not None:
            params["body"] = body
        for name, value in headers.items():
            params["headers"].pop(name, None)
            if value is not None:
                params["headers"][name] = value

    def _note(self, http_response: Any, **_: Any) -> None:
        self._local.received = (http_response.status_code, http_response.content)

    def raw(
        self,
        operation: str,
        body: bytes | None,
        headers: dict[str, str | None] | None = None,
    ) -> Answer:
        """Makes a call with this body, or with that of an empty input."""
        self._local.sent = (body, headers or {})
        error = None
        try:
            self.client._make_api_call(operation, {})
        except ClientError as refused:
            error = refused.response["Error"]
        finally:
            # What comes after through `client` is as boto3 makes it.
            del self._local.sent
        status, content = self._local.received
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = None
        if error is None:
            return Answer(status, parsed, None, "")
        return Answer(status, parsed, error["Code"], error.get("Message", ""))

    def call(self, operation: str, document: Any) -> Answer:
        return self.raw(operation, json.dumps(document).encode())


def is_not_served(answer: Answer, operation: str) -> bool:
    """Whether an answer is the one of an operation without behaviour."""
    said = f"{operation} is an operation of the ECR API that this registry does not serve yet"
    return (answer.status, answer.code, answer.message) == (501, "UnknownOperationException", said)


def served_operations(caller: Caller) -> set[str]:
    """The operations that have behaviour, as the server says itself: no input is a list."""
    names = Model().operations
    return {name for name in names if not is_not_served(caller.raw(name, b"[]"), name)}

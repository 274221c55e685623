#!/usr/bin/env python3
"""Writes vectors.json: requests signed by botocore, the independent oracle of the tests.

Run `python3 vectors.py > vectors.json` (needs botocore). Keys and dates are
fixed, so a second run with the same botocore writes the same bytes.
"""

import datetime
import json
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.session

NOW = datetime.datetime(2026, 3, 14, 15, 9, 26, tzinfo=datetime.timezone.utc)
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjE+/token==with/+=characters"
ENDPOINT = "http://localhost:5100"

botocore.auth.get_current_datetime = lambda *_args, **_kwargs: NOW


class Captured(Exception):
    """Stops botocore at the moment it would send."""

    def __init__(self, request):
        super().__init__()
        self.request = request


def stop(request, **_kwargs):
    raise Captured(request)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def vector(name, method, url, headers, body, service, token=None):
    parts = urlsplit(url)
    headers = [[text(key), text(value)] for key, value in headers]
    if not any(key.lower() == "host" for key, _ in headers):
        headers.append(["Host", parts.netloc])
    return {
        "name": name,
        "method": method,
        "path": parts.path or "/",
        "query": parts.query,
        "headers": headers,
        "body": text(body or b""),
        "service": service,
        "session_token": token,
    }


def client(service, token=None, endpoint=ENDPOINT):
    session = botocore.session.Session()
    made = session.create_client(
        service,
        region_name="eu-central-1",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        aws_session_token=token,
        config=botocore.config.Config(retries={"max_attempts": 0}, user_agent="oracle"),
    )
    made.meta.events.register_first("before-send", stop)
    return made


def call(name, service, operation, token=None, endpoint=ENDPOINT, **arguments):
    """One API call as botocore would send it, headers included."""
    try:
        getattr(client(service, token, endpoint), operation)(**arguments)
    except Captured as captured:
        sent = captured.request
        # Random per call and not signed: left out so that the file is stable.
        unsigned = ("amz-sdk-invocation-id", "amz-sdk-request", "user-agent")
        headers = [(key, value) for key, value in sent.headers.items() if key.lower() not in unsigned]
        return vector(name, sent.method, sent.url, headers, sent.body, service, token)
    raise AssertionError("botocore sent nothing")


def presigned_call(name, service, operation, token=None, endpoint=ENDPOINT, **arguments):
    """A URL of generate_presigned_url, fetched with GET and no extra headers."""
    url = client(service, token, endpoint).generate_presigned_url(
        operation, Params=arguments, ExpiresIn=600, HttpMethod="GET"
    )
    return vector(name, "GET", url, [], b"", service, token)


def signed(name, auth, method, url, service, headers=(), body=b"", token=None):
    """A hand-made request through one of botocore's signer classes."""
    credentials = botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY, token)
    request = botocore.awsrequest.AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    extra = {"expires": 60} if auth is botocore.auth.SigV4QueryAuth else {}
    auth(credentials, service, "eu-central-1", **extra).add_auth(request)
    return vector(name, method, request.url, request.headers.items(), body, service, token)


VECTORS = [
    call("ecr describe-repositories", "ecr", "describe_repositories", maxResults=5),
    call("ecr get-authorization-token, session token", "ecr", "get_authorization_token", token=SESSION_TOKEN),
    call(
        "ecr put-image, unicode body",
        "ecr",
        "put_image",
        repositoryName="team/app",
        imageManifest='{"annotations":{"title":"Müllerstraße 東京 🚢"}}',
        imageTag="latest",
    ),
    call("ecr on a default port", "ecr", "describe_registry", endpoint="https://api.ecr.eu-central-1.amazonaws.com"),
    call("sts get-caller-identity", "sts", "get_caller_identity", token=SESSION_TOKEN),
    presigned_call("sts presigned GET", "sts", "get_caller_identity"),
    presigned_call("sts presigned GET, session token", "sts", "get_caller_identity", token=SESSION_TOKEN),
    signed(
        "presigned GET with a signed extra header",
        botocore.auth.SigV4QueryAuth,
        "GET",
        ENDPOINT + "/?Action=GetCallerIdentity&Version=2011-06-15",
        "sts",
        headers=[("x-k8s-aws-id", "cluster  one ")],
    ),
    signed(
        "escaped path, unsorted query, spaced header",
        botocore.auth.SigV4Auth,
        "POST",
        ENDPOINT + "/a%20b/c~d/%E6%9D%B1?b=2&a=%20x%2By&a=%2F&empty=&aa=1",
        "ecr",
        headers=[("X-Amz-Meta-Note", "  two   words "), ("Content-Type", "text/plain")],
        body="päyload\n".encode(),
    ),
    signed(
        "declared body hash",
        botocore.auth.SigV4Auth,
        "POST",
        ENDPOINT + "/",
        "ecr",
        headers=[("X-Amz-Content-SHA256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")],
        body=b"{}",
    ),
]

print(
    json.dumps(
        {
            "botocore": botocore.__version__,
            "now": NOW.strftime("%Y%m%dT%H%M%SZ"),
            "region": "eu-central-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "vectors": VECTORS,
        },
        indent=1,
        ensure_ascii=False,
    )
)

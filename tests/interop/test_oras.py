"""oras-py: every request first without credentials. Artifacts, subjects and referrers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oras.oci
import oras.provider
import pytest
import requests

from support.images import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, artifact_manifest, sha256
from support.server import Registry

SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1"


class Oras:
    """The library's client, with all answers it received."""

    def __init__(self, registry: Registry):
        self.client = oras.provider.Registry(
            registry.host, insecure=True, tls_verify=False, auth_backend="basic"
        )
        # Not login(): that would ask a Docker engine and write to the home folder.
        if registry.user:
            self.client.auth.set_basic_auth(registry.user, registry.password)
        self.client.session.trust_env = False
        self.answers: list[requests.Response] = []
        self.client.session.hooks["response"].append(self._keep)

    def close(self) -> None:
        # The library streams downloads and leaves the responses open.
        for answer in self.answers:
            answer.close()
        self.client.session.close()

    def _keep(self, response: requests.Response, **_: Any) -> None:
        self.answers.append(response)


@pytest.fixture
def client(registry: Registry) -> Iterator[Oras]:
    client = Oras(registry)
    yield client
    client.close()


@dataclass
class Files:
    directory: Path
    names: tuple[str, ...]

    def contents(self) -> dict[str, bytes]:
        return {name: (self.directory / name).read_bytes() for name in self.names}


@pytest.fixture
def files(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    # oras-py only pushes files below the working directory.
    directory = scratch / "files"
    directory.mkdir()
    (directory / "report.json").write_text('{"result": "good"}')
    (directory / "notes.txt").write_text("notes\n" * 1000)
    monkeypatch.chdir(directory)
    return Files(directory, ("report.json", "notes.txt"))


def test_push_and_pull(
    client: Oras, registry: Registry, repository: str, files: Files, scratch: Path
) -> None:
    target = f"{registry.host}/{repository}:v1"
    client.client.push(target, files=list(files.names), manifest_annotations={"team": "a"})

    manifest = json.loads(registry.manifest(repository, "v1"))
    assert manifest["annotations"] == {"team": "a"}
    assert [layer["digest"] for layer in manifest["layers"]] == [
        sha256(content) for content in files.contents().values()
    ]

    pulled = client.client.pull(target, outdir=str(scratch / "pulled"))
    assert {Path(path).name: Path(path).read_bytes() for path in pulled} == files.contents()


@pytest.mark.own_server
def test_each_request_is_repeated_with_credentials_after_the_challenge(
    client: Oras, registry: Registry, repository: str, files: Files
) -> None:
    client.client.push(f"{registry.host}/{repository}:v1", files=list(files.names))

    answers = client.answers
    challenged = [each for each in answers if each.status_code == 401]
    assert {each.request.method for each in challenged} >= {"HEAD", "POST", "PUT"}
    for refused, repeated in zip(answers, answers[1:], strict=False):
        if refused.status_code == 401:
            assert refused.headers["WWW-Authenticate"].startswith("Basic ")
            assert "Authorization" not in refused.request.headers
            assert repeated.request.url == refused.request.url
            assert repeated.status_code != 401
    assert not [each for each in answers if each.status_code >= 500]


def push_artifact(
    registry: Registry,
    repository: str,
    artifact_type: str,
    content: bytes,
    subject: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Pushes an artifact by digest and returns its descriptor as a subject."""
    registry.push_blob(repository, b"{}")
    layer = {"mediaType": artifact_type, **registry.push_blob(repository, content)}
    manifest = artifact_manifest(artifact_type, [layer], subject=subject, annotations=annotations)
    digest = sha256(manifest)
    response = registry.push_manifest(repository, digest, manifest, OCI_MANIFEST)
    assert response.headers.get("OCI-Subject") == (subject and subject["digest"])
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest)}


def listed(response: requests.Response) -> list[dict[str, Any]]:
    assert response.headers["Content-Type"] == OCI_INDEX
    index = response.json()
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    return sorted(index["manifests"], key=lambda entry: entry["digest"])


@pytest.mark.own_server
def test_artifacts_with_a_subject_are_its_referrers(
    client: Oras, registry: Registry, repository: str, files: Files
) -> None:
    # The subject comes from oras-py, and so does one of its referrers.
    client.client.push(f"{registry.host}/{repository}:v1", files=list(files.names))
    manifest = registry.manifest(repository, "v1")
    subject = {"mediaType": OCI_MANIFEST, "digest": sha256(manifest), "size": len(manifest)}
    assert listed(registry.referrers(repository, subject["digest"])) == []

    response = client.client.push(
        f"{registry.host}/{repository}:attached",
        files=["notes.txt"],
        subject=oras.oci.Subject(subject["mediaType"], subject["digest"], subject["size"]),
        manifest_annotations={"by": "oras-py"},
    )
    assert response.headers["OCI-Subject"] == subject["digest"]
    attached = registry.manifest(repository, "attached")

    sbom = push_artifact(registry, repository, SBOM, b"sbom", subject, {"format": "text"})
    signature = push_artifact(registry, repository, SIGNATURE, b"signature", subject)

    # Without an artifactType of its own a referrer has that of its configuration.
    config_type = json.loads(attached)["config"]["mediaType"]
    expected = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": sha256(attached),
            "size": len(attached),
            "artifactType": config_type,
            "annotations": {"by": "oras-py"},
        },
        {**sbom, "artifactType": SBOM, "annotations": {"format": "text"}},
        {**signature, "artifactType": SIGNATURE},
    ]
    expected.sort(key=lambda entry: entry["digest"])
    assert listed(registry.referrers(repository, subject["digest"])) == expected

    filtered = registry.referrers(repository, subject["digest"], artifactType=SBOM)
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["digest"] for entry in listed(filtered)] == [sbom["digest"]]


@pytest.mark.own_server
def test_subject_may_come_after_its_referrer(registry: Registry, repository: str) -> None:
    registry.push_blob(repository, b"{}")
    config = {"mediaType": OCI_EMPTY, "digest": sha256(b"{}"), "size": 2}
    subject_manifest = artifact_manifest("application/vnd.example.late.v1", [config])
    subject = {
        "mediaType": OCI_MANIFEST,
        "digest": sha256(subject_manifest),
        "size": len(subject_manifest),
    }
    sbom = push_artifact(registry, repository, SBOM, b"early", subject)

    before = listed(registry.referrers(repository, subject["digest"]))
    registry.push_manifest(repository, "late", subject_manifest, OCI_MANIFEST)
    after = listed(registry.referrers(repository, subject["digest"]))
    assert [entry["digest"] for entry in before] == [sbom["digest"]]
    assert before == after


@pytest.mark.own_server
def test_deleted_referrer_is_no_longer_listed(registry: Registry, repository: str) -> None:
    subject = push_artifact(registry, repository, "application/vnd.example.base.v1", b"base")
    kept = push_artifact(registry, repository, SBOM, b"kept", subject)
    dropped = push_artifact(registry, repository, SBOM, b"dropped", subject)

    response = registry.request("DELETE", f"/v2/{repository}/manifests/{dropped['digest']}")
    assert response.status_code == 202
    entries = listed(registry.referrers(repository, subject["digest"]))
    assert [entry["digest"] for entry in entries] == [kept["digest"]]


@pytest.mark.own_server
def test_referrers_survive_the_deletion_of_their_subject(
    registry: Registry, repository: str
) -> None:
    subject = push_artifact(registry, repository, "application/vnd.example.base.v1", b"base")
    sbom = push_artifact(registry, repository, SBOM, b"sbom", subject)
    response = registry.request("DELETE", f"/v2/{repository}/manifests/{subject['digest']}")
    assert response.status_code == 202
    entries = listed(registry.referrers(repository, subject["digest"]))
    assert [entry["digest"] for entry in entries] == [sbom["digest"]]

"""oci-client, the Rust crate: PATCH requests of 4 MiB with Content-Range, Basic authorization."""

import json
from pathlib import Path

import pytest

from support.images import sha256
from support.process import run
from support.server import REPOSITORY_ROOT, Registry
from support.wire import Recorder

# Pushes, pulls and compares. The script `run` builds it.
PROGRAM = REPOSITORY_ROOT / ".tools" / "oci-client" / "debug" / "oci-client-push-pull"

MIB = 1024 * 1024


@pytest.mark.own_server
def test_push_in_chunks_and_pull(
    recorded: Registry,
    recorder: Recorder,
    repository: str,
    scratch: Path,
) -> None:
    digest = run(
        [PROGRAM, recorded.host, repository, recorded.password],
        # Nothing of the machine's environment: a proxy of its own, for instance.
        env={"HOME": str(scratch)},
    ).strip()

    manifest = recorded.manifest(repository, "v1")
    assert digest == sha256(manifest)
    assert recorded.manifest(repository, digest) == manifest
    [layer] = json.loads(manifest)["layers"]
    assert layer["size"] == 11 * MIB
    assert len(recorded.blob(repository, layer["digest"])) == layer["size"]

    patches = recorder.uploads("PATCH")
    config_size = json.loads(manifest)["config"]["size"]
    # The layer takes three requests; then comes the configuration.
    assert [patch.content_range for patch in patches] == [
        f"0-{4 * MIB - 1}",
        f"{4 * MIB}-{8 * MIB - 1}",
        f"{8 * MIB}-{11 * MIB - 1}",
        f"0-{config_size - 1}",
    ]
    assert [patch.body_size for patch in patches] == [4 * MIB, 4 * MIB, 3 * MIB, config_size]
    assert not any(patch.chunked for patch in patches)
    assert {patch.status for patch in patches} == {202}
    assert [put.status for put in recorder.uploads("PUT")] == [201, 201]
    recorder.assert_no_server_errors()

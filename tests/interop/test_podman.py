"""podman: compresses while it sends, so every layer is a PATCH of unknown length."""

import json
from pathlib import Path

from support.clients import Podman, Skopeo
from support.images import Image, Index, sha256, write_docker_archive
from support.server import Registry
from support.wire import Recorder


def test_push_and_pull(
    podman: Podman, registry: Registry, repository: str, image: Image, scratch: Path
) -> None:
    name = f"{registry.host}/{repository}:v1"
    write_docker_archive(image, scratch / "image.tar", "loaded:v1")
    podman.load(scratch / "image.tar")
    digest = podman.push("localhost/loaded:v1", name)

    # podman compresses itself, so only the uncompressed content is known beforehand.
    manifest = registry.manifest(repository, "v1")
    assert sha256(manifest) == digest
    assert json.loads(manifest)["config"]["digest"] == image.config_digest

    # A second storage folder holds nothing that could spare the download.
    other = Podman(scratch, "other")
    other.login(registry)
    image_id = other.pull(name)
    assert f"sha256:{image_id}" == image.config_digest
    pulled = other.inspect(image_id)
    assert pulled["Digest"] == digest
    assert pulled["RootFS"]["Layers"] == [layer.diff_id for layer in image.layers]


def test_push_sends_layers_as_chunked_patches(
    podman: Podman,
    recorded: Registry,
    recorder: Recorder,
    repository: str,
    image: Image,
    scratch: Path,
) -> None:
    write_docker_archive(image, scratch / "image.tar", "loaded:v1")
    podman.load(scratch / "image.tar")
    podman.login(recorded)
    podman.push("localhost/loaded:v1", f"{recorded.host}/{repository}:v1")

    layers = [patch for patch in recorder.uploads("PATCH") if patch.chunked]
    assert len(layers) == len(image.layers)
    assert {patch.status for patch in recorder.uploads("PATCH")} == {202}
    recorder.assert_no_server_errors()


def test_push_to_a_second_repository_mounts_the_layers(
    podman: Podman,
    recorded: Registry,
    recorder: Recorder,
    repository: str,
    image: Image,
    scratch: Path,
) -> None:
    write_docker_archive(image, scratch / "image.tar", "loaded:v1")
    podman.load(scratch / "image.tar")
    podman.login(recorded)
    first, second = f"{repository}/first", f"{repository}/second"
    digest = podman.push("localhost/loaded:v1", f"{recorded.host}/{first}:v1")
    recorder.exchanges.clear()
    assert podman.push("localhost/loaded:v1", f"{recorded.host}/{second}:v1") == digest

    mounts = [post for post in recorder.uploads("POST") if "mount=" in post.path]
    assert {mount.status for mount in mounts} == {201}
    assert len(mounts) >= len(image.layers)
    manifest = json.loads(recorded.manifest(second, "v1"))
    for layer in manifest["layers"]:
        recorded.blob(second, layer["digest"])
    recorder.assert_no_server_errors()


def test_pull_by_tag_takes_the_image_of_this_architecture(
    podman: Podman, skopeo: Skopeo, registry: Registry, repository: str, index: Index
) -> None:
    name = f"{registry.host}/{repository}:multi"
    skopeo.push(index.source, name, "--all")
    (native,) = [each for each in index.images if each.platform["architecture"] == "amd64"]
    assert f"sha256:{podman.pull(name)}" == native.config_digest

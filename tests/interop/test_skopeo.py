"""skopeo: one PATCH with a length per layer, reads with Range-less GETs, deletes by digest."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.clients import Skopeo
from support.images import (
    Image,
    Index,
    assert_layout_equals,
    blob_path,
    sha256,
    sha256_of_file,
    write_image,
)
from support.process import CommandFailed
from support.server import REFUSED, Registry
from support.wire import Recorder


def test_push_and_pull_keep_every_byte(
    skopeo: Skopeo, registry: Registry, repository: str, image: Image, scratch: Path
) -> None:
    name = f"{registry.host}/{repository}:v1"

    assert skopeo.push(image.source, name) == image.digest
    assert registry.manifest(repository, "v1") == image.manifest
    assert registry.manifest(repository, image.digest) == image.manifest

    skopeo.pull(name, scratch / "pulled")
    assert_layout_equals(image, scratch / "pulled")


def test_push_sends_each_layer_in_one_patch_with_its_length(
    skopeo: Skopeo, recorded: Registry, recorder: Recorder, repository: str, image: Image
) -> None:
    skopeo.login(recorded)
    skopeo.push(image.source, f"{recorded.host}/{repository}:v1")

    patches = recorder.uploads("PATCH")
    sizes = sorted(patch.body_size for patch in patches if not patch.chunked)
    assert sizes[-3:] == sorted(layer.size for layer in image.layers)
    assert {patch.status for patch in patches} == {202}
    assert {put.status for put in recorder.uploads("PUT")} == {201}
    recorder.assert_no_server_errors()


def test_second_push_of_the_same_image_succeeds(
    skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    name = f"{registry.host}/{repository}:v1"
    assert skopeo.push(image.source, name) == image.digest
    assert skopeo.push(image.source, name) == image.digest
    assert registry.tags(repository) == ["v1"]


def test_inspect_shows_what_was_pushed(
    skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    name = f"{registry.host}/{repository}:v1"
    skopeo.push(image.source, name)

    seen = skopeo.inspect(name)
    assert seen["Digest"] == image.digest
    assert seen["Layers"] == [layer.digest for layer in image.layers]
    assert seen["RepoTags"] == ["v1"]
    assert skopeo.inspect_raw(name, "--raw").encode() == image.manifest
    # Runtime configuration comes from the config blob, so a second route is read.
    assert skopeo.inspect(name, "--config")["rootfs"]["diff_ids"] == [
        layer.diff_id for layer in image.layers
    ]


def test_moved_tag_points_to_the_new_image_and_the_old_one_stays(
    skopeo: Skopeo, registry: Registry, repository: str, make_image: Callable[..., Image]
) -> None:
    old, new = make_image("moved-old"), make_image("moved-new")
    name = f"{registry.host}/{repository}"
    skopeo.push(old.source, f"{name}:stable")
    skopeo.push(new.source, f"{name}:stable")

    assert skopeo.inspect(f"{name}:stable")["Digest"] == new.digest
    assert skopeo.inspect(f"{name}@{old.digest}")["Digest"] == old.digest


def test_tags_are_listed_in_lexical_order(
    skopeo: Skopeo, registry: Registry, repository: str, image: Image
) -> None:
    name = f"{registry.host}/{repository}"
    for tag in ("b", "a10", "a9", "A"):
        skopeo.push(image.source, f"{name}:{tag}")
    assert skopeo.tags(name) == ["A", "a10", "a9", "b"]


def test_deleted_image_is_gone_and_can_be_pushed_again(
    skopeo: Skopeo, registry: Registry, repository: str, image: Image, scratch: Path
) -> None:
    name = f"{registry.host}/{repository}:v1"
    skopeo.push(image.source, name)
    skopeo.delete(name)

    with pytest.raises(CommandFailed, match="manifest unknown|not found"):
        skopeo.inspect(name)
    registry.get(f"/v2/{repository}/manifests/{image.digest}", status=404)

    assert skopeo.push(image.source, name) == image.digest
    skopeo.pull(name, scratch / "pulled")
    assert_layout_equals(image, scratch / "pulled")


def test_index_with_all_its_images(
    skopeo: Skopeo, registry: Registry, repository: str, index: Index, scratch: Path
) -> None:
    name = f"{registry.host}/{repository}:multi"

    assert skopeo.push(index.source, name, "--all") == index.digest
    assert registry.manifest(repository, "multi") == index.manifest

    skopeo.pull(name, scratch / "pulled", "--all")
    assert sha256_of_file(blob_path(scratch / "pulled", index.digest)) == index.digest
    for image in index.images:
        assert_layout_equals(image, scratch / "pulled")


def test_one_architecture_of_an_index(
    skopeo: Skopeo, registry: Registry, repository: str, index: Index
) -> None:
    name = f"{registry.host}/{repository}:multi"
    skopeo.push(index.source, name, "--all")
    for image in index.images:
        architecture = image.platform["architecture"]
        config = skopeo.inspect_raw(
            name, "--config", "--raw", "--override-os=linux", f"--override-arch={architecture}"
        )
        assert config.encode() == image.config


def test_docker_media_types_survive(
    skopeo: Skopeo, registry: Registry, repository: str, image: Image, scratch: Path
) -> None:
    name = f"{registry.host}/{repository}:docker"
    digest = skopeo.push(image.source, name, "--format", "v2s2")

    manifest = registry.manifest(repository, "docker")
    assert sha256(manifest) == digest
    assert json.loads(manifest)["mediaType"].startswith("application/vnd.docker.distribution.")
    skopeo.pull(name, scratch / "pulled")
    for layer in image.layers:
        assert sha256_of_file(blob_path(scratch / "pulled", layer.digest)) == layer.digest


def test_zstd_layers(skopeo: Skopeo, registry: Registry, repository: str, scratch: Path) -> None:
    image = write_image(
        scratch / "source", "zstd", layer_sizes=[30_000, 20_000], compressions=["zstd", "gzip"]
    )
    name = f"{registry.host}/{repository}:v1"
    assert skopeo.push(image.source, name) == image.digest
    skopeo.pull(name, scratch / "pulled")
    assert_layout_equals(image, scratch / "pulled")


def test_copy_to_another_repository_mounts_the_layers(
    skopeo: Skopeo, recorded: Registry, recorder: Recorder, repository: str, image: Image
) -> None:
    skopeo.login(recorded)
    source, target = f"{repository}/source", f"{repository}/target"
    skopeo.push(image.source, f"{recorded.host}/{source}:v1")
    recorder.exchanges.clear()
    skopeo.copy(f"{recorded.host}/{source}:v1", f"{recorded.host}/{target}:v1")

    mounts = [post for post in recorder.uploads("POST") if "mount=" in post.path]
    assert {mount.status for mount in mounts} == {201}
    assert len(mounts) >= len(image.layers)
    assert recorded.manifest(target, "v1") == image.manifest
    for digest in image.blob_digests():
        recorded.blob(target, digest)
    recorder.assert_no_server_errors()


@pytest.mark.own_server
def test_wrong_password_is_refused(
    scratch: Path, registry: Registry, repository: str, image: Image
) -> None:
    stranger = Skopeo(scratch)
    with pytest.raises(CommandFailed, match=REFUSED):
        stranger.login(Registry(registry.host, registry.user, "not-the-password"))
    with pytest.raises(CommandFailed, match=REFUSED):
        stranger.push(image.source, f"{registry.host}/{repository}:v1")
    registry.get(f"/v2/{repository}/manifests/v1", status=404)

"""containerd's ctr: no ping, one PUT with a length per blob, HEAD before everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import Containerd
from support.images import Image, Index, write_layout_archive
from support.server import Registry
from support.wire import Recorder


@pytest.fixture(autouse=True)
def empty_store(containerd: Containerd) -> Iterator[None]:
    """The store serves all namespaces and would spare downloads between tests."""
    yield
    containerd.remove_everything()


def load(containerd: Containerd, image: Image | Index, scratch: Path, name: str) -> str:
    write_layout_archive(image.layout, scratch / "layout.tar")
    containerd.load(scratch / "layout.tar", name)
    return f"{name}:{image.tag}"


def test_push_and_pull(
    containerd: Containerd, registry: Registry, repository: str, image: Image, scratch: Path
) -> None:
    name = load(containerd, image, scratch, f"{registry.host}/{repository}")
    containerd.push(registry, name)
    assert registry.manifest(repository, image.tag) == image.manifest
    for digest in image.blob_digests():
        registry.blob(repository, digest)

    containerd.remove_everything()
    containerd.pull(registry, name)
    (pulled,) = containerd.images()
    assert (pulled.name, pulled.digest) == (name, image.digest)
    # containerd checks each digest before it commits content to its store.
    assert {image.digest, *image.blob_digests()} <= containerd.content_digests()
    assert containerd.content(image.digest) == image.manifest


def test_push_puts_each_blob_whole(
    containerd: Containerd,
    recorded: Registry,
    recorder: Recorder,
    repository: str,
    image: Image,
    scratch: Path,
) -> None:
    containerd.push(recorded, load(containerd, image, scratch, f"{recorded.host}/{repository}"))

    assert recorder.uploads("PATCH") == []
    puts = recorder.uploads("PUT")
    sizes = sorted(put.body_size for put in puts if put.status == 201)
    assert sizes == sorted([len(image.config), *(layer.size for layer in image.layers)])
    assert not any(put.chunked for put in puts)
    recorder.assert_no_server_errors()


def test_second_push_uploads_nothing(
    containerd: Containerd,
    recorded: Registry,
    recorder: Recorder,
    repository: str,
    image: Image,
    scratch: Path,
) -> None:
    name = load(containerd, image, scratch, f"{recorded.host}/{repository}")
    containerd.push(recorded, name)
    recorder.exchanges.clear()
    containerd.push(recorded, name)
    assert [each for each in recorder.exchanges if each.method in ("POST", "PUT", "PATCH")] == []
    recorder.assert_no_server_errors()


def test_index_with_all_its_images(
    containerd: Containerd, registry: Registry, repository: str, index: Index, scratch: Path
) -> None:
    name = load(containerd, index, scratch, f"{registry.host}/{repository}")
    containerd.push(registry, name)
    assert registry.manifest(repository, index.tag) == index.manifest

    containerd.remove_everything()
    containerd.pull(registry, name, "--all-platforms")
    (pulled,) = containerd.images()
    assert pulled.digest == index.digest
    for image in index.images:
        assert {image.digest, *image.blob_digests()} <= containerd.content_digests()

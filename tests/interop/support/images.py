"""Deterministic images: the same seed gives the same bytes, digests and all."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import zstandard

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ALL_MANIFESTS = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST)

KIB = 1024
MIB = 1024 * KIB


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def random_bytes(seed: str, size: int) -> Iterator[bytes]:
    """Bytes that no compressor can shrink, in pieces."""
    source = random.Random(seed)
    while size > 0:
        piece = source.randbytes(min(size, MIB))
        size -= len(piece)
        yield piece


@dataclass(frozen=True)
class Layer:
    digest: str
    size: int
    media_type: str
    # The digest of the uncompressed tar.
    diff_id: str

    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Image:
    """One manifest inside an OCI layout."""

    layout: Path
    tag: str
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]
    platform: dict[str, str]

    @property
    def digest(self) -> str:
        return sha256(self.manifest)

    @property
    def config_digest(self) -> str:
        return sha256(self.config)

    @property
    def source(self) -> str:
        """The image as skopeo, podman and buildah name it."""
        return f"oci:{self.layout}:{self.tag}"

    def blob(self, digest: str) -> Path:
        return blob_path(self.layout, digest)

    def blob_digests(self) -> list[str]:
        return [self.config_digest, *(layer.digest for layer in self.layers)]

    def descriptor(self) -> dict[str, Any]:
        return {
            "mediaType": OCI_MANIFEST,
            "digest": self.digest,
            "size": len(self.manifest),
            "platform": self.platform,
        }


@dataclass(frozen=True)
class Index:
    """A multi-architecture index and its images, all in one OCI layout."""

    layout: Path
    tag: str
    manifest: bytes
    images: tuple[Image, ...]

    @property
    def digest(self) -> str:
        return sha256(self.manifest)

    @property
    def source(self) -> str:
        return f"oci:{self.layout}:{self.tag}"


def blob_path(layout: Path, digest: str) -> Path:
    algorithm, _, encoded = digest.partition(":")
    return layout / "blobs" / algorithm / encoded


class _HashingWriter(io.RawIOBase):
    """Passes bytes on and hashes them on the way."""

    def __init__(self, target: IO[bytes]):
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hash.update(data)
        self.size += len(data)
        self._target.write(data)
        return len(data)

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


@contextmanager
def _compressor(compression: str, target: IO[bytes]) -> Iterator[IO[bytes]]:
    match compression:
        case "gzip":
            # Stored, not deflated: random bytes do not shrink, and a layer of
            # hundreds of megabytes is written in seconds. No name and no time in
            # the header, they would change the digest.
            with gzip.GzipFile(
                filename="", mode="wb", fileobj=target, compresslevel=0, mtime=0
            ) as file:
                yield file
        case "zstd":
            with zstandard.ZstdCompressor(level=1).stream_writer(target, closefd=False) as file:
                yield file
        case _:
            raise ValueError(f"unknown compression {compression!r}")


class _Pieces(io.RawIOBase):
    """Reads an iterator of byte strings as a file."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


def _write_layer(layout: Path, seed: str, size: int, compression: str) -> Layer:
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    unfinished = blobs / "unfinished"
    with unfinished.open("wb") as file:
        compressed = _HashingWriter(file)
        with _compressor(compression, compressed) as target:
            plain = _HashingWriter(target)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
                entry = tarfile.TarInfo(f"data/{hashlib.sha256(seed.encode()).hexdigest()[:12]}")
                entry.size = size
                entry.mode = 0o644
                tar.addfile(entry, io.BufferedReader(_Pieces(random_bytes(seed, size)), MIB))
    unfinished.rename(blob_path(layout, compressed.digest))
    return Layer(
        digest=compressed.digest,
        size=compressed.size,
        media_type=f"{OCI_LAYER}+{compression}",
        diff_id=plain.digest,
    )


def _write_blob(layout: Path, data: bytes) -> None:
    path = blob_path(layout, sha256(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_entry_points(layout: Path, descriptor: dict[str, Any], tag: str) -> None:
    named = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}
    (layout / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(
        to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [named]})
    )


def _write_image(
    layout: Path,
    seed: str,
    tag: str,
    layer_sizes: Sequence[int],
    compressions: Sequence[str],
    architecture: str,
) -> Image:
    layers = tuple(
        _write_layer(layout, f"{seed}/{architecture}/{number}", size, compression)
        for number, (size, compression) in enumerate(zip(layer_sizes, compressions, strict=True))
    )
    platform = {"architecture": architecture, "os": "linux"}
    config = to_json(
        {
            "created": "2020-01-01T00:00:00Z",
            **platform,
            "config": {"Cmd": ["/data"], "Labels": {"seed": seed}},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [
                {"created": "2020-01-01T00:00:00Z", "created_by": f"layer {number}"}
                for number in range(len(layers))
            ],
        }
    )
    manifest = to_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": sha256(config), "size": len(config)},
            "layers": [layer.descriptor() for layer in layers],
        }
    )
    _write_blob(layout, config)
    _write_blob(layout, manifest)
    return Image(layout, tag, manifest, config, layers, platform)


def write_image(
    layout: Path,
    seed: str,
    *,
    layer_sizes: Sequence[int] = (200 * KIB, 50 * KIB, 3 * KIB),
    compressions: Sequence[str] | None = None,
    architecture: str = "amd64",
) -> Image:
    """Writes an OCI layout with one image. Layers are gzip unless said otherwise."""
    compressions = compressions or ["gzip"] * len(layer_sizes)
    image = _write_image(layout, seed, "latest", layer_sizes, compressions, architecture)
    _write_entry_points(layout, image.descriptor(), image.tag)
    return image


def write_index(
    layout: Path, seed: str, architectures: Sequence[str] = ("amd64", "arm64")
) -> Index:
    """Writes an OCI layout with an index of one image per architecture."""
    images = tuple(
        _write_image(
            layout, seed, architecture, [40 * KIB, 5 * KIB], ["gzip", "gzip"], architecture
        )
        for architecture in architectures
    )
    manifest = to_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [image.descriptor() for image in images],
        }
    )
    _write_blob(layout, manifest)
    index = Index(layout, "latest", manifest, images)
    _write_entry_points(
        layout, {"mediaType": OCI_INDEX, "digest": index.digest, "size": len(manifest)}, index.tag
    )
    return index


def _uncompressed(layer: Layer, path: Path) -> IO[bytes]:
    if layer.media_type.endswith("+gzip"):
        return gzip.open(path)
    raise ValueError(f"cannot put {layer.media_type} into a docker-archive")


def write_docker_archive(image: Image, path: Path, name: str) -> None:
    """Writes the image the way `docker save` does, for `docker load` and `podman load`."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:

        def add(member: str, size: int, content: IO[bytes]) -> None:
            entry = tarfile.TarInfo(member)
            entry.size = size
            entry.mode = 0o644
            archive.addfile(entry, content)

        layer_members = []
        for layer in image.layers:
            member = layer.diff_id.removeprefix("sha256:") + "/layer.tar"
            with _uncompressed(layer, image.blob(layer.digest)) as content:
                size = content.seek(0, io.SEEK_END)
                content.seek(0)
                add(member, size, content)
            layer_members.append(member)
        config_member = image.config_digest.removeprefix("sha256:") + ".json"
        add(config_member, len(image.config), io.BytesIO(image.config))
        listing = to_json([{"Config": config_member, "RepoTags": [name], "Layers": layer_members}])
        add("manifest.json", len(listing), io.BytesIO(listing))


def write_layout_archive(layout: Path, path: Path) -> None:
    """Packs an OCI layout into one tar, for `ctr images import`."""
    with tarfile.open(path, "w") as archive:
        for member in ("oci-layout", "index.json", "blobs"):
            archive.add(layout / member, arcname=member)


def artifact_manifest(
    artifact_type: str,
    layers: Sequence[dict[str, Any]],
    *,
    subject: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> bytes:
    """An OCI 1.1 artifact whose configuration is the well-known empty one."""
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": {"mediaType": OCI_EMPTY, "digest": sha256(b"{}"), "size": 2},
        "layers": list(layers),
    }
    if subject is not None:
        manifest["subject"] = subject
    if annotations is not None:
        manifest["annotations"] = annotations
    return to_json(manifest)


def assert_layout_equals(image: Image, pulled: Path) -> None:
    """Compares what a client pulled into a layout with what was pushed, byte for byte."""
    for digest in [image.digest, *image.blob_digests()]:
        received = blob_path(pulled, digest)
        assert received.is_file(), f"{digest} was not pulled into {pulled}"
        assert sha256_of_file(received) == digest
        assert received.stat().st_size == image.blob(digest).stat().st_size

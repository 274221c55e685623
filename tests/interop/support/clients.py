"""Client programs, each confined to a scratch folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.process import Daemon, client_environment, run
from support.server import Registry


def run_confined(
    home: Path, args: Sequence[str | Path], *, env: Mapping[str, str], stdin: str | None = None
) -> str:
    """Runs a program of the containers family with a /var/lib of its own.

    Run by root, these programs note in one file of the machine which blob they saw
    in which repository, whatever their options say, and use the notes to mount.
    """
    state = home / "var-lib"
    state.mkdir(exist_ok=True)
    script = 'mount --bind "$0" /var/lib && exec "$@"'
    return run(["unshare", "--mount", "sh", "-c", script, state, *args], env=env, stdin=stdin)


class Skopeo:
    def __init__(self, scratch: Path):
        self._home = scratch / "skopeo"
        self.env = client_environment(self._home)

    def _skopeo(self, *args: str | Path, stdin: str | None = None) -> str:
        return run_confined(self._home, ["skopeo", *args], env=self.env, stdin=stdin)

    def login(self, registry: Registry) -> None:
        if not registry.user:
            return
        self._skopeo(
            *("login", "--tls-verify=false"),
            *("--username", registry.user, "--password-stdin", registry.host),
            stdin=registry.password,
        )

    def push(self, source: str, destination: str, *options: str) -> str:
        """Copies into a registry and returns the digest that skopeo reports."""
        digest = self._home / "digest"
        self._skopeo(
            *("copy", "--dest-tls-verify=false", "--digestfile", digest),
            *options,
            source,
            f"docker://{destination}",
        )
        return digest.read_text().strip()

    def pull(self, source: str, layout: Path, *options: str) -> None:
        """Copies from a registry into an OCI layout."""
        self._skopeo(
            *("copy", "--src-tls-verify=false"),
            *options,
            f"docker://{source}",
            f"oci:{layout}:pulled",
        )

    def copy(self, source: str, destination: str, *options: str) -> None:
        """Copies from registry to registry."""
        self._skopeo(
            *("copy", "--src-tls-verify=false", "--dest-tls-verify=false"),
            *options,
            f"docker://{source}",
            f"docker://{destination}",
        )

    def inspect(self, image: str, *options: str) -> Any:
        return json.loads(self.inspect_raw(image, *options))

    def inspect_raw(self, image: str, *options: str) -> str:
        return self._skopeo("inspect", "--tls-verify=false", *options, f"docker://{image}")

    def tags(self, repository: str) -> list[str]:
        listing = self._skopeo("list-tags", "--tls-verify=false", f"docker://{repository}")
        return json.loads(listing)["Tags"]

    def delete(self, image: str) -> None:
        self._skopeo("delete", "--tls-verify=false", f"docker://{image}")


class Podman:
    """podman with a storage folder of its own."""

    def __init__(self, scratch: Path, name: str = "podman"):
        self._home = scratch / name
        self.env = client_environment(self._home)

    def _podman(self, *args: str | Path, stdin: str | None = None) -> str:
        storage = self._home / "storage"
        return run_confined(
            self._home,
            [
                *("podman", "--root", storage / "root", "--runroot", storage / "run"),
                *("--tmpdir", storage / "tmp", "--storage-driver", "vfs"),
                *("--events-backend", "none", "--cgroup-manager", "cgroupfs"),
                *("--network-config-dir", self._home / "config" / "networks"),
                *args,
            ],
            env=self.env,
            stdin=stdin,
        )

    def login(self, registry: Registry) -> None:
        if not registry.user:
            return
        self._podman(
            *("login", "--tls-verify=false"),
            *("--username", registry.user, "--password-stdin", registry.host),
            stdin=registry.password,
        )

    def load(self, archive: Path) -> None:
        self._podman("load", "--input", archive)

    def push(self, image: str, destination: str) -> str:
        """Pushes and returns the digest of the manifest, which podman makes itself."""
        digest = self._home / "digest"
        self._podman(
            *("push", "--tls-verify=false", "--digestfile", digest),
            image,
            f"docker://{destination}",
        )
        return digest.read_text().strip()

    def pull(self, image: str) -> str:
        """Pulls and returns the id of the image: the digest of its configuration."""
        return self._podman("pull", "--quiet", "--tls-verify=false", f"docker://{image}").strip()

    def inspect(self, image: str) -> Any:
        return json.loads(self._podman("image", "inspect", image))[0]


class Docker:
    """A Docker engine with its data in a scratch folder, and the `docker` program."""

    def __init__(self, scratch: Path):
        home = scratch / "docker"
        self.env = client_environment(home)
        socket = home / "docker.sock"
        self.env["DOCKER_HOST"] = f"unix://{socket}"
        # Without a file of its own the engine would read the machine's.
        config = home / "daemon.json"
        config.write_text("{}")
        # No bridge and no packet filter: nothing outside the folder is touched,
        # and no container is ever started.
        self._daemon = Daemon(
            [
                *("dockerd", "--host", self.env["DOCKER_HOST"]),
                *("--data-root", home / "root", "--exec-root", home / "exec"),
                *("--pidfile", home / "dockerd.pid", "--config-file", config),
                *("--bridge=none", "--iptables=false", "--ip-masq=false"),
            ],
            env=self.env,
            log=home / "dockerd.log",
        )
        self._daemon.wait_until(self._answers, "its socket")

    def _answers(self) -> bool:
        try:
            self.docker("version")
        except AssertionError:
            return False
        return True

    def docker(self, *args: str | Path, stdin: str | None = None) -> str:
        return run(["docker", *args], env=self.env, stdin=stdin)

    def login(self, registry: Registry) -> None:
        """Logs in at the `localhost` form of the address, the one the tests push to."""
        if not registry.user:
            return
        self.docker(
            *("login", "--username", registry.user, "--password-stdin", registry.localhost),
            stdin=registry.password,
        )

    def inspect(self, image: str) -> Any:
        return json.loads(self.docker("image", "inspect", image))[0]

    def digest(self, image: str) -> str:
        """The digest under which the engine knows the image in its repository."""
        repository = image.rpartition(":")[0]
        names = self.inspect(image)["RepoDigests"]
        (name,) = [each for each in names if each.startswith(f"{repository}@")]
        return name.partition("@")[2]

    def remove_everything(self) -> None:
        self.docker("system", "prune", "--all", "--force")
        assert self.docker("image", "ls", "--quiet", "--all") == ""

    def stop(self) -> None:
        assert self._daemon.stop() == 0


@dataclass
class ContainerdImage:
    name: str
    digest: str


class Containerd:
    """A containerd with its state in a scratch folder, and the `ctr` program."""

    def __init__(self, scratch: Path):
        home = scratch / "containerd"
        self.env = client_environment(home)
        self._socket = home / "containerd.sock"
        config = home / "config.toml"
        # The Kubernetes plugin wants network folders of the machine; ctr does not need it.
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self._daemon = Daemon(
            [
                *("containerd", "--config", config, "--address", self._socket),
                *("--root", home / "root", "--state", home / "state"),
            ],
            env=self.env,
            log=home / "containerd.log",
        )
        self._daemon.wait_until(self._answers, "its socket")

    def _answers(self) -> bool:
        try:
            self.ctr("version")
        except AssertionError:
            return False
        return True

    def ctr(self, *args: str | Path) -> str:
        return run(["ctr", "--address", self._socket, *args], env=self.env)

    @staticmethod
    def _access(registry: Registry) -> list[str]:
        user = ["--user", f"{registry.user}:{registry.password}"] if registry.user else []
        return ["--plain-http", *user]

    def load(self, archive: Path, name: str) -> None:
        """Imports an OCI layout; its tag is appended to `name`."""
        self.ctr(
            *("images", "import", "--all-platforms", "--no-unpack"), "--base-name", name, archive
        )

    def push(self, registry: Registry, image: str) -> None:
        self.ctr("images", "push", *self._access(registry), image)

    def pull(self, registry: Registry, image: str, *options: str) -> None:
        self.ctr("images", "pull", *self._access(registry), *options, image)

    def images(self) -> list[ContainerdImage]:
        rows = self.ctr("images", "ls").splitlines()[1:]
        return [ContainerdImage(row.split()[0], row.split()[2]) for row in rows]

    def content(self, digest: str) -> bytes:
        # Only for text: `run` decodes what a program prints.
        return self.ctr("content", "get", digest).encode()

    def content_digests(self) -> set[str]:
        return set(self.ctr("content", "ls", "--quiet").split())

    def remove_everything(self) -> None:
        for image in self.images():
            self.ctr("images", "rm", "--sync", image.name)
        assert self.content_digests() == set()

    def stop(self) -> None:
        assert self._daemon.stop() == 0

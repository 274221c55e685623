"""Fixtures: the registry under test, images, and clients in scratch folders.

By default the suite starts its own server. With --registry-host it talks to one
that runs already, over plain HTTP, and leaves out the tests that need a server of
their own, and those of the API unless it is given the credentials of its root:

    run --registry-host 127.0.0.1:5000 --registry-user u --registry-password p \\
        --registry-access-key AKIA... --registry-secret-key ...
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.clients import Containerd, Docker, Podman, Skopeo
from support.images import Image, Index, write_image, write_index
from support.process import scratch_directory
from support.server import Deployment, Managed, Registry, Server
from support.wire import Recorder, record


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("registry under test")
    group.addoption("--registry-host", help="host:port of a running registry to test instead")
    group.addoption("--registry-user", default="", help="its user")
    group.addoption("--registry-password", default="", help="its password")
    group.addoption("--registry-access-key", help="the access key id of its root, for the API")
    group.addoption("--registry-secret-key", default="", help="its secret")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--registry-host"):
        return
    markers = ["own_server"] if config.getoption("--registry-access-key") else ["own_server", "api"]
    unfit = [item for item in items if any(map(item.get_closest_marker, markers))]
    config.hook.pytest_deselected(items=unfit)
    items[:] = [item for item in items if item not in unfit]


@pytest.fixture(scope="session")
def session_scratch() -> Iterator[Path]:
    with scratch_directory() as directory:
        yield directory


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for one test."""
    with scratch_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def module_scratch() -> Iterator[Path]:
    with scratch_directory() as directory:
        yield directory


def new_server(scratch: Path, *options: str | Path) -> Server:
    """A server with these options besides the usual ones."""
    for name in ("logs", "home"):
        (scratch / name).mkdir(parents=True)
    return Server(scratch / "data", scratch / "logs", scratch / "home", options)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, session_scratch: Path) -> Iterator[Managed]:
    """The server that most tests share. The orderly end of our own is part of the suite."""
    if request.config.getoption("--registry-host"):
        home = session_scratch / "home"
        home.mkdir()
        keys = (request.config.getoption(f"--registry-{name}-key") for name in ("access", "secret"))
        yield Deployment(outside(request.config), home, *keys)
        return
    server = new_server(session_scratch / "server")
    yield server
    server.stop()


def outside(config: pytest.Config) -> Registry:
    """The registry that the options name."""
    return Registry(*(config.getoption(f"--registry-{name}") for name in ("host", "user", "password")))


@pytest.fixture
def fresh_server(scratch: Path) -> Iterator[Server]:
    """A server for one test, which may kill it and start it again."""
    server = new_server(scratch / "server")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.config.getoption("--registry-host"):
        return outside(request.config)
    return request.getfixturevalue("server").registry


@pytest.fixture
def recorder(registry: Registry) -> Iterator[Recorder]:
    """A proxy in front of the registry that notes the requests."""
    proxy = record(registry.host)
    yield proxy.recorder
    proxy.close()


@pytest.fixture
def recorded(registry: Registry, recorder: Recorder) -> Registry:
    """The registry at the recorder's address."""
    return Registry(recorder.host, registry.user, registry.password)


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name that no other test uses."""

    def words(text: str) -> str:
        return re.sub(r"[^a-z0-9]+", "-", text.removeprefix("test_").lower()).strip("-")

    module, test = words(request.node.path.stem), words(request.node.originalname)
    # Parameters may have characters that a name cannot have, so they are only counted.
    siblings = [
        item.name
        for item in request.session.items
        if item.path == request.node.path and item.originalname == request.node.originalname
    ]
    number = f"/{siblings.index(request.node.name)}" if len(siblings) > 1 else ""
    return f"{module}/{test}{number}"


@pytest.fixture(scope="session")
def make_image(session_scratch: Path) -> Callable[..., Image]:
    """Writes an image, or returns the one written before from the same seed."""
    made: dict[str, Image] = {}

    def make(seed: str, **options: object) -> Image:
        if seed not in made:
            made[seed] = write_image(session_scratch / "images" / seed, seed, **options)
        return made[seed]

    return make


@pytest.fixture(scope="session")
def image(make_image: Callable[..., Image]) -> Image:
    """The usual small image: three gzip layers."""
    return make_image("small")


@pytest.fixture(scope="session")
def index(session_scratch: Path) -> Index:
    """A multi-architecture index of two images."""
    return write_index(session_scratch / "images" / "index", "index")


@pytest.fixture
def skopeo(scratch: Path, registry: Registry) -> Skopeo:
    skopeo = Skopeo(scratch)
    skopeo.login(registry)
    return skopeo


@pytest.fixture
def podman(scratch: Path, registry: Registry) -> Podman:
    podman = Podman(scratch)
    podman.login(registry)
    return podman


@pytest.fixture(scope="module")
def docker(module_scratch: Path, registry: Registry) -> Iterator[Docker]:
    docker = Docker(module_scratch)
    docker.login(registry)
    yield docker
    docker.stop()


@pytest.fixture(scope="module")
def containerd(module_scratch: Path) -> Iterator[Containerd]:
    containerd = Containerd(module_scratch)
    yield containerd
    containerd.stop()

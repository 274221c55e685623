"""Running programs so that a failure shows what they said."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# No test waits for a time to pass. These only turn a hang into a failure.
COMMAND_LIMIT_SECONDS = 300
STATE_LIMIT_SECONDS = 60

POLL_SECONDS = 0.02


class CommandFailed(AssertionError):
    """A program ended with a status other than zero."""

    def __init__(self, args: Sequence[str], status: int, stdout: str, stderr: str):
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(
            f"status {status} from: {' '.join(args)}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )


def run(
    args: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    stdin: str | None = None,
    cwd: Path | None = None,
) -> str:
    """Runs a program to its end and returns what it printed on stdout."""
    words = [str(arg) for arg in args]
    done = subprocess.run(
        words,
        env=dict(env),
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(words, done.returncode, done.stdout, done.stderr)
    return done.stdout


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    """Waits for a state that the server brings about by itself."""
    deadline = time.monotonic() + STATE_LIMIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited {STATE_LIMIT_SECONDS} s for {what}"
        time.sleep(POLL_SECONDS)


class Daemon:
    """A program that runs until it is told to stop. Its output goes to files."""

    def __init__(
        self,
        args: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        stdout: Path | None = None,
    ):
        self.log = log
        self._args = [str(arg) for arg in args]
        with log.open("ab") as errors, (stdout or log).open("ab") as output:
            self.process = subprocess.Popen(
                self._args,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def wait_until(self, is_ready: Callable[[], bool], what: str) -> None:
        """Waits for a state that the daemon brings about, or for its death."""
        deadline = time.monotonic() + STATE_LIMIT_SECONDS
        while not is_ready():
            problem = None
            if self.process.poll() is not None:
                problem = f"ended with status {self.process.returncode}"
            elif time.monotonic() > deadline:
                problem = f"is not ready after {STATE_LIMIT_SECONDS} s"
            if problem:
                log = self.log.read_text(errors="replace")
                raise AssertionError(
                    f"{self._args[0]} {problem}, waiting for {what}\n{log[-8000:]}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self) -> int:
        """Asks the daemon to end and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=STATE_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self._args[0]} did not end after SIGTERM") from None


def _mounts_below(directory: Path) -> list[str]:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split(" ")[1].encode().decode("unicode_escape") for line in mounts]
    return sorted(
        (point for point in points if Path(point).is_relative_to(directory)), reverse=True
    )


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A folder that is gone afterwards, with whatever a client mounted in it.

    The path is short because daemons put UNIX sockets below it, and the name of
    such a socket may have at most 107 bytes.
    """
    directory = Path(tempfile.mkdtemp(prefix="iw-"))
    try:
        yield directory
    finally:
        for point in _mounts_below(directory):
            subprocess.run(["umount", "--lazy", point], check=True)
        shutil.rmtree(directory)


def client_environment(home: Path) -> dict[str, str]:
    """An environment in which a client finds no configuration but its scratch folder's."""
    for name in ("run", "config", "data", "cache", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "run").chmod(0o700)
    # podman insists that the file it is told to use exists.
    (home / "auth.json").write_text("{}")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(home / "tmp"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "REGISTRY_AUTH_FILE": str(home / "auth.json"),
        "DOCKER_CONFIG": str(home / "docker"),
    }

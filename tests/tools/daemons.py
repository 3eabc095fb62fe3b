"""Starting a server program, waiting until it answers, and running the small programs around it."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

from tests.tools.processes import die_with_parent

_START_SECONDS = 60.0
_RUN_SECONDS = 300.0
_TAIL = 2000


class Missing(Exception):
    """A service cannot be had on this machine; the message says what to install."""


@dataclass(frozen=True)
class Daemon:
    """A server that runs until it is stopped or this process ends."""

    process: subprocess.Popen[bytes]
    log: Path | None = None

    def wait(self, ready: Callable[[], bool], seconds: float = _START_SECONDS) -> None:
        """Until `ready`; raise Missing with the end of the log where that never comes."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                said = self.log.read_text(errors="replace")[-_TAIL:] if self.log else ""
                raise Missing(f"{self.process.args!r} did not come up\n{said}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once: what it holds goes with its folder."""
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(
    command: Sequence[str | Path],
    log: Path,
    address: Path,
    environment: Mapping[str, str] | None = None,
    *,
    tied: bool = True,
    user: int | None = None,
) -> Daemon:
    """Start `command` and wait until it listens on the unix socket `address`.

    Tied, it dies with the thread that started it; for a process of one thread only.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(environment or {}),
            user=user,
            group=user,
            preexec_fn=die_with_parent if tied else None,  # noqa: PLW1509  then this process has one thread
        )
    daemon = Daemon(process, log)
    daemon.wait(lambda: _listens(address))
    return daemon


def run(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, *, user: int | None = None
) -> str:
    """What `command` prints; raise Missing with its last words where it fails."""
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | dict(environment or {}),
        timeout=_RUN_SECONDS,
        user=user,
        group=user,
        check=False,
    )
    said = ended.stdout.decode(errors="replace")
    if ended.returncode:
        words = " ".join(map(str, command))
        raise Missing(f"`{words}` ended with {ended.returncode}:\n{said[-_TAIL:]}")
    return said


def _listens(address: Path) -> bool:
    with suppress(OSError), socket(AF_UNIX, SOCK_STREAM) as probe:
        probe.connect(str(address))
        return True
    return False

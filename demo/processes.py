"""Programs that the demo starts, and what runs below them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
_TICK = 0.05
_STOP_SECONDS = 20.0
_TAIL_LINES = 15


class DidNotStart(Exception):
    """A program ended, or said nothing, before it was ready."""


class Program:
    """A program that says `ready …` once it is; all its output goes to a log file."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._name = Path(command[0]).name if command[0] != sys.executable else " ".join(command[1:3])
        self._log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends its programs in order.
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ready(self, seconds: float) -> str:
        """What it says behind `ready`; waits for it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ended = self._process.poll()
            for line in self._log.read_text(errors="replace").splitlines():
                if line.startswith("ready "):
                    return line.removeprefix("ready ").strip()
            if ended is not None:
                raise DidNotStart(f"{self._name} ended with status {ended}:\n{self.tail()}")
            time.sleep(_TICK)
        raise DidNotStart(f"{self._name} was not ready within {seconds:g} s:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of its output."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])

    def stop(self) -> None:
        """Ask it to end, and see that it did."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Seen(NamedTuple):
    """A process that runs now."""

    pid: int
    parent: int


def below(root: int) -> list[Seen]:
    """Every process below `root` that has not ended."""
    running = list(_running())
    family, found = {root}, list[Seen]()
    while members := [each for each in running if each.parent in family and each not in found]:
        found += members
        family |= {each.pid for each in members}
    return found


def wait_until_gone(pids: set[int], seconds: float) -> bool:
    """Whether all of them have ended within that time."""
    until = time.monotonic() + seconds
    while pids & {each.pid for each in _running()}:
        if time.monotonic() > until:
            return False
        time.sleep(_TICK)
    return True


def _running() -> Iterator[Seen]:
    if not Path("/proc/self/stat").exists():
        yield from _listed()
        return
    for path in Path("/proc").glob("[0-9]*"):
        # A process may end while it is looked at.
        with suppress(OSError):
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                yield Seen(int(path.name), int(parent))


def _listed() -> Iterator[Seen]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,state="], stdout=subprocess.PIPE, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, parent, state = line.split()
        if not state.startswith("Z"):
            yield Seen(int(pid), int(parent))

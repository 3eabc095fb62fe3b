"""The guard as `weir up` sees it."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from weir_server.embedded import guard


class Guard:
    """A process of its own that ends the children when this one is gone, kill -9 included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._alive: set[int] = set()
        self._process = self._start()

    def add(self, pid: int) -> None:
        """A process group lives."""
        self._alive.add(pid)
        self._say(f"+{pid}\n")

    def remove(self, pid: int) -> None:
        """A process group has ended."""
        self._alive.discard(pid)
        self._say(f"-{pid}\n")

    def close(self) -> None:
        """Let it clean up, and see it end."""
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(line.encode())
        except OSError:
            # It was killed: a new one is told of all.
            with suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
            self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        assert process.stdin
        for pid in self._alive:
            process.stdin.write(f"+{pid}\n".encode())
        return process

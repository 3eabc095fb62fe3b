"""What a child prints, in files of bounded size."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_FILE_BYTES: Final = 8 * 1024 * 1024
_OLD_FILES: Final = 3
_CHUNK: Final = 65_536
_TAIL: Final = 4_096


class LogPipe:
    """A pipe whose one end children write to, over all their restarts; `NAME.log.1` is the older file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._tail = b""
        self._read, self.write_end = os.pipe2(os.O_CLOEXEC) if hasattr(os, "pipe2") else os.pipe()
        os.set_blocking(self._read, False)
        asyncio.get_running_loop().add_reader(self._read, self._take)

    def last_lines(self, count: int) -> list[str]:
        """The newest lines, oldest first."""
        self._take()
        return self._tail.decode(errors="replace").splitlines()[-count:]

    def close(self) -> None:
        """Write what is left, and end."""
        self._take()
        asyncio.get_running_loop().remove_reader(self._read)
        for end in (self._read, self.write_end):
            os.close(end)
        self._file.close()

    def _take(self) -> None:
        with suppress(BlockingIOError):
            chunk = os.read(self._read, _CHUNK)
            self._tail = (self._tail + chunk)[-_TAIL:]
            # A full disk costs log lines, not the service.
            with suppress(OSError):
                self._file.write(chunk)
                if self._file.tell() > _FILE_BYTES:
                    self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(_OLD_FILES, 0, -1):
            newer = self._path if number == 1 else Path(f"{self._path}.{number - 1}")
            with suppress(FileNotFoundError):
                newer.replace(f"{self._path}.{number}")
        self._file = self._path.open("ab", buffering=0)

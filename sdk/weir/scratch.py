"""Where a handler's files lie until its worker has taken them over."""

import os
import re
import secrets
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

Content = bytes | bytearray | memoryview | os.PathLike[str]
"""Bytes, or the path of a file."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A file that lies ready."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder that the worker looks into. Its methods block."""

    NAMES: ClassVar[re.Pattern[str]] = re.compile(r"artifact-[0-9a-f]{16}")
    """What the files in it are called."""

    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    most: int = 1 << 62
    """Bytes that the worker takes as one file."""

    @staticmethod
    def fresh_name() -> str:
        """A name that no file in it has."""
        return f"artifact-{secrets.token_hex(8)}"

    def take(self, name: str) -> bytes:
        """What the worker has put there; it is removed."""
        place = self.folder / name
        try:
            return place.read_bytes()
        finally:
            place.unlink(missing_ok=True)

    def put(self, content: Content) -> tuple[Handed, Path]:
        """Put the content there: its name, and where it lies until the caller removes it.

        A file is linked, and where that can't be, copied; it is never read into memory. TaskFailure where
        it is too large, OSError.
        """
        if not isinstance(content, (bytes, bytearray, memoryview, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"an artifact is bytes or the Path of a file, not {type(content).__name__}")
        place = self.folder / self.fresh_name()
        try:
            if isinstance(content, os.PathLike):
                size = self._link_or_copy(content, place)
            else:
                size = self._write(content, place)
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return Handed(place.name, size), place

    def _write(self, content: bytes | bytearray | memoryview, place: Path) -> int:
        size = memoryview(content).nbytes
        self._check(size)
        place.write_bytes(content)
        return size

    def _link_or_copy(self, content: os.PathLike[str], place: Path) -> int:
        source = Path(os.path.realpath(content))
        if source.exists() and not source.is_file():
            raise ValueError(f"{source} is no regular file")
        size = source.stat().st_size
        self._check(size)
        try:
            place.hardlink_to(source)
        except OSError:
            # It lies on another file system, or is another user's.
            shutil.copyfile(source, place)
        return size

    def _check(self, size: int) -> None:
        if size > self.most:
            raise _too_large(size, self.most)
        self.folder.mkdir(mode=0o700, exist_ok=True)


def _too_large(size: int, most: int) -> Exception:
    from weir.task import TaskFailure

    message = f"an artifact of {size:,} bytes is larger than {most:,} (WEIR_FILE_BYTES)"
    return TaskFailure("USER_ERROR", message, code="artifact.size")

"""Files under one folder, by name: whole and on the disk, or not there at all.

A file is written under a temporary name, synced, renamed and its folder synced,
so that a name never shows half a file, not even after a power cut. A name is a
few plain parts joined by `/`; nothing else gets to the file system.
"""

import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from weir_core.failpoints import reach

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,199}){0,15}")
_UNFINISHED = ".unfinished-"
_PORTION: Final = 1 << 20


class Source(Protocol):
    """Gives content a portion at a time; nothing at its end."""

    def read(self, size: int, /) -> bytes: ...


class UnsafeName(ValueError):
    """A name that the store does not take."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is no name of a stored file; it must be plain parts joined by '/'")


class TooLarge(ValueError):
    """Content that goes on beyond what may be stored; nothing of it is."""


class Abandoned(Exception):
    """Nobody wants the content any more; nothing of it is stored."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Size and SHA-256 of what was stored."""

    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the store."""

    name: str
    size: int
    modified: float


class ObjectStore:
    """A folder as a store. Its methods block: call them from a thread."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Stores the content under the name; one that is there is replaced."""
        with self._drafted(name) as draft:
            draft.write(content)

    def put_from(self, name: str, source: Source, most: int, abandoned: threading.Event) -> Measure:
        """Stores what `source` gives, a portion at a time; TooLarge, Abandoned.

        What is measured is what was stored, whatever becomes of the source meanwhile.
        """
        digest, size = hashlib.sha256(), 0
        with self._drafted(name) as draft:
            while portion := source.read(_PORTION):
                size += len(portion)
                if size > most:
                    raise TooLarge(f"more than {most:,} bytes")
                if abandoned.is_set():
                    raise Abandoned
                digest.update(portion)
                draft.write(portion)
        return Measure(size, digest.digest())

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Some bytes of a file, fewer at its end; FileNotFoundError."""
        with self.path(name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def copy_to(self, name: str, target: Path) -> None:
        """Writes a file's content to a file that is not there yet; OSError where it is."""
        with self.path(name).open("rb") as source, target.open("xb") as file:
            shutil.copyfileobj(source, file, _PORTION)

    def path(self, name: str) -> Path:
        """Where the file with that name is; UnsafeName if it would be outside."""
        if _NAME.fullmatch(name) is None:
            raise UnsafeName(name)
        target = self._root / name
        # A link inside the folder may lead out of it.
        if not Path(os.path.realpath(target)).is_relative_to(self._root):
            raise UnsafeName(name)
        return target

    def delete(self, name: str) -> None:
        """Deletes a file; one that is not there is no error."""
        self.path(name).unlink(missing_ok=True)

    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        """Files in the folder `prefix` and below, in no order."""
        for path, found in self._walk(prefix):
            if not path.name.startswith(_UNFINISHED):
                yield StoredFile(path.relative_to(self._root).as_posix(), found.st_size, found.st_mtime)

    def delete_unfinished(self, older_than_seconds: float) -> int:
        """Deletes what writers left behind when they died; gives the number."""
        limit = time.time() - older_than_seconds
        old = [
            path
            for path, found in self._walk("")
            if path.name.startswith(_UNFINISHED) and found.st_mtime < limit
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    @contextmanager
    def _drafted(self, name: str) -> Generator[BinaryIO]:
        """A file to be written to, that gets its name once all is on the disk."""
        target = self.path(name)
        self._make_folder(target.parent)
        draft = target.parent / f"{_UNFINISHED}{secrets.token_hex(8)}"
        try:
            with draft.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            reach("file.drafted")
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
        reach("file.stored")

    def _walk(self, prefix: str) -> Iterator[tuple[Path, os.stat_result]]:
        top = self.path(prefix) if prefix else self._root
        for folder, _, names in os.walk(top):
            for name in names:
                path = Path(folder) / name
                try:
                    yield path, path.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue

    def _make_folder(self, folder: Path) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            _sync_folder(made.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""What a store is: content by name, whole and safe, or not there at all.

A name is a few plain parts joined by `/`; nothing else gets to what is behind it.
Content never changes once it has its name: who writes anew takes another one.
"""

import errno
import hashlib
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeAlias

from weir_core.errors import DependencyDown

PORTION: Final = 1 << 20
PROBES: Final = "probes"
"""Folder of what `try_out` writes."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,199}){0,15}")


Readable: TypeAlias = BinaryIO | RawIOBase


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


class ObjectStore(Protocol):
    """Files by name. All methods block: call them by `in_thread`.

    Each raises DependencyDown where the store does not answer: the same call may be repeated. OSError, where
    it is full or the right is missing; FileNotFoundError, where no file has the name.
    """

    @property
    def place(self) -> str:
        """What people call it: the folder, or `s3://bucket/prefix`."""
        ...

    @property
    def remote(self) -> bool:
        """True where it is reached over a network."""
        ...

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Stores the content under the name; one that is there is replaced."""
        ...

    def put_from(self, name: str, source: Source, most: int, abandoned: threading.Event) -> Measure:
        """Stores what `source` gives, a portion at a time; TooLarge, Abandoned.

        What is measured is what was stored, whatever becomes of the source meanwhile.
        """
        ...

    def open(self, name: str) -> Readable:
        """The file, to read and to seek in."""
        ...

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Some bytes of a file, fewer at its end."""
        ...

    def copy_to(self, name: str, target: Path) -> None:
        """Writes a file's content to a file that is not there yet; OSError where it is."""
        ...

    def delete(self, name: str) -> None:
        """Deletes a file; one that is not there is no error."""
        ...

    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        """Files in the folder `prefix` and below, in no order."""
        ...

    def delete_unfinished(self, older_than_seconds: float) -> int:
        """Deletes what writers left behind when they died; gives the number."""
        ...


class Intake:
    """Hands on what a source gives, and measures it."""

    def __init__(self, source: Source, most: int, abandoned: threading.Event) -> None:
        self._source = source
        self._most = most
        self._abandoned = abandoned
        self._digest = hashlib.sha256()
        self._size = 0

    def portions(self) -> Iterator[bytes]:
        """The content, 1 MiB at a time; TooLarge, Abandoned."""
        while portion := self._source.read(PORTION):
            self._size += len(portion)
            if self._size > self._most:
                raise TooLarge(f"more than {self._most:,} bytes")
            if self._abandoned.is_set():
                raise Abandoned
            self._digest.update(portion)
            yield portion

    def measure(self) -> Measure:
        """Of what was handed on so far."""
        return Measure(self._size, self._digest.digest())


def checked(name: str) -> str:
    """The name, if it is one that a store takes; UnsafeName."""
    if _NAME.fullmatch(name) is None:
        raise UnsafeName(name)
    return name


def unreachable(place: str, why: str = "does not answer") -> DependencyDown:
    """The error for a store that can't be asked now."""
    return DependencyDown("storage", told=f"the store {place} {why}; try again in a moment")


def try_out(store: ObjectStore) -> None:
    """Writes a small file, reads it back and deletes it; raises what the store does."""
    name, content = f"{PROBES}/{secrets.token_hex(8)}", b"weir"
    store.put(name, content)
    try:
        if store.read(name, 0, len(content)) != content:
            raise OSError(errno.EIO, f"the store {store.place} does not give back what was stored")
    finally:
        store.delete(name)

"""Takes over files that handlers hand over: content first, then the row, then the event.

A handler names a file of its run's own scratch folder, and of the machine nothing else.
"""

import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from uuid import UUID

from weir.task import Ask, Scratch
from weir_core.errors import InvalidArgument, QuotaExceeded
from weir_core.files.models import File, NewFile, event_body
from weir_core.files.service import FileService
from weir_core.tasks.events import AttemptLog, EventKind
from weir_core.tasks.models import Task


class Giver(Protocol):
    """An attempt that hands files over."""

    task: Task
    log: AttemptLog
    heard: float
    result: File | None

    @property
    def folder(self) -> Path:
        """Its scratch folder."""
        ...


class Declined(Exception):
    """Why what was asked for can't be had, as the handler is to be told: who has to act, and a short name."""

    def __init__(self, kind: str, code: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message


class Taking:
    """One file that is handed over; each step is done once, however often it is asked for."""

    def __init__(self, files: FileService, giver: Giver, asked: Ask) -> None:
        self._files = files
        self._giver = giver
        self._asked = asked
        self._made: File | None = None

    async def artifact(self) -> dict[str, Any]:
        """Keep an artifact, and tell of it; raises Declined, InvalidArgument, Fenced."""
        with _told():
            self._made = self._made or await self._stored()
            await self._files.commit(self._made)
        body = event_body(self._made)
        self._giver.log.add(EventKind.ARTIFACT, body)
        return body

    async def result(self) -> None:
        """Keep a large result for the end of the task; raises Declined, InvalidArgument."""
        with _told(), _opened(self._giver.folder, self._asked["handed"]) as file:
            source = _Heard(file, self._giver)
            self._giver.result = await self._files.store_result(self._giver.task, source)

    async def _stored(self) -> File:
        new = NewFile(self._asked["name"], self._asked["media_type"])
        with _opened(self._giver.folder, self._asked["handed"]) as file:
            size = os.fstat(file.fileno()).st_size
            return await self._files.store(self._giver.task, new, size, _Heard(file, self._giver))


async def hand_out(files: FileService, file_id: UUID, folder: Path) -> str:
    """Put a file into a scratch folder, for the handler; its name there. Raises NotFound, Declined."""
    name = Scratch.fresh_name()
    with _told():
        _make(folder)
        await files.copy_out(file_id, folder / name)
    return name


class _Heard:
    """A file whose reading is a sign of life of its handler."""

    def __init__(self, file: BinaryIO, giver: Giver) -> None:
        self._file = file
        self._giver = giver

    def read(self, size: int, /) -> bytes:
        self._giver.heard = time.monotonic()
        return self._file.read(size)


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except QuotaExceeded as error:
        raise Declined("USER_ERROR", error.subject, error.description) from None
    except OSError as error:
        raise Declined("RESOURCE", "storage", f"a file can't be stored: {error.strerror or error}") from error


@contextmanager
def _opened(folder: Path, name: str) -> Generator[BinaryIO]:
    """A handed file; InvalidArgument for what is none.

    No link is followed, and what is no regular file is not waited for: a handler is not to have the worker
    read what it can't read itself, nor to hold it up.
    """
    if Scratch.NAMES.fullmatch(name) is None:
        raise InvalidArgument.at("handed", f"is no name of a file that is handed over: {name[:100]!r}")
    try:
        descriptor = _open(folder, name)
    except OSError as error:
        raise InvalidArgument.at("handed", f"{name} can't be taken over: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidArgument.at("handed", f"{name} is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)


def _open(folder: Path, name: str) -> int:
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
    finally:
        os.close(place)

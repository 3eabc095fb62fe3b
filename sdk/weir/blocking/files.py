"""Downloads: a file's bytes in order, going on where a connection broke, and checked at the end."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from weir import errors
from weir.blocking import io
from weir.blocking.stream import SILENCE, Resuming, Stream
from weir.v1.task_pb2 import File
from weir.v1.task_service_pb2 import DownloadFileResponse

PATIENCE = 30.0

Opener = Callable[[int], Stream[DownloadFileResponse]]
"""Opens the stream of a file from a byte on."""


class Download:
    """The content of a file, portion by portion; `file` is known with the first.

    ResultTooLarge where it is more than `most` bytes.
    """

    def __init__(self, open_at: Opener, most: int | None = None) -> None:
        self._open_at = open_at
        self._most = most
        self._done = 0
        self._digest = hashlib.sha256()
        self._stream: Resuming[DownloadFileResponse] = Resuming(
            self._reopened, silence=SILENCE, patience=PATIENCE, lasting=PATIENCE
        )
        self.file = File()

    def next(self) -> bytes | None:
        """The next bytes; None at the end. DataLoss where they are not those that were stored."""
        message = self._stream.next()
        if message is None:
            self._check_end()
            return None
        if not self.file.id:
            self.file = message.file
            self._check_size(message.file)
        if message.offset != self._done:
            raise errors.DataLoss(
                f"byte {message.offset} of file {self.file.id} came where {self._done} must"
            )
        self._done += len(message.data)
        self._digest.update(message.data)
        return message.data

    def close(self) -> None:
        """Ends the call."""
        self._stream.close()

    def _reopened(self) -> Stream[DownloadFileResponse]:
        return self._open_at(self._done)

    def _check_size(self, file: File) -> None:
        if self._most is not None and file.size_bytes > self._most:
            raise errors.ResultTooLarge(file.id, file.size_bytes, self._most)

    def _check_end(self) -> None:
        if self._done != self.file.size_bytes or self._digest.digest() != self.file.sha256:
            raise errors.DataLoss(f"file {self.file.id} is not what was stored: its SHA-256 differs")


def save(download: Download, to: str | os.PathLike[str] | IO[bytes]) -> File:
    """Write a file's content to an open file, or to a path, where it is only once it is whole and checked."""
    if isinstance(to, str | os.PathLike):
        partial = Path(f"{os.fspath(to)}.partial")
        try:
            with io.run(partial.open, "wb") as target:
                file = _write(download, target)
            io.run(partial.replace, to)
        finally:
            io.run(_remove, partial)
        return file
    return _write(download, to)


def read(download: Download) -> bytes:
    """A file's content."""
    content = bytearray()
    try:
        while (portion := download.next()) is not None:
            content += portion
    finally:
        download.close()
    return bytes(content)


def _write(download: Download, target: IO[bytes]) -> File:
    try:
        while (portion := download.next()) is not None:
            io.run(target.write, portion)
    finally:
        download.close()
    return download.file


def _remove(partial: Path) -> None:
    partial.unlink(missing_ok=True)

"""Chunks as messages of the Arrow IPC stream format, none greater than asked for."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pyarrow.ipc as pa_ipc

from weir_core.datasets.reading import Chunk, Place, Reading
from weir_core.errors import QuotaExceeded


@dataclass(frozen=True, slots=True)
class IpcMessage:
    """A part of a stream: the schema, or one record batch."""

    data: bytes
    rows: int
    end: Place
    """Where to go on after it."""


def to_ipc_messages(reading: Reading, batch_bytes: int) -> Generator[IpcMessage]:
    """The schema first, then one record batch a message, each of at most so many bytes. Blocks."""
    yield IpcMessage(reading.schema.serialize().to_pybytes(), 0, reading.start)
    for chunk in reading.chunks():
        yield from _messages(chunk, batch_bytes)


def _messages(chunk: Chunk, batch_bytes: int) -> Iterator[IpcMessage]:
    rest = chunk
    while rest.rows.num_rows:
        part = _fitting(rest, batch_bytes)
        yield IpcMessage(part.rows.serialize().to_pybytes(), part.rows.num_rows, part.end)
        rest = rest.tail(part.rows.num_rows)


def _fitting(chunk: Chunk, batch_bytes: int) -> Chunk:
    """As many of the first rows as fit into a message."""
    count = chunk.rows.num_rows
    while True:
        part = chunk.head(count)
        size = pa_ipc.get_record_batch_size(part.rows)
        if size <= batch_bytes:
            return part
        if count == 1:
            raise _too_large(size, batch_bytes)
        count = max(1, min(count // 2, count * batch_bytes // size))


def _too_large(size: int, batch_bytes: int) -> QuotaExceeded:
    return QuotaExceeded(
        "batch_bytes",
        f"one record takes {size} bytes, a message {batch_bytes}; ask for fewer columns or greater messages",
    )

"""Reading records back, going on by the resume token where a connection broke."""

from collections.abc import Callable
from typing import Any, TypeVar

from weir.aio import io
from weir.aio.stream import SILENCE, AsyncResuming, AsyncStream
from weir.arrow import Decoder, RecordBatch, Table
from weir.v1.collection_service_pb2 import ReadArrowResponse, ReadRecordsResponse
from weir.values import from_struct

PATIENCE = 30.0


Rows = TypeVar("Rows", ReadArrowResponse, ReadRecordsResponse)


async def read_records(
    open_at: Callable[[str], AsyncStream[ReadRecordsResponse]],
) -> io.Iterating[dict[str, Any]]:
    """The rows, each once."""
    async for message in _messages(open_at):
        for record in message.records:
            yield from_struct(record)


async def read_batches(
    open_at: Callable[[str], AsyncStream[ReadArrowResponse]],
) -> io.Iterating[RecordBatch]:
    """The rows as Arrow batches, each once."""
    decoder = Decoder()
    async for message in _messages(open_at):
        for batch in decoder.batches(message.data):
            yield batch


async def read_table(open_at: Callable[[str], AsyncStream[ReadArrowResponse]]) -> Table:
    """All the rows as one table in memory."""
    decoder = Decoder()
    async for message in _messages(open_at):
        decoder.keep(message.data)
    return decoder.table()


async def _messages(open_at: Callable[[str], AsyncStream[Rows]]) -> io.Iterating[Rows]:
    """The messages of all calls; a later one starts behind the last message of the one before."""
    token = ""

    def reopened() -> AsyncStream[Rows]:
        return open_at(token)

    stream = AsyncResuming(reopened, silence=SILENCE, patience=PATIENCE, lasting=PATIENCE)
    try:
        while (message := await stream.next()) is not None:
            yield message
            token = message.resume_token or token
    finally:
        stream.close()

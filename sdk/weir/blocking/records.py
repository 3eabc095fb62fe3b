"""Reading records back, going on by the resume token where a connection broke."""

from collections.abc import Callable
from typing import Any, TypeVar

from weir.arrow import Decoder, RecordBatch, Table
from weir.blocking import io
from weir.blocking.stream import SILENCE, Resuming, Stream
from weir.v1.collection_service_pb2 import ReadArrowResponse, ReadRecordsResponse
from weir.values import from_struct

PATIENCE = 30.0


Rows = TypeVar("Rows", ReadArrowResponse, ReadRecordsResponse)


def read_records(
    open_at: Callable[[str], Stream[ReadRecordsResponse]],
) -> io.Iterating[dict[str, Any]]:
    """The rows, each once."""
    for message in _messages(open_at):
        for record in message.records:
            yield from_struct(record)


def read_batches(
    open_at: Callable[[str], Stream[ReadArrowResponse]],
) -> io.Iterating[RecordBatch]:
    """The rows as Arrow batches, each once."""
    decoder = Decoder()
    for message in _messages(open_at):
        yield from decoder.batches(message.data)


def read_table(open_at: Callable[[str], Stream[ReadArrowResponse]]) -> Table:
    """All the rows as one table in memory."""
    decoder = Decoder()
    for message in _messages(open_at):
        decoder.keep(message.data)
    return decoder.table()


def _messages(open_at: Callable[[str], Stream[Rows]]) -> io.Iterating[Rows]:
    """The messages of all calls; a later one starts behind the last message of the one before."""
    token = ""

    def reopened() -> Stream[Rows]:
        return open_at(token)

    stream = Resuming(reopened, silence=SILENCE, patience=PATIENCE, lasting=PATIENCE)
    try:
        while (message := stream.next()) is not None:
            yield message
            token = message.resume_token or token
    finally:
        stream.close()

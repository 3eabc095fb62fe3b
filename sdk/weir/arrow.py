"""Arrow IPC messages one at a time; pyarrow comes with the extra `weir-sdk[arrow]`."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from weir.errors import ClientError, DataLoss

# pyarrow has no types of its own, and what is Unknown would taint every strictly typed program that reads.
Table: TypeAlias = Any
RecordBatch: TypeAlias = Any
Schema: TypeAlias = Any


class Decoder:
    """Turns the messages of ReadArrow into batches. A schema may come again after a reconnect."""

    def __init__(self) -> None:
        self._ipc, self._pa = _pyarrow()
        self._schema: Schema | None = None
        self._kept: list[RecordBatch] = []

    def batches(self, data: bytes) -> Iterator[RecordBatch]:
        """The batches in one message."""
        reader = self._ipc.MessageReader.open_stream(self._pa.BufferReader(data))
        for message in _each(reader):
            if message.type == "schema":
                self._take_schema(self._ipc.read_schema(message))
            elif message.type == "record batch" and self._schema is not None:
                yield self._ipc.read_record_batch(message, self._schema)
            else:
                raise DataLoss(f"the server sent an Arrow message that does not belong here: {message.type}")

    def keep(self, data: bytes) -> None:
        """Adds the batches in one message to the table."""
        self._kept += self.batches(data)

    def table(self) -> Table:
        """All that was kept."""
        if self._schema is None:
            raise DataLoss("the server sent no Arrow schema")
        return self._pa.Table.from_batches(self._kept, self._schema)

    def _take_schema(self, schema: Schema) -> None:
        if self._schema is not None and schema != self._schema:
            raise DataLoss("the server sent another schema after a reconnect")
        self._schema = schema


def _each(reader: Any) -> Iterator[Any]:
    while True:
        try:
            yield reader.read_next_message()
        except (StopIteration, EOFError):
            return


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import ipc
    except ImportError:
        raise ClientError("Arrow needs pyarrow: pip install 'weir-sdk[arrow]'") from None
    return ipc, pa

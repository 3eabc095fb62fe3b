"""Records as messages: rows as JSON objects, cut to the size of a message."""

from collections.abc import Iterator
from typing import Any, Final, cast

import pyarrow as pa
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from weir_core.datasets.rows import to_json_rows
from weir_core.errors import QuotaExceeded

_MOST_BYTES: Final = 2 * 1024 * 1024
# For the token, and the frame of each row.
_ROOM: Final = 4096
_FRAME: Final = 6


def rows_in(records: pa.RecordBatch, most: int) -> Iterator[list[Struct]]:
    """The rows as JSON objects, at most `most` and 2 MiB at a time."""
    rows: list[Struct] = []
    size = _ROOM
    for record in to_json_rows(records):
        row = _struct(record)
        length = row.ByteSize() + _FRAME
        if _ROOM + length > _MOST_BYTES:
            raise QuotaExceeded(
                "record",
                f"one takes {length:,} bytes, a message holds {_MOST_BYTES:,}; ask for fewer `columns`",
            )
        if rows and (len(rows) >= most or size + length > _MOST_BYTES):
            yield rows
            rows, size = [], _ROOM
        rows.append(row)
        size += length
    if rows:
        yield rows


def fitting_rows(records: list[dict[str, Any]]) -> list[Struct]:
    """The first of some rows, JSON already, as many as fit into 2 MiB."""
    rows: list[Struct] = []
    size = _ROOM
    for record in records:
        row = _struct(record)
        size += row.ByteSize() + _FRAME
        if size > _MOST_BYTES:
            break
        rows.append(row)
    return rows


def _struct(record: dict[str, Any]) -> Struct:
    return Struct(fields={name: _value(value) for name, value in record.items()})


def _value(value: Any) -> Value:
    if value is None:
        return Value(null_value=NULL_VALUE)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, dict):
        return Value(struct_value=_struct(cast("dict[str, Any]", value)))
    if isinstance(value, list):
        return Value(list_value=ListValue(values=[_value(each) for each in cast("list[Any]", value)]))
    return Value(string_value=value)

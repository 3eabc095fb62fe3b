"""Record batches as rows of JSON values, as the contract sends them.

What JSON's one kind of number, a double, can't hold is text: whole numbers
beyond 2^53, decimals, NaN; so are times (RFC 3339) and bytes (base64).
"""

import base64
import math
from collections.abc import Callable
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

_EXACT = 2**53


def to_json_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Each row as an object."""
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(array: pa.Array) -> list[Any]:
    for test, convert in _CONVERSIONS:
        if test(array.type):
            return convert(array)
    return cast("list[Any]", array.to_pylist())


def _integers(array: pa.Array) -> list[Any]:
    return [
        value if value is None or -_EXACT <= value <= _EXACT else str(value) for value in array.to_pylist()
    ]


def _floats(array: pa.Array) -> list[Any]:
    return [
        value if value is None or math.isfinite(value) else _special(value) for value in array.to_pylist()
    ]


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _texts(array: pa.Array) -> list[Any]:
    return cast("list[Any]", array.cast(pa.string()).to_pylist())


def _bytes(array: pa.Array) -> list[Any]:
    return [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]


def _times(array: pa.Array) -> list[Any]:
    zone = "Z" if array.type.tz else ""
    # Arrow keeps instants in UTC; its own text of them has a blank and all zeros.
    texts = array.cast(pa.timestamp(array.type.unit)).cast(pa.string())
    return [
        None if text is None else f"{_trimmed(text.replace(' ', 'T'))}{zone}" for text in texts.to_pylist()
    ]


def _clocks(array: pa.Array) -> list[Any]:
    return [None if text is None else _trimmed(text) for text in array.cast(pa.string()).to_pylist()]


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _lists(array: pa.Array) -> list[Any]:
    lengths = pc.list_value_length(array).to_pylist()
    items = iter(_values(array.flatten()))
    return [None if length is None else [next(items) for _ in range(length)] for length in lengths]


def _structs(array: pa.Array) -> list[Any]:
    names = [array.type.field(at).name for at in range(array.type.num_fields)]
    members = [_values(member) for member in array.flatten()]
    there = array.is_valid().to_pylist()
    return [
        dict(zip(names, (member[at] for member in members), strict=True)) if valid else None
        for at, valid in enumerate(there)
    ]


_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[Any]]], ...] = (
    (pa.types.is_integer, _integers),
    (pa.types.is_floating, _floats),
    (pa.types.is_decimal, _texts),
    (pa.types.is_timestamp, _times),
    (pa.types.is_date, _texts),
    (pa.types.is_time, _clocks),
    (pa.types.is_binary, _bytes),
    (pa.types.is_list, _lists),
    (pa.types.is_struct, _structs),
)

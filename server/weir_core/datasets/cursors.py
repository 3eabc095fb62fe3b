"""Values of a cursor field as JSON: how far a collection has come.

Whole numbers stay numbers, text stays text, and times are RFC 3339 text, so
that a cursor can be stored, shown, compared and sent back to the source. A source that
keeps its place itself has a text of its own, `state:` and JSON, which has no order.
Within one column two values compare as the column's own type does.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.values import CursorValue

STATE: Final = "state:"
"""Before the cursor of a source that keeps its place itself: JSON that only its connector reads."""


def is_state(cursor: CursorValue | None) -> bool:
    """True for the place that a source keeps itself: it is no value of the cursor field."""
    return isinstance(cursor, str) and cursor.startswith(f"{STATE}{{")


def orderable(kind: pa.DataType) -> bool:
    """True for types that can serve as cursor."""
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_string,
        pa.types.is_timestamp,
        pa.types.is_date,
        pa.types.is_decimal,
    )
    return any(test(kind) for test in tests)


def bounds(column: pa.Array) -> tuple[CursorValue, CursorValue] | None:
    """Smallest and greatest value, nulls left out; None if there is none."""
    found = pc.min_max(column)
    low, high = found["min"], found["max"]
    return (as_json(low), as_json(high)) if low.is_valid and high.is_valid else None


def as_json(value: pa.Scalar) -> CursorValue:
    """A value of the column as a cursor."""
    if pa.types.is_timestamp(value.type):
        return _time_text(value)
    plain = value.as_py()
    return plain if isinstance(plain, int | float | str) else _text(plain)


def as_scalar(cursor: CursorValue, kind: pa.DataType) -> pa.Scalar:
    """A cursor as a value of the column; ValueError if it is none."""
    try:
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return pa.scalar(cursor).cast(kind)
        return pa.scalar(str(cursor)).cast(kind)
    except (pa.ArrowException, OverflowError) as error:
        raise ValueError(f"the cursor {cursor!r} is no value of a column of type {kind}") from error


def earlier(cursor: CursorValue, lag: timedelta, kind: pa.DataType) -> CursorValue:
    """The cursor that lies so long before; ValueError where the column holds no times."""
    if not pa.types.is_temporal(kind):
        raise ValueError(f"a lag is for times, the cursor field holds {kind}")
    exact = kind if pa.types.is_timestamp(kind) else pa.timestamp("us")
    moved = pc.subtract(as_scalar(cursor, kind).cast(exact), pa.scalar(lag, pa.duration(exact.unit)))
    return as_json(moved.cast(kind))


def later(one: CursorValue | None, other: CursorValue | None, kind: pa.DataType) -> CursorValue | None:
    """The greater of two cursors of a column; None counts as the start."""
    if one is None or other is None:
        return other if one is None else one
    smaller = pc.less(as_scalar(one, kind), as_scalar(other, kind)).as_py()
    return other if smaller else one


def _time_text(value: pa.Scalar) -> str:
    text = value.cast(pa.timestamp(value.type.unit)).cast(pa.string()).as_py()
    day, clock = text.split(" ")
    if "." in clock:
        clock = clock.rstrip("0").rstrip(".")
    return f"{day}T{clock}{'Z' if value.type.tz else ''}"


def _text(plain: date | datetime | Decimal) -> str:
    return plain.isoformat() if isinstance(plain, date) else str(plain)

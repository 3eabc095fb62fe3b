"""Spans of a cursor field in arguments: what a backfill reads."""

from datetime import datetime

from google.protobuf.struct_pb2 import Value

from weir.errors import InvalidValue
from weir.times import to_timestamp
from weir.v1.collection_pb2 import Backfill, ValueRange
from weir.v1.common_pb2 import TimeRange

SpanEnd = datetime | str | int | float
Span = tuple[SpanEnd, SpanEnd]
"""From the first on and before the second: two times, or two numbers or texts."""

_EXACT = 2**53


def to_backfill(span: Span | None) -> Backfill | None:
    """A span as the wire has it; a datetime must say its zone."""
    if span is None:
        return None
    start, end = span
    if isinstance(start, datetime) and isinstance(end, datetime):
        times = TimeRange(
            start_time=to_timestamp(start, "backfill[0]"), end_time=to_timestamp(end, "backfill[1]")
        )
        return Backfill(times=times)
    return Backfill(values=ValueRange(start=_value(start, "backfill[0]"), end=_value(end, "backfill[1]")))


def _value(end: SpanEnd, path: str) -> Value:
    if isinstance(end, datetime):
        raise InvalidValue(path, "is a time, the other end is none")
    if isinstance(end, str) or abs(end) > _EXACT:
        return Value(string_value=str(end))
    return Value(number_value=end)

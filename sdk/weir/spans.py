"""Spans of a cursor field in arguments: what a backfill reads."""

from datetime import datetime

from weir.errors import InvalidValue
from weir.times import to_timestamp
from weir.v1.collection_pb2 import Backfill, ValueRange
from weir.v1.common_pb2 import TimeRange
from weir.values import to_value

SpanEnd = datetime | str | int | float
Span = tuple[SpanEnd, SpanEnd]
"""From the first on and before the second: two times, or two numbers or texts."""


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
    if isinstance(start, datetime) or isinstance(end, datetime):
        raise InvalidValue("backfill", "has one end that is a time, and one that is none")
    values = ValueRange(start=to_value(start, "backfill[0]"), end=to_value(end, "backfill[1]"))
    return Backfill(values=values)

"""Times and lengths of time in arguments."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from weir.errors import InvalidValue

TimeLike = datetime | Timestamp | None
DurationLike = timedelta | Duration | float | None


def to_timestamp(value: TimeLike, path: str) -> Timestamp | None:
    """A point in time as the wire has it; a datetime must say its zone."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise InvalidValue(path, f"{value.isoformat()} has no time zone; say datetime(…, tzinfo=UTC)")
    made = Timestamp()
    made.FromDatetime(value)
    return made


def to_duration(value: DurationLike, path: str) -> Duration | None:
    """A length of time as the wire has it; a number is seconds."""
    if value is None or isinstance(value, Duration):
        return value
    made = Duration()
    try:
        made.FromTimedelta(value if isinstance(value, timedelta) else timedelta(seconds=value))
    except (OverflowError, ValueError) as error:
        raise InvalidValue(path, f"{value} is no length of time: {error}") from None
    return made


def to_datetime(value: Timestamp) -> datetime:
    """The point in time, in UTC."""
    return value.ToDatetime(tzinfo=UTC)


def seconds_of(value: DurationLike) -> float:
    """The length in seconds; 0 for none."""
    if isinstance(value, Duration):
        return value.ToTimedelta().total_seconds()
    return value.total_seconds() if isinstance(value, timedelta) else value or 0.0

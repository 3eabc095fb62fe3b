"""Times as sources want them in a request. Times are whole microseconds since 1970, in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from weir_core.datasets.values import CursorValue

TimeFormat: TypeAlias = Literal["iso", "date", "epoch_seconds", "epoch_ms"]

UNITS: dict[TimeFormat, int] = {
    "iso": 1,
    "epoch_ms": 1_000,
    "epoch_seconds": 1_000_000,
    "date": 86_400_000_000,
}
"""Microseconds that each format can tell apart."""

# What times are rounded to: few sources like a fraction in RFC 3339.
_STEPS = UNITS | {"iso": 1_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DIGITS = 6


def moment(text: str) -> int:
    """The time that RFC 3339 text or a date tells, without zone in UTC; ValueError if it is neither."""
    try:
        at = datetime.fromisoformat(text.strip())
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return (at - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:60]!r} is no time, such as 2024-01-31 or 2024-01-31T10:00:00Z") from None


def _is_finer(text: str) -> bool:
    """True if the text tells less than a microsecond."""
    _, _, fraction = text.partition(".")
    return bool(fraction[_DIGITS:].rstrip("Z").split("+")[0].split("-")[0].strip("0"))


def told(cursor: CursorValue, form: TimeFormat, *, up: bool = False) -> int:
    """The time of a cursor; a number is what a request would have in that format.

    A time between two microseconds is the one before it, or with `up` the one after.
    """
    if isinstance(cursor, str):
        return moment(cursor) + (up and _is_finer(cursor))
    if form not in {"epoch_seconds", "epoch_ms"}:
        raise ValueError(f"{cursor!r} is a number; only epoch_seconds and epoch_ms tell what time that is")
    return int(cursor * UNITS[form])


def rounded(at: int, form: TimeFormat, *, up: bool) -> int:
    """The nearest time that the format tells in short, at or before, or with `up` at or after."""
    unit = _STEPS[form]
    return -(-at // unit) * unit if up else at // unit * unit


def written(at: int, form: TimeFormat) -> str | int:
    """A time in a format, cut to what that can tell."""
    if form in {"epoch_seconds", "epoch_ms"}:
        return at // UNITS[form]
    text = (_EPOCH + at * _MICROSECOND).isoformat().removesuffix("+00:00")
    if form == "date":
        return text[:10]
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}Z"


def now() -> int:
    """This moment."""
    return (datetime.now(UTC) - _EPOCH) // _MICROSECOND

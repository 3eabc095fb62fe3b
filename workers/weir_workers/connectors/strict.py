"""Reads one record by the rules of the columns, value by value.

The slow tier: it takes all that `pyarrow.json` takes, with the same values, and
besides what is right but odd there: 3.0 for a whole number, zeros at the end of
a fraction, a field that is named twice (the last counts). A lone surrogate, which no
text can hold, becomes U+FFFD. What it refuses it refuses by column and value.
"""

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,4})?")
_TIME = re.compile(r"(?P<main>[^.]*)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?", re.ASCII)
_ZONE = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$")
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_EXACT = 2**53
_MOST_SHOWN = 80


class Unfit(ValueError):
    """A record that does not fit the columns; empty column: the record as a whole."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def read_record(raw: bytes, schema: pa.Schema) -> dict[str, Any]:
    """The record's values as `pyarrow.array` takes them; Unfit if one does not fit."""
    document = _document(raw)
    if not isinstance(document, dict):
        raise Unfit("", f"the record is {_kind(document)}, not an object")
    record = cast("dict[str, Any]", document)
    row: dict[str, Any] = {}
    for field in schema:
        try:
            row[field.name] = _value(record.get(field.name), field, field.name)
        except Unfit as unfit:
            raise Unfit(field.name, unfit.reason) from None
    return row


def _document(raw: bytes) -> Any:
    try:
        return _parsed(raw)
    except (ValueError, ArithmeticError) as error:
        raise Unfit("", f"the record can't be read: {error}") from None
    except RecursionError:
        raise Unfit("", "the record is nested too deep") from None


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), parse_float=Decimal, strict=False)
    except UnicodeDecodeError:
        # It may be in a field that is no column, and does no harm there.
        text = raw.decode("utf-8", "surrogateescape")
        return _without_escapes(json.loads(text, parse_float=Decimal, strict=False))


class _NoText:
    """A text whose bytes are not UTF-8."""

    def __str__(self) -> str:
        return "…"


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    str: "a text",
    _NoText: "no UTF-8",
    list: "a list",
    dict: "an object",
}


def _without_escapes(value: Any) -> Any:
    match value:
        case str():
            return _NoText() if any("\udc80" <= character <= "\udcff" for character in value) else value
        case list():
            return [_without_escapes(item) for item in cast("list[Any]", value)]
        case dict():
            return {name: _without_escapes(item) for name, item in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _value(value: Any, field: pa.Field, path: str) -> Any:
    if value is None:
        if not field.nullable:
            raise Unfit("", f"{path} is missing or null, the column allows no nulls")
        return None
    return _reader(field.type)(value, field.type, path)


def _reader(kind: pa.DataType) -> Callable[[Any, pa.DataType, str], Any]:
    for test, read in _READERS:
        if test(kind):
            return read
    raise Unfit("", f"columns of type {kind} can't be read from JSON")


def _bool(value: Any, kind: pa.DataType, path: str) -> bool:
    if not isinstance(value, bool):
        raise _misfit(value, kind, path)
    return value


def _int(value: Any, kind: pa.DataType, path: str) -> int:
    if isinstance(value, Decimal) and abs(value) <= _EXACT and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _misfit(value, kind, path)
    try:
        return cast("int", pa.scalar(value, kind).as_py())
    except (pa.ArrowException, OverflowError):
        raise Unfit("", f"{path}: {_shown(value)} is out of the range of {kind}") from None


def _float(value: Any, kind: pa.DataType, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _misfit(value, kind, path)
    # By the text, so that a float32 is rounded once and not over a double.
    number = (
        cast("float", pa.scalar(str(value)).cast(kind).as_py()) if not isinstance(value, float) else value
    )
    if not math.isfinite(number):
        raise Unfit("", f"{path}: {_shown(value)} is no number that {kind} can hold")
    return number


def _string(value: Any, kind: pa.DataType, path: str) -> str:
    if not isinstance(value, str):
        raise _misfit(value, kind, path)
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decimal(value: Any, kind: pa.DataType, path: str) -> Decimal:
    text = value if isinstance(value, str) else str(value)
    number = isinstance(value, int | Decimal | str) and not isinstance(value, bool)
    if not number or _NUMBER.fullmatch(text) is None:
        raise _misfit(value, kind, path)
    try:
        return cast("Decimal", pa.scalar(Decimal(text), kind).as_py())
    except (pa.ArrowException, ArithmeticError):
        raise Unfit("", f"{path}: {_shown(value)} does not fit into {kind}") from None


def _timestamp(value: Any, kind: pa.DataType, path: str) -> int:
    if not isinstance(value, str):
        raise _misfit(value, kind, path)
    text = _shortened(value, kind.unit)
    zone = "UTC" if _ZONE.search(text[10:]) else None
    try:
        return cast("int", pa.scalar(text).cast(pa.timestamp(kind.unit, zone)).value)
    except pa.ArrowException:
        raise Unfit(
            "", f"{path}: {_shown(value)} is no time that {kind} can hold, such as 2024-01-31T10:00:00Z"
        ) from None


def _day(value: Any, kind: pa.DataType, path: str) -> int:
    if not isinstance(value, str):
        raise _misfit(value, kind, path)
    try:
        return cast("int", pa.scalar(value).cast(kind).value)
    except pa.ArrowException:
        raise Unfit("", f"{path}: {_shown(value)} is no day, such as 2024-01-31") from None


def _list(value: Any, kind: pa.DataType, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _misfit(value, kind, path)
    items = cast("list[Any]", value)
    return [_value(item, kind.value_field, f"{path}[{at}]") for at, item in enumerate(items)]


def _struct(value: Any, kind: pa.DataType, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(value, kind, path)
    members = cast("dict[str, Any]", value)
    fields = [kind.field(at) for at in range(kind.num_fields)]
    return {field.name: _value(members.get(field.name), field, f"{path}.{field.name}") for field in fields}


_READERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType, str], Any]], ...] = (
    (pa.types.is_boolean, _bool),
    (pa.types.is_integer, _int),
    (pa.types.is_floating, _float),
    (pa.types.is_string, _string),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_date, _day),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_list, _list),
    (pa.types.is_struct, _struct),
)


def _shortened(text: str, unit: str) -> str:
    """The time without zeros at the end of its fraction that the unit can't hold."""
    found = _TIME.fullmatch(text)
    if found is None or not found["fraction"] or len(found["fraction"]) <= _DIGITS[unit]:
        return text
    fraction, rest = found["fraction"][: _DIGITS[unit]], found["fraction"][_DIGITS[unit] :]
    if rest.strip("0"):
        return text
    return f"{found['main']}{'.' if fraction else ''}{fraction}{found['zone'] or ''}"


def _misfit(value: Any, kind: pa.DataType, path: str) -> Unfit:
    return Unfit("", f"{path}: {_shown(value)} is {_kind(value)}, the column holds {kind}")


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else json.dumps(value, default=str, ensure_ascii=False)
    short = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return short.encode("utf-8", "replace").decode()


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS.items() if isinstance(value, kind)), "a number")

"""Rows with values of any types as the dataset's columns, in two tiers.

What came as columns is cast as a whole. Where that fails, rows are read one by
one, and those that do not fit are rejected as JSON, with the column and why.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.commits import Reject

_MOST_SHOWN = 80
_EXACT = 2**53
_DAY = timedelta(days=1)


class Misfit(Exception):
    """At least one row does not fit."""


class Unfit(ValueError):
    """A value does not fit its column."""


def cast_rows(raw: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of the schema, by name; those that are not there are null.

    Misfit if a value does not fit.
    """
    arrays: list[pa.Array] = []
    for field in schema:
        at = raw.schema.get_field_index(field.name)
        try:
            array = _cast(raw.column(at), field.type) if at >= 0 else pa.nulls(raw.num_rows, field.type)
        except (pa.ArrowException, OverflowError) as error:
            raise Misfit(str(error)) from None
        if not field.nullable and array.null_count:
            raise Misfit(f"{field.name} is null")
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def fit_rows(
    rows: Sequence[Mapping[str, Any]], schema: pa.Schema, first: int, *, page: int = 0
) -> tuple[pa.RecordBatch, list[Reject]]:
    """The rows that fit, and the others; the first row has that number in the reading."""
    good: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for number, row in enumerate(rows, first):
        fitted: dict[str, Any] = {}
        for field in schema:
            try:
                fitted[field.name] = _value(row.get(field.name), field)
            except Unfit as unfit:
                rejects.append(
                    Reject.of(as_json(row), str(unfit), column=field.name, page=page, position=number)
                )
                break
        else:
            good.append(fitted)
    return pa.RecordBatch.from_pylist(good, schema), rejects


def as_columns(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    """What a driver gave, as columns of those types; Misfit where a value is of another."""
    try:
        arrays = [
            _typed(list(values), field.type)
            for values, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
    except (pa.ArrowException, OverflowError, ValueError, TypeError, ArithmeticError) as error:
        raise Misfit(str(error)) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def as_json(row: Mapping[str, Any]) -> bytes:
    """A row as people can read it in quarantine; bytes are in base64."""
    return json.dumps(dict(row), ensure_ascii=False, default=_plain).encode("utf-8", "replace")


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _typed(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(kind):
        values = [_bool(value, kind) if value is not None else None for value in values]
    elif pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
        seen = next((value for value in values if value is not None), None)
        if isinstance(seen, str):
            return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.type == kind:
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if pa.types.is_boolean(kind):
        return _as_bool(array)
    if pa.types.is_large_string(array.type):
        array = array.cast(pa.string())
    if pa.types.is_large_binary(array.type):
        array = array.cast(pa.binary())
    if pa.types.is_floating(kind) and not pa.types.is_floating(array.type):
        return _whole_float(array, kind)
    if pa.types.is_decimal(kind) and pa.types.is_floating(array.type):
        raise pa.ArrowInvalid("a float is no exact decimal")
    if _changes(array.type, kind):
        raise pa.ArrowInvalid("another kind of value")
    return array.cast(kind)


def _changes(one: pa.DataType, other: pa.DataType) -> bool:
    """True where Arrow's cast would give something, and not what is meant."""
    if pa.types.is_string(other):
        return not pa.types.is_string(one) and not pa.types.is_integer(one)
    if pa.types.is_temporal(other):
        if not pa.types.is_temporal(one) and not pa.types.is_string(one):
            return True
        lost = pa.types.is_timestamp(one) and (one.tz or not pa.types.is_timestamp(other))
        return bool(lost and not (pa.types.is_timestamp(other) and other.tz))
    return pa.types.is_temporal(one)


def _whole_float(array: pa.Array, kind: pa.DataType) -> pa.Array:
    found = array.cast(kind)
    if pa.types.is_float32(kind) and not pc.all(pc.is_finite(found), min_count=0).as_py():
        raise pa.ArrowInvalid("out of range")
    return found


def _as_bool(array: pa.Array) -> pa.Array:
    if not pa.types.is_integer(array.type):
        raise pa.ArrowInvalid("no 0 and no 1")
    span = pc.min_max(array)
    if span["min"].is_valid and (span["min"].as_py() < 0 or span["max"].as_py() > 1):
        raise pa.ArrowInvalid("no 0 and no 1")
    return array.cast(pa.bool_())


def _value(value: Any, field: pa.Field) -> Any:
    if value is None:
        if not field.nullable:
            raise Unfit(f"{field.name} is null, the column allows no nulls")
        return None
    try:
        for test, read in _READERS:
            if test(field.type):
                return read(value, field.type)
    except (pa.ArrowException, OverflowError, InvalidOperation):
        pass
    except Unfit:
        pass
    raise Unfit(f"{field.name}: {_shown(value)} does not fit a column of {field.type}")


def _bool(value: Any, _: pa.DataType) -> bool:
    if value in {b"\0", b"\1"}:
        return value == b"\1"
    if isinstance(value, int | Decimal) and value in {0, 1}:
        return bool(value)
    raise Unfit


def _int(value: Any, kind: pa.DataType) -> int:
    if isinstance(value, float | Decimal) and abs(value) <= _EXACT and value == int(value):
        value = int(value)
    if isinstance(value, str):
        return cast("int", pa.scalar(value).cast(kind).as_py())
    if not isinstance(value, int):
        raise Unfit
    return cast("int", pa.scalar(int(value), kind).as_py())


def _float(value: Any, kind: pa.DataType) -> float:
    if isinstance(value, str):
        value = cast("float", pa.scalar(value).cast(pa.float64()).as_py())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Unfit
    number = cast("float", pa.scalar(float(value), kind).as_py())
    if math.isfinite(value) and not math.isfinite(number):
        raise Unfit
    return number


def _decimal(value: Any, kind: pa.DataType) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise Unfit
    number = Decimal(str(value))
    if not number.is_finite():
        raise Unfit
    return cast("Decimal", pa.scalar(number, kind).as_py())


def _string(value: Any, _: pa.DataType) -> str:
    if isinstance(value, bytes):
        raise Unfit
    return value if isinstance(value, str) else _plain(value)


def _binary(value: Any, _: pa.DataType) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        raise Unfit
    return value


def _timestamp(value: Any, kind: pa.DataType) -> int:
    if isinstance(value, datetime):
        if value.tzinfo is not None and not kind.tz:
            raise Unfit
        return cast("int", pa.scalar(value, kind).value)
    if isinstance(value, date):
        return cast("int", pa.scalar(datetime.combine(value, time()), kind).value)
    if not isinstance(value, str):
        raise Unfit
    zoned = _zoned(value)
    if zoned and not kind.tz:
        raise Unfit
    return cast("int", pa.scalar(value).cast(pa.timestamp(kind.unit, "UTC" if zoned else None)).value)


def _zoned(text: str) -> bool:
    return text.endswith("Z") or any(sign in text[11:] for sign in "+-")


def _date(value: Any, kind: pa.DataType) -> int:
    if isinstance(value, datetime) or not isinstance(value, date | str):
        raise Unfit
    return cast(
        "int", (pa.scalar(value, kind) if isinstance(value, date) else pa.scalar(value).cast(kind)).value
    )


def _time(value: Any, kind: pa.DataType) -> Any:
    if isinstance(value, timedelta):
        if not timedelta(0) <= value < _DAY:
            raise Unfit
        value = (datetime(1970, 1, 1, tzinfo=UTC) + value).time()
    if not isinstance(value, time | str):
        raise Unfit
    return (pa.scalar(value, kind) if isinstance(value, time) else pa.scalar(value).cast(kind)).as_py()


_READERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType], Any]], ...] = (
    (pa.types.is_boolean, _bool),
    (pa.types.is_integer, _int),
    (pa.types.is_floating, _float),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_string, _string),
    (pa.types.is_binary, _binary),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_date, _date),
    (pa.types.is_time, _time),
)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"

"""JSON values in and out of `google.protobuf.Struct`, which knows no number but the double.

What would change on the way is refused with its path: integers beyond 2^53, NaN and infinities, times,
decimals and bytes. They travel as text, and the schema of the task type says how they are read.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, cast

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from pydantic import BaseModel

from weir.errors import InvalidValue

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
StructLike = Mapping[str, Any] | BaseModel | Struct | None

ValueLike = str | int | float | Value | None
"""A number or text; whole numbers beyond 2^53 travel as text. None: not given; Value(null_value=0): null."""

SAFE_INTEGER = 2**53
MAX_DEPTH = 32

_AS_TEXT: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((date, time), "a time travels as text: value.isoformat()"),
    (timedelta, "a length of time travels as a number of seconds or as text"),
    (Decimal, "a decimal travels as text: str(value)"),
    ((bytes, bytearray, memoryview), "bytes travel as text: base64.b64encode(value).decode()"),
    ((set, frozenset), "a set has no order: list(value)"),
)


class EnumKind(Protocol):
    """An enum of the contract, such as `TaskState`."""

    def Name(self, number: Any) -> str: ...  # noqa: N802  protobuf's name
    def values(self) -> Sequence[Any]: ...


def to_struct(value: StructLike, path: str = "input") -> Struct | None:
    """The mapping or pydantic model as a Struct; InvalidValue names what does not fit."""
    if value is None or isinstance(value, Struct):
        return value
    fields = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    made = Struct()
    made.update(_mapping(fields, path, 1))
    return made


def to_value(value: ValueLike, path: str) -> Value | None:
    """The number or text as a Value; InvalidValue for what is neither."""
    if value is None or isinstance(value, Value):
        return value
    if isinstance(value, str):
        return Value(string_value=value)
    if not math.isfinite(value):
        raise InvalidValue(path, f"{value} is no number that JSON has")
    return Value(number_value=value) if abs(value) <= SAFE_INTEGER else Value(string_value=str(value))


def from_struct(value: Struct) -> dict[str, Any]:
    """The Struct as a dict; whole numbers come back as int."""
    return {key: from_value(item) for key, item in value.fields.items()}


def from_value(value: Value) -> Any:
    """The Value as a JSON value."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= SAFE_INTEGER else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return _from_list(value.list_value)
        case _:
            return None


def enum_name(kind: EnumKind, value: int) -> str:
    """The value's name without the enum's own: `FAILED`; the number where this SDK has no name for it."""
    if value not in kind.values():
        return str(value)
    prefix = kind.Name(kind.values()[0]).removesuffix("UNSPECIFIED")
    return kind.Name(value).removeprefix(prefix)


def _from_list(value: ListValue) -> list[Any]:
    return [from_value(item) for item in value.values]


def _checked(value: object, path: str, depth: int) -> JSON:
    match value:
        case None | bool() | str():
            return value
        case int():
            return _integer(value, path)
        case float():
            return _number(value, path)
        case Mapping():
            return _mapping(cast("Mapping[object, object]", value), path, depth + 1)
        case list() | tuple():
            return _list(cast("Sequence[object]", value), path, depth + 1)
        case _:
            raise InvalidValue(path, _refusal(value))


def _mapping(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, JSON]:
    _check_depth(path, depth)
    for key in value:
        if not isinstance(key, str):
            raise InvalidValue(path, f"the key {key!r} is no text, but {type(key).__name__}")
    return {key: _checked(item, f"{path}.{key}", depth) for key, item in value.items()}


def _list(value: Sequence[object], path: str, depth: int) -> list[JSON]:
    _check_depth(path, depth)
    return [_checked(item, f"{path}[{index}]", depth) for index, item in enumerate(value)]


def _integer(value: int, path: str) -> int:
    if abs(value) > SAFE_INTEGER:
        raise InvalidValue(path, f"{value} is beyond 2^53 and would change on the way; send it as text")
    return int(value)


def _number(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise InvalidValue(path, f"{value} is no JSON number; leave it out or send null")
    return float(value)


def _check_depth(path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidValue(path, f"nested deeper than {MAX_DEPTH}")


def _refusal(value: object) -> str:
    advice = next((text for kinds, text in _AS_TEXT if isinstance(value, kinds)), "")
    return advice or f"{type(value).__name__} is no JSON value"

"""Columns as a JSON schema: of the values as ReadRecords writes them. Pure."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa


def json_schema(columns: pa.Schema) -> dict[str, Any]:
    """The JSON schema of a row."""
    return _object(list(columns))


def _object(fields: list[pa.Field]) -> dict[str, Any]:
    rules: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _nullable(field) for field in fields},
    }
    required = [field.name for field in fields if not field.nullable]
    return rules | ({"required": required} if required else {})


def _nullable(field: pa.Field) -> dict[str, Any]:
    rules = _rules(field.type)
    return rules | {"type": [rules["type"], "null"]} if field.nullable else rules


def _rules(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return _object([kind.field(at) for at in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return {"type": "array", "items": _nullable(kind.value_field)}
    if pa.types.is_timestamp(kind):
        return {"type": "string"} | ({"format": "date-time"} if kind.tz else {})
    return next((dict(rules) for test, rules in _SCALARS if test(kind)), {"type": "string"})


_SCALARS: tuple[tuple[Callable[[pa.DataType], bool], dict[str, Any]], ...] = (
    (pa.types.is_boolean, {"type": "boolean"}),
    (pa.types.is_integer, {"type": "integer"}),
    (pa.types.is_floating, {"type": "number"}),
    (pa.types.is_date, {"type": "string", "format": "date"}),
    (pa.types.is_time, {"type": "string", "format": "time"}),
    (pa.types.is_binary, {"type": "string", "contentEncoding": "base64"}),
)

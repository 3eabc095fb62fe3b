"""The columns that a JSON schema of records speaks of. Pure."""

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson
import pyarrow as pa

_MAX_DEPTH: Final = 16


def columns_of(raw: bytes) -> pa.Schema:
    """The columns that a stream's JSON schema speaks of; those of mixed or open types are left out."""
    return pa.schema(_fields(orjson.loads(raw), 0))


def columns_or_none(schema: Any) -> pa.Schema | None:
    """Those of a catalog's entry, for people to see; None where its schema is none."""
    try:
        return columns_of(orjson.dumps(schema or {}))
    except (TypeError, AttributeError):
        return None


def _fields(schema: Mapping[str, Any], depth: int) -> list[pa.Field]:
    rules = cast("dict[str, Any]", schema.get("properties") or {})
    found = ((name, _type(rule, depth)) for name, rule in rules.items())
    return [pa.field(name, kind) for name, kind in found if kind is not None]


def _type(rule: Any, depth: int) -> pa.DataType | None:
    if not isinstance(rule, dict) or depth > _MAX_DEPTH:
        return None
    told = cast("dict[str, Any]", rule)
    if branches := told.get("anyOf") or told.get("oneOf"):
        kinds = {kind for one in branches if (kind := _type(one, depth)) is not None}
        # A time or a text is a text.
        texts = all(pa.types.is_timestamp(one) or pa.types.is_string(one) for one in kinds)
        return kinds.pop() if len(kinds) == 1 else pa.string() if kinds and texts else None
    named: Any = told.get("type")
    listed = cast("list[Any]", named) if isinstance(named, list) else [named]
    names = {str(one) for one in listed if one != "null"}
    if names == {"integer", "number"}:
        names = {"number"}
    if len(names) != 1:
        return None
    return _plain(names.pop(), told, depth)


def _plain(name: str, rule: Mapping[str, Any], depth: int) -> pa.DataType | None:
    if name == "array":
        inner = _type(rule.get("items"), depth + 1)
        return None if inner is None else pa.list_(inner)
    if name == "object":
        members = _fields(rule, depth + 1)
        return pa.struct(members) if members else None
    if name == "string" and rule.get("format") == "date-time":
        return pa.timestamp("us", "UTC")
    return _SCALARS.get(name)


_SCALARS: Final[dict[str, pa.DataType]] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}

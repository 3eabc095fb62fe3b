"""The columns that a first page of records shows.

Text stays text: what looks like a time on one page may be something else on the
next. Where a field's kinds differ, the most frequent one counts and the rest
will be rejected. A field that is always null becomes text; an object that is always
empty has no column, for a file can't hold it.
"""

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Any, cast

import pyarrow as pa

from weir_core.datasets.evolution import widened

MAX_COLUMNS = 2000
_MAX_DEPTH = 16
_MOST_RECORDS = 10_000
_MOST_UNKNOWN = 100


class Unknown(Enum):
    """What becomes of a field that is null wherever it was looked at."""

    TEXT = "text"
    LEFT_OUT = "left out"


class TooManyColumns(ValueError):
    """More fields than a dataset takes: values are used as names, most likely."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"the first page shows {number} fields, at most {MAX_COLUMNS} can be guessed; "
            "name the `columns` to keep"
        )


def infer_schema(records: list[Any]) -> pa.Schema | None:
    """The columns of records as parsed from JSON; None if there are no objects with fields."""
    fields = _fields(_objects(records), 0)
    if len(fields) > MAX_COLUMNS:
        raise TooManyColumns(len(fields))
    return pa.schema(fields) if fields else None


def grown_schema(known: pa.Schema, records: list[Any]) -> pa.Schema:
    """The columns with what records have besides: new fields, members of objects, wider numbers.

    A field that is null throughout has no type yet, and is no column before it shows one.
    """
    shown = {field.name: field for field in _fields(_objects(records), 0, Unknown.LEFT_OUT)}
    fields = [
        field.with_type(widened(field.type, shown.pop(field.name).type) or field.type)
        if field.name in shown
        else field
        for field in known
    ]
    room = max(0, MAX_COLUMNS - len(fields))
    return pa.schema([*fields, *list(shown.values())[:room]])


def _objects(records: list[Any]) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", record) for record in records[:_MOST_RECORDS] if isinstance(record, dict)]


def _fields(objects: Iterable[dict[str, Any]], depth: int, unknown: Unknown = Unknown.TEXT) -> list[pa.Field]:
    values: dict[str, list[Any]] = {}
    for record in objects:
        for name, value in record.items():
            values.setdefault(name, []).append(value)
    # A name with half a character in it can't be a column's.
    found = ((name, _type(seen, depth, unknown)) for name, seen in values.items() if _shown(name) == name)
    return [pa.field(name, kind) for name, kind in found if kind is not None]


def _type(values: list[Any], depth: int, unknown: Unknown) -> pa.DataType | None:
    present = [value for value in values if value is not None]
    if not present:
        return pa.string() if unknown is Unknown.TEXT else None
    kinds = Counter("number" if type(value) in {int, float} else type(value).__name__ for value in present)
    match kinds.most_common(1)[0][0]:
        case "bool":
            return pa.bool_()
        case "number":
            return _number([value for value in present if type(value) in {int, float}])
        case "list":
            return _list(present, depth, unknown)
        case "dict":
            found = [_object(value) for value in present if isinstance(value, dict)]
            members = _fields(found, depth + 1, unknown)
            return pa.struct(members) if members and depth < _MAX_DEPTH else None
        case _:
            return pa.string()


def _list(lists: list[Any], depth: int, unknown: Unknown) -> pa.DataType | None:
    if depth >= _MAX_DEPTH:
        return None
    inner = _type(_flat(lists), depth + 1, unknown)
    return pa.list_(inner) if inner is not None else None


def _number(numbers: list[int | float]) -> pa.DataType:
    if any(isinstance(number, float) for number in numbers):
        return pa.float64()
    low, high = min(numbers), max(numbers)
    if low >= -(2**63) and high < 2**63:
        return pa.int64()
    return pa.uint64() if low >= 0 and high < 2**64 else pa.float64()


def unknown_fields(records: list[Any], schema: pa.Schema) -> frozenset[str]:
    """Dotted names of fields in the records that the schema does not have; at most 100."""
    found: set[str] = set()
    for record in records:
        _collect(record, list(schema), "", found)
        if len(found) >= _MOST_UNKNOWN:
            break
    return frozenset(sorted(found)[:_MOST_UNKNOWN])


def _collect(value: Any, fields: list[pa.Field], prefix: str, found: set[str]) -> None:
    if not isinstance(value, dict):
        return
    known = {field.name: field.type for field in fields}
    for name, inner in cast("dict[str, Any]", value).items():
        if name not in known:
            found.add(_shown(f"{prefix}{name}"[:200]))
            continue
        kind, items = known[name], [inner]
        while pa.types.is_list(kind):
            kind, items = kind.value_type, _flat(items)
        if pa.types.is_struct(kind):
            for item in items:
                _collect(item, [kind.field(at) for at in range(kind.num_fields)], f"{prefix}{name}.", found)


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value)


def _flat(lists: list[Any]) -> list[Any]:
    return [item for part in lists if isinstance(part, list) for item in cast("list[Any]", part)]

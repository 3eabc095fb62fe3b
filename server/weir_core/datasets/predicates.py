"""A filter on records: the tree of `filtering` against the columns of a dataset.

One tree gives two things of the same meaning: an Arrow expression, by which
Parquet leaves out row groups, and a mask over rows that were read. A comparison
with null is never true.
"""

import functools
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.cursors import as_scalar
from weir_core.datasets.values import CursorValue
from weir_core.errors import FilterInvalid, Violation
from weir_core.filtering import And, Compare, Node, time_value

_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_EQUALITY = {"=", "!="}
Bounds: TypeAlias = Mapping[str, tuple[CursorValue, CursorValue]]
_MOST_NAMES = 20


class Predicate:
    """A filter that was checked against a schema: FilterInvalid if it does not fit."""

    def __init__(self, node: Node, schema: pa.Schema) -> None:
        self._node = node
        self._terms: dict[Compare, _Term] = {term: _Term(term, schema) for term in _compares(node)}

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it looks at."""
        return frozenset(term.path[0] for term in self._terms.values())

    def expression(self) -> pc.Expression:
        """The filter as an Arrow expression."""
        return self._fold(self._node, lambda term: pc.field(*term.path))

    def mask(self, rows: pa.RecordBatch) -> pa.BooleanArray:
        """For each row whether it passes."""
        found = self._fold(self._node, lambda term: _column(rows, term.path))
        return pc.fill_null(found, fill_value=False)

    def may_match(self, bounds: Bounds) -> bool:
        """False if no row passes when all values of the columns lie within these, or are null."""
        return self._may_match(self._node, bounds)

    def _may_match(self, node: Node, bounds: Bounds) -> bool:
        if isinstance(node, Compare):
            term = self._terms[node]
            known = bounds.get(term.path[0]) if len(term.path) == 1 else None
            return known is None or term.may_match(*known)
        test = all if isinstance(node, And) else any
        return test(self._may_match(item, bounds) for item in node.items)

    def _fold(self, node: Node, operand: Callable[["_Term"], Any]) -> Any:
        if isinstance(node, Compare):
            term = self._terms[node]
            return _FUNCTIONS[node.op](operand(term), term.value)
        join = pc.and_kleene if isinstance(node, And) else pc.or_kleene
        return functools.reduce(join, (self._fold(item, operand) for item in node.items))


class _Term:
    """One comparison: the way to the column and the value as the column's type."""

    def __init__(self, compare: Compare, schema: pa.Schema) -> None:
        self.path, kind = _resolved(compare.path, schema)
        self._op = compare.op
        if pa.types.is_boolean(kind) and compare.op not in _EQUALITY:
            raise _invalid(compare.path, f"holds true or false: only = and != compare it, not {compare.op}")
        self.value = _value(compare, kind)
        self._kind = kind

    def may_match(self, low: CursorValue, high: CursorValue) -> bool:
        least, most, value = as_scalar(low, self._kind), as_scalar(high, self._kind), self.value
        match self._op:
            case "=":
                return _true(pc.less_equal(least, value)) and _true(pc.less_equal(value, most))
            case "!=":
                # A float column may hold NaN beside its bounds, and that differs from all.
                same = _true(pc.equal(least, value)) and _true(pc.equal(most, value))
                return not same or pa.types.is_floating(self._kind)
            case "<" | "<=":
                return _true(_FUNCTIONS[self._op](least, value))
            case _:
                return _true(_FUNCTIONS[self._op](most, value))


def _compares(node: Node) -> list[Compare]:
    return [node] if isinstance(node, Compare) else [term for item in node.items for term in _compares(item)]


def _resolved(path: str, schema: pa.Schema) -> tuple[tuple[str, ...], pa.DataType]:
    """The names that lead to a column, and its type; a name may have dots in it."""
    if path in schema.names:
        return (path,), schema.field(path).type
    found = _within(path, list(schema))
    if found is None:
        raise _invalid(path, f"is no column; columns are {_some(schema.names)}")
    return found


def _within(path: str, fields: list[pa.Field]) -> tuple[tuple[str, ...], pa.DataType] | None:
    for field in fields:
        if path == field.name:
            return (field.name,), field.type
        if path.startswith(f"{field.name}.") and pa.types.is_struct(field.type):
            members = [field.type.field(at) for at in range(field.type.num_fields)]
            inner = _within(path[len(field.name) + 1 :], members)
            if inner is not None:
                return (field.name, *inner[0]), inner[1]
    return None


def _value(compare: Compare, kind: pa.DataType) -> pa.Scalar:
    for test, wanted, convert in _CONVERSIONS:
        if test(kind):
            try:
                return convert(compare.value, kind)
            except (ValueError, OverflowError, pa.ArrowException):
                raise _invalid(compare.path, f"holds {kind}: {compare.value!r} is not {wanted}") from None
    raise _invalid(compare.path, f"holds {kind}, which can't be compared")


def _bool(text: str, _: pa.DataType) -> pa.Scalar:
    if text not in {"true", "false"}:
        raise ValueError(text)
    return pa.scalar(text == "true")


def _int(text: str, kind: pa.DataType) -> pa.Scalar:
    # Compared as the widest type, for a value beyond the column's range is no mistake.
    return pa.scalar(int(text), pa.uint64() if pa.types.is_uint64(kind) else pa.int64())


def _time(text: str, kind: pa.DataType) -> pa.Scalar:
    if kind.tz is None:
        return pa.scalar(text).cast(kind)
    if "T" not in text.upper():
        text = f"{date.fromisoformat(text).isoformat()}T00:00:00Z"
    time_value(text)
    return pa.scalar(text.upper()).cast(pa.timestamp("ns" if kind.unit == "ns" else "us", "UTC"))


def _cast(text: str, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(text).cast(kind)


_CONVERSIONS: tuple[
    tuple[Callable[[pa.DataType], bool], str, Callable[[str, pa.DataType], pa.Scalar]], ...
] = (
    (pa.types.is_boolean, "true or false", _bool),
    (pa.types.is_integer, "a whole number of 64 bits", _int),
    (pa.types.is_floating, "a number", _cast),
    (pa.types.is_decimal, "a decimal that fits", _cast),
    (pa.types.is_string, "a text", _cast),
    (pa.types.is_date, "a day such as 2024-01-31", _cast),
    (pa.types.is_timestamp, "a time such as 2024-01-31T10:00:00Z", _time),
)


def _column(rows: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    found = rows.column(path[0])
    for name in path[1:]:
        found = pc.struct_field(found, name)
    return found


def _true(scalar: pa.Scalar) -> bool:
    return bool(scalar.as_py())


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return f"{shown}, …" if len(names) > _MOST_NAMES else shown


def _invalid(path: str, description: str) -> FilterInvalid:
    return FilterInvalid(Violation("filter", f"{path!r} {description}"))

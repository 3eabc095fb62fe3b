"""SQL text from parts: names are quoted, values stand apart until the last moment.

A driver that takes parameters gets the values bound. One that takes text only
gets them written without a character that came from outside: numbers and times
by their digits, text and bytes in hexadecimal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import UnionType
from typing import Any, Final, TypeAlias

from weir_workers.connectors.sql_place import Dialect


@dataclass(frozen=True, slots=True)
class Value:
    """A value in a statement; `kind` is the database's name of the type that it is compared as."""

    value: Any
    kind: str = ""


Parts: TypeAlias = Sequence[str | Value]

_MARKS: Final[dict[Dialect, str]] = {"mysql": "%s", "postgresql": "%s", "sqlite": "?"}


def quoted(dialect: Dialect, *names: str) -> str:
    """A name, or one with a schema before it, as the database takes it."""
    mark = "`" if dialect == "mysql" else '"'
    if any("\0" in name for name in names):
        raise ValueError("a name can't hold a NUL character")
    return ".".join(mark + name.replace(mark, mark * 2) + mark for name in names)


def bound(dialect: Dialect, parts: Parts) -> tuple[str, list[Any]]:
    """The text with marks, and the values for them in order."""
    mark = _MARKS[dialect]
    text = "".join(
        _cast(mark, part.kind)
        if isinstance(part, Value)
        # A driver with %s for a mark takes every other % for one too.
        else (part if mark == "?" else part.replace("%", "%%"))
        for part in parts
    )
    return text, [part.value for part in parts if isinstance(part, Value)]


def written(dialect: Dialect, parts: Parts) -> str:
    """The text with the values in it."""
    return "".join(
        _cast(_literal(dialect, part.value), part.kind) if isinstance(part, Value) else part for part in parts
    )


def beyond(columns: Sequence[str], values: Sequence[Value]) -> list[str | Value]:
    """The condition for rows that stand behind those values, in the order of the columns."""
    return _on_a_side(columns, values, ">", ">")


def upto(columns: Sequence[str], values: Sequence[Value]) -> list[str | Value]:
    """The condition for all other rows: those values themselves, and what stands before them."""
    return _on_a_side(columns, values, "<", "<=")


def _on_a_side(columns: Sequence[str], values: Sequence[Value], sign: str, last: str) -> list[str | Value]:
    first, value = columns[0], values[0]
    if len(columns) == 1:
        return [f"{first} {last} ", value]
    rest = _on_a_side(columns[1:], values[1:], sign, last)
    return [f"{first} {sign}= ", value, f" AND ({first} {sign} ", value, " OR (", *rest, "))"]


def _cast(text: str, kind: str) -> str:
    return f"CAST({text} AS {kind})" if kind else text


def _literal(dialect: Dialect, value: Any) -> str:
    if isinstance(value, datetime):
        plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return f"'{plain.isoformat(' ')}{'+00:00' if value.tzinfo and dialect == 'postgresql' else ''}'"
    for kinds, write in _LITERALS:
        if isinstance(value, kinds):
            return write(dialect, value)
    raise ValueError(f"a value of the type {type(value).__name__} can't be compared in SQL")


def _bytes(dialect: Dialect, value: bytes) -> str:
    return f"'\\x{value.hex()}'::bytea" if dialect == "postgresql" else f"x'{value.hex()}'"


def _text(dialect: Dialect, value: str) -> str:
    raw = value.encode("utf-8")
    match dialect:
        case "mysql":
            return f"_utf8mb4 x'{raw.hex()}'"
        case "postgresql":
            return f"convert_from('\\x{raw.hex()}'::bytea, 'UTF8')"
        case "sqlite":
            return f"CAST(x'{raw.hex()}' AS TEXT)"


# The first that fits counts: a truth is a whole number too.
_LITERALS: Final[tuple[tuple[type | UnionType, Callable[[Dialect, Any], str]], ...]] = (
    (bool, lambda dialect, value: str(value).upper() if dialect == "postgresql" else str(int(value))),
    (int, lambda _, value: str(value)),
    (float, lambda _, value: repr(value)),
    (Decimal, lambda _, value: format(value, "f")),
    (date | time, lambda _, value: f"'{value.isoformat()}'"),
    (bytes, _bytes),
    (str, _text),
)

"""What the connector `sql` reads in which order: statements and positions, pure.

Rows are read in the order of a key, a range of so many rows at a time, and each
range begins behind the last key of the one before. So a position is a key, and
what follows it is exactly the rest, whatever has been added meanwhile.

With a cursor field the order is that field first, then the key. Rows whose
cursor field is null come last, and only where all is read and there is a key. Without
one a cursor field alone still gives positions, between two of its values; with
neither there is one statement, and no place to go on at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from weir_core.datasets.cursors import CursorValue, as_scalar
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.sql_place import Dialect
from weir_workers.connectors.sql_statements import Parts, Value, beyond
from weir_workers.connectors.sql_tables import Column, Table

KEY: Final = "_weir_key_"


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a table is wanted."""

    cursor_field: str = ""
    cursor: CursorValue | None = None
    inclusive: bool = False
    until: CursorValue | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """Rows that are read in one order."""

    conditions: tuple[Parts, ...]
    order: tuple[Column, ...]
    exact: bool
    """True: the order tells each row from all others."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which columns are fetched, and how."""

    dialect: Dialect
    table: Table
    columns: tuple[Column, ...]

    def statement(self, one: Pass, after: Sequence[Any] | None, limit: int | None) -> Parts:
        """The statement for the rows behind `after`."""
        names = [f"{column.fetched} AS {_named(self.dialect, column.name)}" for column in self.columns]
        names += [
            f"{_key_of(column)} AS {_named(self.dialect, KEY + str(at))}"
            for at, column in enumerate(one.order)
        ]
        conditions = list(one.conditions)
        if after is not None:
            values = [Value(value, column.cast) for value, column in zip(after, one.order, strict=True)]
            conditions.append(beyond([column.compared for column in one.order], values))
        where: list[str | Value] = []
        for at, condition in enumerate(conditions):
            where += [" WHERE (" if at == 0 else " AND (", *condition, ")"]
        order = f" ORDER BY {', '.join(column.compared for column in one.order)}" if one.order else ""
        most = f" LIMIT {limit}" if limit is not None else ""
        # The names come from the catalogue and are quoted; values stand apart.
        return [f"SELECT {', '.join(names)} FROM {self.table.source}", *where, f"{order}{most}"]  # noqa: S608


def passes(dialect: Dialect, table: Table, asked: Asked) -> tuple[Pass, ...]:
    """The passes over a table; SourceError where it can't be read so."""
    if not asked.cursor_field:
        if asked.until is not None:
            raise invalid("a reading that ends at a value needs a cursor field")
        return (Pass((), table.order, exact=bool(table.order)),)
    column = table.column(asked.cursor_field)
    if column is None:
        raise invalid(
            f"the cursor field {asked.cursor_field!r} is none of the columns: "
            f"{', '.join(one.name for one in table.columns)}"
        )
    if not column.sortable or pa.types.is_boolean(column.kind) or pa.types.is_binary(column.kind):
        raise invalid(
            f"the column {column.name!r} can't be a cursor: the database does not sort it by its value"
        )
    order = (column, *(one for one in table.order if one.name != column.name))
    exact = bool(table.order)
    conditions = tuple(_bounds(dialect, column, asked))
    main = Pass(conditions, order, exact)
    if not column.nullable:
        return (main,)
    known = Pass((*conditions, [f"{column.compared} IS NOT NULL"]), order, exact)
    # Without a key a run that broke off among these could not go on, and no later one could.
    if asked.cursor is not None or asked.until is not None or not exact:
        return (known,)
    unknown = Pass(([f"{column.compared} IS NULL"],), table.order, exact=True)
    return (known, unknown)


def _bounds(dialect: Dialect, column: Column, asked: Asked) -> list[Parts]:
    found: list[Parts] = []
    if asked.cursor is not None:
        found.append(_bound(dialect, column, ">=" if asked.inclusive else ">", asked.cursor))
    if asked.until is not None:
        found.append(_bound(dialect, column, "<", asked.until))
    return found


def _bound(dialect: Dialect, column: Column, sign: str, cursor: CursorValue) -> Parts:
    value = cursor_value(column, cursor)
    if dialect == "sqlite" and column.loose:
        # Times are texts of any form there: what is near is cut off exactly once it is read.
        wide = sign if sign.endswith("=") else f"{sign}="
        text = value.isoformat(" ") if isinstance(value, datetime) else str(value)
        return [f"datetime({column.compared}) {wide} datetime(", Value(text), ")"]
    return [f"{column.compared} {sign} ", Value(value, column.cast)]


def cursor_value(column: Column, cursor: CursorValue) -> Any:
    """A cursor as a value of the column; SourceError if it is none."""
    kind = column.kind
    try:
        if pa.types.is_timestamp(kind):
            text = str(cursor)
            return (
                pa.scalar(text.removesuffix("Z"))
                .cast(pa.timestamp("us"))
                .as_py()
                .replace(tzinfo=UTC if kind.tz else None)
            )
        return as_scalar(cursor, kind).as_py()
    except (ValueError, pa.ArrowException) as error:
        raise invalid(f"the cursor field {column.name!r}: {error}") from None


def pack(values: Sequence[Any]) -> list[Any]:
    """Values of a key as JSON."""
    return [_packed(value) for value in values]


def unpack(values: Sequence[Any]) -> list[Any]:
    """Values of a key from JSON."""
    return [_unpacked(value) for value in values]


def _packed(value: Any) -> Any:
    match value:
        case bool() | int() | float() | str():
            return value
        case Decimal():
            return {"decimal": str(value)}
        case bytes():
            return {"bytes": value.hex()}
        case datetime():
            return {"time": value.isoformat()}
        case date():
            return {"date": value.isoformat()}
        case time():
            return {"clock": value.isoformat()}
        case _:
            raise invalid(f"a key can't hold {type(value).__name__}")


def _unpacked(value: Any) -> Any:
    match value:
        case {"decimal": text}:
            return Decimal(text)
        case {"bytes": text}:
            return bytes.fromhex(text)
        case {"time": text}:
            return datetime.fromisoformat(text)
        case {"date": text}:
            return date.fromisoformat(text)
        case {"clock": text}:
            return time.fromisoformat(text)
        case _:
            return value


def invalid(message: str, code: str = "settings.invalid") -> SourceError:
    """The error for what was asked for and can't be."""
    return SourceError("INVALID_INPUT", message, code=code)


def _key_of(column: Column) -> str:
    # In the slow way a time of SQLite is a text anyhow; the fast one must not turn it into a time.
    return f"CAST({column.compared} AS TEXT)" if column.loose else column.fetched


def _named(dialect: Dialect, name: str) -> str:
    mark = "`" if dialect == "mysql" else '"'
    return mark + name.replace(mark, mark * 2) + mark

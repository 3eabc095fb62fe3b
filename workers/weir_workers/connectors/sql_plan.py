"""What the connector `sql` reads in which order: statements and positions, pure.

Rows are read in the order of a key, a range of so many rows at a time, and each
range begins behind the last key of the one before. So a position is a key, and
what follows it is exactly the rest, whatever has been added meanwhile.

With a cursor field the order is that field first, then the key. Rows whose
cursor field is null come last, and only where all is read and there is a key. Without
one a cursor field alone still gives positions, between two of its values; with
neither there is one statement, and no place to go on at.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa

from weir_core.datasets.cursors import as_scalar
from weir_core.datasets.values import CursorValue
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.sql_place import Dialect
from weir_workers.connectors.sql_statements import Parts, Value, beyond, quoted, upto
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
class Span:
    """A part of the first pass, by keys as `pack` gives them; what later passes read belongs to the last."""

    after: Sequence[Any] | None = None
    """The key that it begins behind; None: at the beginning."""
    until: Sequence[Any] | None = None
    """The key that it ends with; None: it has no end."""


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

    def statement(self, one: Pass, after: Sequence[Any] | None, limit: int | None, *, skip: int = 0) -> Parts:
        """The statement for the rows behind `after`; the first of them are left out with `skip`."""
        names = [f"{column.fetched} AS {quoted(self.dialect, column.name)}" for column in self.columns]
        names += [
            f"{_key_of(column)} AS {quoted(self.dialect, KEY + str(at))}"
            for at, column in enumerate(one.order)
        ]
        conditions = list(one.conditions)
        if after is not None:
            conditions.append(beyond(*_compared(one, after)))
        order = f" ORDER BY {', '.join(column.compared for column in one.order)}" if one.order else ""
        most = f" LIMIT {limit}" if limit is not None else ""
        behind = f" OFFSET {skip}" if skip else ""
        # The names come from the catalogue and are quoted; values stand apart.
        return [
            f"SELECT {', '.join(names)} FROM {self.table.source}",  # noqa: S608
            *_where(conditions),
            f"{order}{most}{behind}",
        ]

    def count(self, one: Pass) -> Parts:
        """The statement for the number of rows of a pass."""
        return [f"SELECT COUNT(*) FROM {self.table.source}", *_where(one.conditions)]  # noqa: S608


def within(all_of: tuple[Pass, ...], span: Span) -> tuple[Pass, ...]:
    """The passes of a part that begins where the first of them is told to."""
    if span.until is None:
        return all_of
    first = all_of[0]
    end = upto(*_compared(first, unpack(span.until)))
    return (Pass((*first.conditions, end), first.order, first.exact),)


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


def _compared(one: Pass, key: Sequence[Any]) -> tuple[list[str], list[Value]]:
    values = [Value(value, column.cast) for value, column in zip(key, one.order, strict=True)]
    return [column.compared for column in one.order], values


def _where(conditions: Sequence[Parts]) -> list[str | Value]:
    where: list[str | Value] = []
    for at, condition in enumerate(conditions):
        where += [" WHERE (" if at == 0 else " AND (", *condition, ")"]
    return where


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


def keyed(table: Table, key: tuple[str, ...]) -> Table:
    """The table in the order of a key that was named."""
    if not key:
        return table
    columns = [named(table, name, "`key`") for name in key]
    unsorted = [column.name for column in columns if not column.sortable]
    if unsorted:
        raise invalid(f"`key`: {', '.join(unsorted)} can't be sorted by the database by its value")
    return Table(table.name, table.source, table.columns, key, tuple(columns), table.estimate)


def named(table: Table, name: str, where: str) -> Column:
    """The column with that name; `where` is where it was named."""
    column = table.column(name)
    if column is None:
        raise invalid(
            f"{where}: there is no column {name!r}; there are {', '.join(c.name for c in table.columns)}"
        )
    return column


def key_of(one: Pass, values: Iterable[Any]) -> list[Any]:
    """A key as a database gave it, as it is compared."""
    return [_key_value(column, value) for column, value in zip(one.order, values, strict=True)]


def _key_value(column: Column, value: Any) -> Any:
    if value is None:
        raise invalid(
            f"the key column {column.name!r} is null in a row; a key must tell each row from all others"
        )
    if pa.types.is_decimal(column.kind) and isinstance(value, str):
        return Decimal(value)
    return value


def invalid(message: str, code: str = "settings.invalid") -> SourceError:
    """The error for what was asked for and can't be."""
    return SourceError("INVALID_INPUT", message, code=code)


def _key_of(column: Column) -> str:
    # In the slow way a time of SQLite is a text anyhow; the fast one must not turn it into a time.
    return f"CAST({column.compared} AS TEXT)" if column.loose else column.fetched

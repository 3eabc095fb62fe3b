"""What a database has, as the connector `sql` sees it: the same for all kinds of databases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from weir_workers.connectors.errors import SourceError, SourceFailureKind
from weir_workers.connectors.sql_place import Place

MAX_STREAMS = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or query."""

    name: str
    kind: pa.DataType
    fetched: str
    """SQL that fetches it: the column itself, or as text where drivers would not get it right."""
    compared: str
    """SQL that compares and sorts it."""
    nullable: bool = True
    cast: str = ""
    """The database's name of its type, where a value must be made one to be compared."""
    sortable: bool = True
    """False: its order is not that of its values."""
    indexed: bool = False
    loose: bool = False
    """True: a time that is kept as text, and compared as text."""
    plain: bool = True
    """False: only the driver of the slow way gets it right."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, view or query."""

    name: str
    source: str
    """What stands behind FROM."""
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    """Names of the primary key's columns."""
    order: tuple[Column, ...] = ()
    """What tells each row from all others, in SQL; empty where there is nothing."""
    estimate: int = 0

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class FastWay:
    """How connectorx reaches the database."""

    url: str
    before: tuple[str, ...] = ()
    """Statements that come first in its session."""


class Database(Protocol):
    """One kind of database, connected. All calls block."""

    def tables(self, name: str = "") -> Sequence[Table]:
        """All tables and views, or the one of that name."""
        ...

    def query(self, text: str) -> Table:
        """The columns of a query."""
        ...

    def rows(self, text: str, values: Sequence[Any], portion: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, so many at a time."""
        ...

    def fast(self) -> FastWay | None:
        """How to read it without Python's driver; None where that is not safe."""
        ...

    def close(self) -> None: ...


def ordered(table: Table) -> tuple[str, ...]:
    """Columns that can serve as a cursor; those with an index first."""
    found = [column for column in table.columns if column.sortable and _grows(column)]
    return tuple(column.name for column in sorted(found, key=lambda column: not column.indexed))


def _grows(column: Column) -> bool:
    kind = column.kind
    if pa.types.is_string(kind):
        return column.indexed
    tests = (pa.types.is_integer, pa.types.is_timestamp, pa.types.is_date, pa.types.is_decimal)
    return any(test(kind) for test in tests)


def failure(place: Place, kind: SourceFailureKind, code: str, message: str) -> SourceError:
    """The error for something that the database said; its words hold no password."""
    told = " ".join(message.split())
    for secret in (place.password,):
        told = told.replace(secret, "[redacted]") if secret else told
    return SourceError(kind, told[:500], code=f"sql.{code}", host=place.host)

"""SQLite for the connector `sql`: its catalogue, its types, its driver."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from weir_workers.connectors.errors import SourceError, SourceFailureKind
from weir_workers.connectors.sql_place import Place
from weir_workers.connectors.sql_statements import quoted
from weir_workers.connectors.sql_tables import MAX_STREAMS, Column, FastWay, Table, failure

_ROWID: Final = ("rowid", "_rowid_", "oid")
# By what a declared type contains, as SQLite's own rules do; the first that fits counts.
_KINDS: Final[tuple[tuple[str, pa.DataType], ...]] = (
    (r"BOOL", pa.bool_()),
    (r"DATETIME|TIMESTAMP", pa.timestamp("us")),
    (r"^DATE", pa.date32()),
    (r"INT", pa.int64()),
    (r"CHAR|CLOB|TEXT|JSON|UUID|STRING|^TIME|ENUM", pa.string()),
    (r"BLOB|BINARY|BYTE", pa.binary()),
    (r"REAL|FLOA|DOUB|NUM|DEC", pa.float64()),
)
_WORDS: Final[tuple[tuple[str, SourceFailureKind, str], ...]] = (
    ("unable to open", "INVALID_INPUT", "missing"),
    ("not a database", "INVALID_INPUT", "missing"),
    ("no such", "INVALID_INPUT", "missing"),
    ("locked", "DEPENDENCY", "locked"),
    ("malformed", "INVALID_INPUT", "broken"),
    ("disk I/O", "DEPENDENCY", "connect"),
)


class SQLite:
    """A SQLite file, opened to read."""

    def __init__(self, place: Place) -> None:
        self._place = place
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(place.path)}?mode=ro", uri=True, timeout=place.timeout, isolation_level=None
            )
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            raise failed(place, error) from error
        # What is no UTF-8 stays bytes, and is refused by the column.
        self._connection.text_factory = _text

    def tables(self, name: str = "") -> Sequence[Table]:
        """All tables and views, or the one of that name."""
        listed = self._asked(
            "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND (? = '' OR name = ?) ORDER BY name LIMIT ?",
            (name, name, MAX_STREAMS),
        )
        return [self._table(found, is_table=kind == "table") for found, kind in listed]

    def query(self, text: str) -> Table:
        """The columns of a query, with the types of the columns that they come from."""
        self._asked("PRAGMA query_only = OFF")
        self._asked(f"CREATE TEMP VIEW weir_query AS\n{text}\n")
        self._asked("PRAGMA query_only = ON")
        columns = self._columns("weir_query", frozenset(), typeless=None)
        # The view is seen by this session only, which need not be the one that reads.
        return Table("", f"(\n{text}\n) AS weir_query", columns)

    def rows(self, text: str, values: Sequence[Any], portion: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, so many at a time."""
        try:
            with closing(self._connection.execute(text, tuple(values))) as cursor:
                while found := cursor.fetchmany(portion):
                    yield found
        except sqlite3.Error as error:
            raise failed(self._place, error) from error

    def fast(self) -> FastWay | None:
        """How connectorx opens the file."""
        return FastWay(f"sqlite://{quote(self._place.path)}")

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def _table(self, name: str, *, is_table: bool) -> Table:
        indexed = self._indexed(name)
        columns = self._columns(name, indexed, typeless=pa.binary())
        keys = self._asked("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (name,))
        key = tuple(str(row[0]) for row in keys)
        return Table(
            name,
            quoted("sqlite", "main", name),
            columns,
            key=key,
            order=self._order(name, columns, key) if is_table else (),
        )

    def _order(self, name: str, columns: tuple[Column, ...], key: tuple[str, ...]) -> tuple[Column, ...]:
        without = self._asked("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (name,))
        if without and without[0][0]:
            return tuple(column for column in columns if column.name in key)
        taken = {column.name.lower() for column in columns}
        free = next((one for one in _ROWID if one not in taken), None)
        if free is None:
            return ()
        return (Column(free, pa.int64(), free, free, nullable=False, indexed=True),)

    def _columns(
        self, name: str, indexed: frozenset[str], *, typeless: pa.DataType | None
    ) -> tuple[Column, ...]:
        found = self._asked('SELECT name, type, "notnull" FROM pragma_table_info(?) ORDER BY cid', (name,))
        return tuple(
            _column(
                str(column),
                str(kind or ""),
                nullable=not required,
                indexed=column in indexed,
                typeless=typeless,
            )
            for column, kind, required in found
        )

    def _indexed(self, name: str) -> frozenset[str]:
        found = self._asked(
            "SELECT i.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i WHERE i.seqno = 0"
            " UNION SELECT name FROM pragma_table_info(?) WHERE pk = 1",
            (name, name),
        )
        return frozenset(str(row[0]) for row in found)

    def _asked(self, text: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise failed(self._place, error) from error


def failed(place: Place, error: sqlite3.Error) -> SourceError:
    """What an error of SQLite means."""
    said = str(error)
    for part, kind, code in _WORDS:
        if part in said:
            return failure(place, kind, code, f"the SQLite file {place.path}: {said}")
    return failure(place, "INVALID_INPUT", "query", f"SQLite refuses the statement: {said}")


def _column(
    name: str, declared: str, *, nullable: bool, indexed: bool, typeless: pa.DataType | None
) -> Column:
    known = next((kind for part, kind in _KINDS if re.search(part, declared.upper())), typeless)
    sql = quoted("sqlite", name)
    if known is None:
        # A computed column has no type; what is to become of it must be said.
        return Column(name, pa.null(), sql, sql, nullable, plain=False)
    loose = pa.types.is_timestamp(known) or pa.types.is_date(known)
    return Column(name, known, sql, sql, nullable, indexed=indexed, loose=loose, plain=bool(declared))


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw

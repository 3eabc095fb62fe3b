"""MySQL and MariaDB for the connector `sql`: the catalogue, the types, the driver."""

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa
import pymysql
from pymysql.constants import CR, FIELD_TYPE
from pymysql.cursors import SSCursor

from weir_workers.connectors.errors import SourceError, SourceFailureKind
from weir_workers.connectors.sql_place import Place
from weir_workers.connectors.sql_statements import quoted
from weir_workers.connectors.sql_tables import MAX_STREAMS, Column, FastWay, Table, failure

_SESSION: Final = (
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION TRANSACTION READ ONLY",
)
_INTEGERS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "bigint": 64}
_TEXTS: Final = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
_BYTES: Final = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_SHAPES: Final = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
)
_FLAT: Final[dict[str, pa.DataType]] = {
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "timestamp": pa.timestamp("us", "UTC"),
    "year": pa.int16(),
    **dict.fromkeys(_TEXTS, pa.string()),
    **dict.fromkeys((*_BYTES, *_SHAPES), pa.binary()),
}
_SORTED: Final = {
    *_INTEGERS,
    *_TEXTS,
    *_BYTES,
    "date",
    "datetime",
    "timestamp",
    "year",
    "decimal",
    "uuid",
}
_CODES: Final[dict[int, tuple[SourceFailureKind, str]]] = {
    1044: ("INVALID_INPUT", "permission"),
    1045: ("INVALID_INPUT", "auth"),
    1698: ("INVALID_INPUT", "auth"),
    1049: ("INVALID_INPUT", "missing"),
    1054: ("INVALID_INPUT", "missing"),
    1146: ("INVALID_INPUT", "missing"),
    1142: ("INVALID_INPUT", "permission"),
    1143: ("INVALID_INPUT", "permission"),
    1227: ("INVALID_INPUT", "permission"),
    1064: ("INVALID_INPUT", "query"),
    1792: ("INVALID_INPUT", "query"),
    2026: ("INVALID_INPUT", "tls"),
}
# Types that a result names by number, as names of column types.
_NUMBERED: Final[dict[int, str]] = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double",
    FIELD_TYPE.DATE: "date",
    FIELD_TYPE.DATETIME: "datetime",
    FIELD_TYPE.TIMESTAMP: "timestamp",
    FIELD_TYPE.YEAR: "year",
    FIELD_TYPE.TIME: "time",
    FIELD_TYPE.JSON: "json",
    FIELD_TYPE.BIT: "bit",
    FIELD_TYPE.GEOMETRY: "geometry",
}
_BINARY_CHARSET: Final = 63
_UNSIGNED: Final = 32
_REQUIRED: Final = 1
# A result gives the width of a decimal with its sign and point.
_MOST_DIGITS: Final = 38


class MySQL:
    """A MySQL or MariaDB server, signed in."""

    def __init__(self, place: Place, end: socket.socket) -> None:
        self._place = place
        self._address = end.getpeername()[0]
        self._connection: Any = pymysql.Connection(
            host=place.host,
            port=place.port,
            user=place.user,
            password=place.password,
            database=place.database,
            charset="utf8mb4",
            connect_timeout=max(1, int(place.timeout)),
            read_timeout=max(1, int(place.timeout)),
            write_timeout=max(1, int(place.timeout)),
            ssl=_tls(place),
            ssl_disabled=place.tls == "off",
            cursorclass=SSCursor,
            program_name="weir",
            defer_connect=True,
        )
        try:
            self._connection.connect(end)
            for statement in _SESSION:
                self._asked(statement)
        except ssl.SSLError as error:
            raise failure(
                place, "INVALID_INPUT", "tls", f"no TLS connection to {place.host}: {error}"
            ) from error
        except pymysql.MySQLError as error:
            raise failed(place, error) from error

    def tables(self, name: str = "") -> Sequence[Table]:
        """All tables and views of the database, or the one of that name."""
        listed = self._asked(
            "SELECT table_name, COALESCE(table_rows, 0), table_type FROM information_schema.tables"
            " WHERE table_schema = %s AND (%s = '' OR table_name = %s)"
            " AND table_type IN ('BASE TABLE', 'VIEW', 'SYSTEM VERSIONED') ORDER BY table_name LIMIT %s",
            (self._place.database, name, name, MAX_STREAMS),
        )
        keys, indexed = self._keys(name)
        columns = self._columns(name, indexed)
        return [
            self._table(str(found), int(estimate), columns.get(str(found), ()), keys.get(str(found), ()))
            for found, estimate, _ in listed
        ]

    def query(self, text: str) -> Table:
        """The columns of a query, with the types that the server tells."""
        source = f"(\n{text}\n) AS weir_query"
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute(f"SELECT * FROM {source} LIMIT 0")  # noqa: S608 - this is what is asked for
                fields = cursor._result.fields  # noqa: SLF001 - what a column is, no public name tells in full
                cursor.fetchall()
        except pymysql.MySQLError as error:
            raise failed(self._place, error) from error
        return Table("", source, tuple(_described(field) for field in fields))

    def rows(self, text: str, values: Sequence[Any], portion: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, so many at a time."""
        try:
            cursor: Any = self._connection.cursor()
            try:
                cursor.execute(text, tuple(values))
                while found := cursor.fetchmany(portion):
                    yield list(found)
            except GeneratorExit:
                # Closing the cursor would read all that is left.
                self._connection._force_close()  # noqa: SLF001
                raise
            cursor.close()
        except pymysql.MySQLError as error:
            raise failed(self._place, error) from error

    def fast(self) -> FastWay | None:
        """How connectorx signs in: by the address that was checked. It checks no certificates."""
        place = self._place
        if place.tls != "off":
            return None
        host = f"[{self._address}]" if ":" in self._address else self._address
        secret = f":{quote(place.password, safe='')}" if place.password else ""
        where = f"{quote(place.user, safe='')}{secret}@{host}:{place.port}/{quote(place.database, safe='')}"
        return FastWay(f"mysql://{where}?prefer_socket=false", _SESSION)

    def close(self) -> None:
        """Ends the connection."""
        if self._connection.open:
            self._connection._force_close()  # noqa: SLF001 - a good-bye could wait for a lost server

    def _table(self, name: str, estimate: int, columns: tuple[Column, ...], key: tuple[str, ...]) -> Table:
        order = tuple(column for one in key for column in columns if column.name == one)
        usable = all(column.sortable for column in order)
        source = quoted("mysql", self._place.database, name)
        return Table(name, source, columns, key, order if usable else (), estimate)

    def _columns(self, name: str, indexed: set[tuple[str, str]]) -> dict[str, tuple[Column, ...]]:
        found = self._asked(
            "SELECT table_name, column_name, data_type, column_type, is_nullable, numeric_precision,"
            " numeric_scale FROM information_schema.columns WHERE table_schema = %s"
            " AND (%s = '' OR table_name = %s) ORDER BY table_name, ordinal_position LIMIT %s",
            (self._place.database, name, name, MAX_STREAMS * 100),
        )
        tables: dict[str, list[Column]] = {}
        for table, column, kind, full, nullable, precision, scale in found:
            made = _column(
                str(column),
                str(kind).lower(),
                unsigned=bool(re.search(r"\bunsigned\b", str(full).lower())),
                digits=(int(precision or 0), int(scale or 0)),
                nullable=nullable == "YES",
                indexed=(str(table), str(column)) in indexed,
            )
            tables.setdefault(str(table), []).append(made)
        return {table: tuple(columns) for table, columns in tables.items()}

    def _keys(self, name: str) -> tuple[dict[str, tuple[str, ...]], set[tuple[str, str]]]:
        """Primary keys by table; and the columns that an index begins with."""
        found = self._asked(
            "SELECT table_name, column_name, index_name, seq_in_index FROM information_schema.statistics"
            " WHERE table_schema = %s AND (%s = '' OR table_name = %s) AND column_name IS NOT NULL"
            " ORDER BY table_name, index_name, seq_in_index LIMIT %s",
            (self._place.database, name, name, MAX_STREAMS * 100),
        )
        keys: dict[str, tuple[str, ...]] = {}
        for table, column, index, _ in found:
            if index == "PRIMARY":
                keys[str(table)] = (*keys.get(str(table), ()), str(column))
        return keys, {(str(table), str(column)) for table, column, _, place in found if place == 1}

    def _asked(self, text: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute(text, values)
                return list(cursor.fetchall())
        except pymysql.MySQLError as error:
            raise failed(self._place, error) from error


def failed(place: Place, error: Exception) -> SourceError:
    """What an error of the driver means."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    said = str(error.args[1]) if len(error.args) > 1 else str(error)
    if number == CR.CR_SSL_CONNECTION_ERROR:
        said += "; set the connection's `tls` to off if it may be read in plain text"
    if number in _CODES:
        kind, code = _CODES[number]
        return failure(place, kind, code, f"{place.host} answers {number}: {said}")
    if isinstance(error, pymysql.ProgrammingError | pymysql.NotSupportedError):
        return failure(place, "INVALID_INPUT", "query", f"{place.host} answers {number}: {said}")
    return failure(place, "DEPENDENCY", "connect", f"the connection to {place.host} broke: {number} {said}")


def _tls(place: Place) -> ssl.SSLContext | None:
    if place.tls == "off":
        return None
    context = ssl.create_default_context()
    if place.tls == "required":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _column(
    name: str, kind: str, *, unsigned: bool, digits: tuple[int, int], nullable: bool, indexed: bool
) -> Column:
    sql = quoted("mysql", name)
    arrow, fetched = _arrow(sql, kind, unsigned, digits)
    return Column(
        name,
        arrow,
        fetched,
        sql,
        nullable,
        sortable=kind in _SORTED,
        indexed=indexed,
    )


def _arrow(sql: str, kind: str, unsigned: bool, digits: tuple[int, int]) -> tuple[pa.DataType, str]:  # noqa: FBT001
    if kind == "decimal":
        # A driver may give a double or another scale; its text is exact.
        return (pa.decimal128(*digits) if digits[0] <= _MOST_DIGITS else pa.string()), f"CAST({sql} AS CHAR)"
    if kind == "bit":
        return pa.uint64(), f"CAST({sql} AS UNSIGNED)"
    if kind in _INTEGERS:
        return pa.type_for_alias(f"{'u' if unsigned else ''}int{_INTEGERS[kind]}"), sql
    found = _FLAT.get(kind)
    return (pa.string(), f"CAST({sql} AS CHAR)") if found is None else (found, sql)


def _described(field: Any) -> Column:
    kind = _NUMBERED.get(field.type_code, "")
    unsigned = bool(field.flags & _UNSIGNED)
    digits = (0, 0)
    if field.type_code in {FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL}:
        kind = "decimal"
        scale = int(field.scale)
        width = int(field.length) - (0 if unsigned else 1) - (1 if scale else 0)
        digits = (max(width, scale, 1), scale)
    elif not kind:
        kind = "blob" if field.charsetnr == _BINARY_CHARSET else "text"
    return _column(
        field.name,
        kind,
        unsigned=unsigned,
        digits=digits,
        nullable=not field.flags & _REQUIRED,
        indexed=False,
    )

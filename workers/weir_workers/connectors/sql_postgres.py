"""PostgreSQL for the connector `sql`: the catalogue, the types, the driver."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import psycopg
import pyarrow as pa
from psycopg.types.string import TextLoader

from weir_workers.connectors.errors import SourceError, SourceFailureKind
from weir_workers.connectors.sql_place import Place
from weir_workers.connectors.sql_statements import quoted
from weir_workers.connectors.sql_tables import MAX_STREAMS, Column, FastWay, Table, failure

_OPTIONS: Final = (
    "-c default_transaction_read_only=on -c timezone=UTC -c datestyle=ISO -c extra_float_digits=3"
)
_MODES: Final = {"off": "disable", "required": "require", "verified": "verify-full"}
_FLAT: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
}
_SORTED: Final = (set(_FLAT) - {"bool", "float4", "float8"}) | {"numeric", "uuid", "bpchar", "name", "oid"}
# As text, so that what Python's own types can't hold (infinity, the year 10000) is refused row by row.
_READ_AS_TEXT: Final = ("date", "timestamp", "timestamptz")
_MOST_DIGITS: Final = 38
_CATALOGUE: Final = """
SELECT n.nspname, c.relname, a.attname, t.typname, t.typtype::text, a.atttypmod,
       format_type(a.atttypid, NULL), NOT a.attnotnull, GREATEST(c.reltuples, 0)::int8,
       EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum),
       (SELECT array_position(i.indkey::int2[], a.attnum) FROM pg_index i
         WHERE i.indrelid = c.oid AND i.indisprimary)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND n.nspname NOT LIKE 'pg\\_toast%%' AND n.nspname NOT LIKE 'pg\\_temp%%'
   AND (%(name)s::text = '' OR n.nspname || '.' || c.relname = %(name)s::text
        OR (n.nspname = 'public' AND c.relname = %(name)s::text))
 ORDER BY n.nspname, c.relname, a.attnum
 LIMIT %(most)s
"""
_STATES: Final[tuple[tuple[str, SourceFailureKind, str], ...]] = (
    ("28", "INVALID_INPUT", "auth"),
    ("3D", "INVALID_INPUT", "missing"),
    ("3F", "INVALID_INPUT", "missing"),
    ("42501", "INVALID_INPUT", "permission"),
    ("42P01", "INVALID_INPUT", "missing"),
    ("42703", "INVALID_INPUT", "missing"),
    ("25006", "INVALID_INPUT", "query"),
    ("42", "INVALID_INPUT", "query"),
    ("22", "INVALID_INPUT", "query"),
)
# What libpq says where there is no code: while it signs in.
_WORDS: Final[tuple[tuple[str, SourceFailureKind, str], ...]] = (
    ("password authentication failed", "INVALID_INPUT", "auth"),
    ("no password supplied", "INVALID_INPUT", "auth"),
    ("no pg_hba.conf entry", "INVALID_INPUT", "auth"),
    ("permission denied", "INVALID_INPUT", "permission"),
    ('" does not exist', "INVALID_INPUT", "missing"),
    ("SSL", "INVALID_INPUT", "tls"),
    ("certificate", "INVALID_INPUT", "tls"),
)


class PostgreSQL:
    """A PostgreSQL server, signed in."""

    def __init__(self, place: Place, address: str) -> None:
        self._place = place
        self._address = address
        try:
            self._connection: Any = psycopg.connect(
                host=place.host,
                hostaddr=address,
                port=place.port,
                dbname=place.database,
                user=place.user or None,
                password=place.password or None,
                connect_timeout=max(2, int(place.timeout)),
                sslmode=_MODES[place.tls],
                options=_OPTIONS,
                application_name="weir",
                # Nothing of the worker's own account may sign in for a user's connection.
                passfile="/dev/null",
                autocommit=False,
                sslrootcert="system" if place.tls == "verified" else None,
            )
        except psycopg.Error as error:
            raise failed(place, error) from error
        self._connection.read_only = True
        for kind in _READ_AS_TEXT:
            self._connection.adapters.register_loader(kind, TextLoader)

    def tables(self, name: str = "") -> Sequence[Table]:
        """All tables and views, by schema and name; or the one of that name."""
        found = self._asked(_CATALOGUE, {"name": name, "most": MAX_STREAMS * 100})
        tables: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
        for row in found:
            tables.setdefault((row[0], row[1]), []).append(row)
        # A name without a schema is public's only where no other fits as it stands.
        return [_table(schema, table, rows) for (schema, table), rows in tables.items()][:MAX_STREAMS]

    def query(self, text: str) -> Table:
        """The columns of a query, with the types that the server tells."""
        source = f"(\n{text}\n) AS weir_query"
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"SELECT * FROM {source} LIMIT 0")  # noqa: S608 - this is what is asked for
                told = [(one.name, one.type_code, _modifier(one)) for one in cursor.description]
                kinds = self._kinds({code for _, code, _ in told})
            self._connection.rollback()
        except psycopg.Error as error:
            raise failed(self._place, error) from error
        columns = (
            _column(name, *kinds[code], modifier, nullable=True, indexed=False)
            for name, code, modifier in told
        )
        return Table("", source, tuple(columns))

    def rows(self, text: str, values: Sequence[Any], portion: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a statement, so many at a time."""
        try:
            with self._connection.cursor(name="weir") as cursor:
                cursor.execute(text, list(values))
                while found := cursor.fetchmany(portion):
                    yield found
            self._connection.rollback()
        except psycopg.Error as error:
            raise failed(self._place, error) from error

    def fast(self) -> FastWay | None:
        """How connectorx signs in: by the address that was checked, in plain text only."""
        place = self._place
        if place.tls != "off":
            return None
        host = f"[{self._address}]" if ":" in self._address else self._address
        secret = f":{quote(place.password, safe='')}" if place.password else ""
        where = f"{quote(place.user, safe='')}{secret}@{host}:{place.port}/{quote(place.database, safe='')}"
        return FastWay(f"postgresql://{where}?sslmode=disable&options={quote(_OPTIONS)}")

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def _kinds(self, codes: set[int]) -> dict[int, tuple[str, str, str]]:
        found = self._asked(
            "SELECT oid::int8, typname, typtype::text, format_type(oid, NULL) FROM pg_type"
            " WHERE oid = ANY(%(codes)s)",
            {"codes": sorted(codes)},
        )
        return {int(code): (str(kind), str(sort), str(full)) for code, kind, sort, full in found}

    def _asked(self, text: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(text, values)
                return cursor.fetchall()
        except psycopg.Error as error:
            raise failed(self._place, error) from error


def failed(place: Place, error: psycopg.Error) -> SourceError:
    """What an error of the driver means."""
    said, state = str(error), error.sqlstate or ""
    for prefix, kind, code in _STATES:
        if state and state.startswith(prefix):
            return failure(place, kind, code, f"{place.host} answers {state}: {said}")
    for part, kind, code in _WORDS:
        if not state and part in said:
            return failure(place, kind, code, f"{place.host}: {said}")
    return failure(place, "DEPENDENCY", "connect", f"the connection to {place.host} broke: {state} {said}")


def _table(schema: str, name: str, rows: Sequence[tuple[Any, ...]]) -> Table:
    columns = tuple(
        _column(
            str(row[2]), str(row[3]), str(row[4]), str(row[6]), int(row[5]), nullable=row[7], indexed=row[9]
        )
        for row in rows
    )
    places = sorted((int(row[10]), str(row[2])) for row in rows if row[10] is not None)
    key = tuple(column for _, column in places)
    order = tuple(column for one in key for column in columns if column.name == one)
    usable = all(column.sortable for column in order)
    source = quoted("postgresql", schema, name)
    return Table(f"{schema}.{name}", source, columns, key, order if usable else (), int(rows[0][8]))


def _column(
    name: str, kind: str, sort: str, full: str, modifier: int, *, nullable: bool, indexed: bool
) -> Column:
    sql = quoted("postgresql", name)
    arrow, fetched = _FLAT.get(kind), sql
    if arrow is None:
        arrow, fetched = _numeric(kind, modifier), f"{sql}::text"
    sortable = kind in _SORTED and sort == "b"
    return Column(name, arrow, fetched, sql, nullable, cast=full, sortable=sortable, indexed=indexed)


def _modifier(column: Any) -> int:
    """Digits of a number as the catalogue keeps them; -1 where there are none."""
    return -1 if column.precision is None else (column.precision << 16 | (column.scale or 0)) + 4


def _numeric(kind: str, modifier: int) -> pa.DataType:
    """Numbers whose digits are declared are decimals; all else that has no type of its own is text."""
    if kind != "numeric" or modifier < 0:
        return pa.string()
    precision, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF
    right = precision <= _MOST_DIGITS and scale <= precision
    return pa.decimal128(precision, scale) if right else pa.string()

"""What the tables are made of: the metadata and the column types that all databases share.

Ids take 16 bytes. Times are whole microseconds since 1970 in UTC, so that they
compare alike everywhere; `database_now` is the same by the database's clock.
Text is compared byte by byte.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    literal_column,
    select,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TABLE: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


class Uuid(TypeDecorator[UUID]):
    """An id in 16 bytes."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        binary = mysql.BINARY(16) if dialect.name == "mysql" else LargeBinary(16)
        return dialect.type_descriptor(binary)

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.bytes

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> UUID | None:
        return None if value is None else UUID(bytes=value)


class Micros(TypeDecorator[datetime]):
    """An instant, as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """A JSON value, readable in a database shell."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(mysql.MEDIUMTEXT() if dialect.name == "mysql" else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


class Digest(TypeDecorator[bytes]):
    """A SHA-256 in 32 bytes."""

    impl = LargeBinary(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(mysql.BINARY(32) if dialect.name == "mysql" else LargeBinary(32))


class Blob(TypeDecorator[bytes]):
    """Bytes, up to 16 MiB."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(mysql.MEDIUMBLOB() if dialect.name == "mysql" else LargeBinary())


class database_now(GenericFunction[int]):  # noqa: N801 - reads as SQL
    """Now by the database's clock, in microseconds since 1970."""

    type = BigInteger()
    inherit_cache = True
    name = "database_now"


@compiles(database_now, "mysql")
def _now_mysql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"


@compiles(database_now, "sqlite")
def _now_sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


def now_plus(delay: timedelta) -> ColumnElement[int]:
    """The instant `delay` from now, by the database's clock."""
    return database_now() + literal_column(str(delay // MICROSECOND))


def micros(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - EPOCH) // MICROSECOND


def name_column(name: str, length: int, **options: Any) -> Column[str]:
    """A required text column."""
    return Column(name, String(length), nullable=False, **options)


async def insert_new(tx: AsyncConnection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row with a fresh key; False where another unique key of it is taken.

    The row counts of the drivers don't tell (MySQL's says 1 for both under
    FOUND_ROWS), so the row is looked for.
    """
    key = next(iter(table.primary_key))
    if tx.dialect.name == "sqlite":
        await tx.execute(sqlite_insert(table).on_conflict_do_nothing(), values)
    else:
        await tx.execute(mysql_insert(table).on_duplicate_key_update({key.name: table.c[key.name]}), values)
    return (await tx.execute(select(key).where(key == values[key.name]))).first() is not None

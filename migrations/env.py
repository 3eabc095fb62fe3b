"""Runs the migrations; the database's URL comes in the config's attributes."""

import asyncio
import logging
import re
from importlib import import_module
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, Dialect, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from weir_core.columns import TABLE, metadata

for domain in ("fleet", "tasks", "users", "collections", "datasets", "schedules", "files"):
    import_module(f"weir_core.{domain}.models")


def changed_type(_context: Any, _inspected: Any, _column: Any, found: Any, wanted: Any) -> bool:
    """True where a column is not made as the tables say; types are compared as the database writes them."""
    dialect = context.get_bind().dialect
    collation = getattr(found, "collation", None)
    if dialect.name == "mysql" and collation not in {None, TABLE["mysql_collate"]}:
        return True
    return plain(found, dialect) != plain(wanted, dialect)


def plain(kind: Any, dialect: Dialect) -> str:
    """A type as the database writes it, without what says nothing about what it holds."""
    text = re.sub(r" (CHARACTER SET|COLLATE) \w+", "", kind.compile(dialect=dialect).upper())
    text = text.replace("BOOLEAN", "BOOL").replace("TINYINT(1)", "BOOL")
    # The width in which MySQL shows a whole number.
    text = re.sub(r"\b(TINYINT|INTEGER|INT|BIGINT)\(\d+\)", r"\1", text)
    return re.sub(r"\bINTEGER\b", "INT", text)


def own_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Our own types are written by their names alone."""
    own = kind == "type" and type(item).__module__ == "weir_core.columns"
    return f"columns.{type(item).__name__}()" if own else False


def migrate(connection: Connection) -> None:
    """Run what is asked for over an open connection."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=changed_type,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=own_type,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Connect to the database named in the config."""
    # MySQL notes that it keeps no name for a primary key, and the driver logs its notes as warnings.
    logging.getLogger("asyncmy").setLevel(logging.ERROR)
    engine = create_async_engine(make_url(context.config.attributes["url"]))
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(main())

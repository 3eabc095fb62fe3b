"""The SQL that looks at the database itself."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def version(tx: AsyncConnection) -> str:
    """The database's product and version; fails where the tables are not there."""
    await tx.execute(text("SELECT name FROM project LIMIT 1"))
    if tx.dialect.name == "sqlite":
        return f"SQLite {(await tx.execute(text('SELECT sqlite_version()'))).scalar_one()}"
    told = str((await tx.execute(text("SELECT VERSION()"))).scalar_one())
    return told if "mariadb" in told.lower() else f"MySQL {told}"

"""Bare driver calls: one row of the table of tasks stored and committed, one claimed and committed."""

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
import asyncmy
from sqlalchemy import make_url

Row = dict[str, Any]
# States of ended tasks, which no part of Weir moves: stored, claimed, and (7) ended.
STORED, CLAIMED = 5, 6
_CLAIM = (
    f"UPDATE task SET state = {CLAIMED}, attempt = attempt + 1 "
    f"WHERE id = %s AND attempt = 0 AND state = {STORED}"
)
_MANY = 1000


class Driver:
    """One connection of a driver."""

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection = connection
        self._mark = mark

    async def pattern(self, key: bytes) -> Row:
        """A row as the database has it, to make others of: ended, and without a request key."""
        async with self._connection.cursor() as cursor:
            await cursor.execute(f"SELECT * FROM task WHERE id = {self._mark}", (key,))
            row = await cursor.fetchone()
            names = [column[0] for column in cursor.description]
        return dict(zip(names, row, strict=True)) | {"state": STORED, "attempt": 0, "request_key": None}

    async def insert(self, row: Row) -> None:
        """Store a row and commit."""
        await self._run(self._statement(row), tuple(row.values()))

    async def insert_many(self, rows: Iterable[Row], table: str = "task") -> None:
        """Store rows, a thousand a statement."""
        rows = list(rows)
        async with self._connection.cursor() as cursor:
            for start in range(0, len(rows), _MANY):
                part = rows[start : start + _MANY]
                await cursor.executemany(
                    self._statement(part[0], table), [tuple(row.values()) for row in part]
                )
            await self._connection.commit()

    async def claim(self, key: bytes) -> None:
        """Claim a row by compare and set, and commit."""
        assert await self._run(_CLAIM.replace("%s", self._mark), (key,)) == 1

    def _statement(self, row: Row, table: str = "task") -> str:
        marks = ", ".join([self._mark] * len(row))
        return f"INSERT INTO {table} ({', '.join(f'`{name}`' for name in row)}) VALUES ({marks})"

    async def _run(self, statement: str, values: tuple[Any, ...]) -> int:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement, values)
            await self._connection.commit()
            return cursor.rowcount


def stored(pattern: Row, key: bytes, **changed: Any) -> Row:
    """A new row like the pattern."""
    now = time.time_ns() // 1000
    return pattern | {"id": key, "create_time": now, "due_time": now, "hint_time": now} | changed


@asynccontextmanager
async def open_driver(url: str) -> AsyncGenerator[Driver]:
    """A connection by asyncmy or aiosqlite, as Weir sets them up."""
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        async with aiosqlite.connect(parts.database or "") as connection:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
                await connection.execute(f"PRAGMA {pragma}")
            yield Driver(connection, "?")
        return
    connection = await asyncmy.connect(db=parts.database, charset="utf8mb4", **place(url))
    try:
        yield Driver(connection, "%s")
    finally:
        await connection.ensure_closed()


def place(url: str) -> dict[str, Any]:
    """Where a MariaDB is, and who connects, as its drivers take it."""
    parts = make_url(url)
    socket = parts.query.get("unix_socket")
    where = {"unix_socket": socket} if socket else {"host": parts.host, "port": parts.port}
    return {"user": parts.username or "", **where}

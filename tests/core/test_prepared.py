"""Prepared statements give what SQLAlchemy gives, and fail as it fails, on both databases."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import DependencyDown
from weir_core.fleet.models import worker
from weir_core.prepared import Prepared, PreparedMany

_INSERT = Prepared(insert(worker))
_GET = Prepared(select(worker).where(worker.c.id == bindparam("wanted"), worker.c.slots > 1))
_RENAME = Prepared(update(worker).where(worker.c.id == bindparam("wanted")).values(host="there"))
_FIND = PreparedMany(
    lambda count: select(worker.c.id).where(
        worker.c.id.in_([bindparam(f"id_{place}", type_=worker.c.id.type) for place in range(count)])
    )
)


def row(**changed: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": uuid4(),
        "host": "here",
        "version": "1",
        "state": "ACTIVE",
        "slots": 8,
        "queues": ["a", "%s ?"],
        "types": {"x": 1},
        "lease_expire": 1,
        "start_time": now,
        "heartbeat_time": now,
    }
    return dict.fromkeys(worker.c.keys()) | values | changed


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database]:
    opened = Database(database_url, pool_size=1)
    yield opened
    await opened.close()


async def test_values_go_in_and_come_out_by_their_columns_types(db: Database):
    values = row()
    await db.write(lambda tx: _INSERT.run_many(tx, [values, row()]))
    async with db.read() as tx:
        [found] = await _GET.rows(tx, wanted=values["id"])
        [plain] = await tx.execute(select(worker).where(worker.c.id == values["id"]))
    assert found._asdict() == dict(plain._mapping) == values


async def test_a_list_of_any_length_is_found(db: Database):
    rows = [row() for _ in range(5)]
    await db.write(lambda tx: _INSERT.run_many(tx, rows))
    for count in range(1, 6):
        wanted = [each["id"] for each in rows[:count]]
        prepared, values = _FIND.sized(id=wanted)
        async with db.read() as tx:
            assert {found.id for found in await prepared.rows(tx, **values)} == set(wanted)


async def test_a_change_tells_how_many_rows_it_met_changed_or_not(db: Database):
    values = row(host="there")
    await db.write(lambda tx: _INSERT.run_many(tx, [values]))
    assert await db.write(lambda tx: _RENAME.run(tx, wanted=values["id"])) == 1
    assert await db.write(lambda tx: _RENAME.run(tx, wanted=uuid4())) == 0


async def test_a_failure_is_the_one_that_sqlalchemy_raises_and_leaves_nothing(db: Database):
    values, other = row(), row()

    async def work(tx: AsyncConnection) -> None:
        await _INSERT.run_many(tx, [other])
        await _INSERT.run_many(tx, [values, values])

    with pytest.raises(IntegrityError):
        await db.write(work)
    async with db.read() as tx:
        assert await _GET.rows(tx, wanted=other["id"]) == []


async def test_one_that_is_broken_off_leaves_a_connection_that_answers_right(db: Database):
    values = row()
    await db.write(lambda tx: _INSERT.run_many(tx, [values]))

    async def read() -> Any:
        async with db.read() as tx:
            return await _GET.rows(tx, wanted=values["id"])

    for turn in range(60):
        reading = asyncio.create_task(read())
        for _ in range(turn % 12):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert len(await read()) == 1


class TestALostConnection:
    @pytest.fixture
    def database_kind(self) -> str:
        return "mariadb"

    async def test_before_the_commit_the_work_is_done_again_on_another_one(self, db: Database):
        killed: list[int] = []

        async def work(tx: AsyncConnection) -> None:
            number = (await tx.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
            if not killed:
                killed.append(number)
                await self._kill(db, number)
            await _INSERT.run_many(tx, [row()])

        await db.write(work)
        async with db.read() as tx:
            assert (await tx.execute(text("SELECT COUNT(*) FROM worker"))).scalar_one() == 1

    async def test_in_the_commit_it_is_an_outage_for_the_caller(self, db: Database):
        async def work(tx: AsyncConnection) -> None:
            await _INSERT.run_many(tx, [row()])
            await self._kill(db, (await tx.execute(text("SELECT CONNECTION_ID()"))).scalar_one())

        with pytest.raises(DependencyDown):
            await db.write(work)

    async def test_one_that_rested_is_looked_at_before_it_is_used(self, db: Database):
        async with db.read() as tx:
            number = (await tx.execute(text("SELECT CONNECTION_ID()"))).scalar_one()
        await db.write(lambda tx: tx.execute(text(f"KILL CONNECTION {number}")))
        await asyncio.sleep(1.1)
        async with db.read() as tx:
            assert (await tx.execute(text("SELECT CONNECTION_ID()"))).scalar_one() != number

    async def _kill(self, db: Database, number: int) -> None:
        async with db.read() as tx:
            await tx.execute(text(f"KILL CONNECTION {number}"))
            while (
                await tx.execute(text(f"SELECT 1 FROM information_schema.processlist WHERE id = {number}"))
            ).first():
                await asyncio.sleep(0.01)

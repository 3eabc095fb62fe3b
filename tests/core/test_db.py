import asyncio
import random
from collections.abc import AsyncGenerator

import pytest
import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.fixtures.proxy import hanging_up
from weir_core.db import Database
from weir_core.errors import DependencyDown

_TRIES = 200


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database]:
    opened = Database(database_url)
    yield opened
    await opened.close()


class TestCancel:
    @pytest.mark.parametrize("kind", ["read", "write"])
    async def test_a_cancel_in_the_middle_of_a_query_passes(self, db: Database, kind: str):
        # On its way out the transaction meets a connection that the cancel has closed.
        dice = random.Random(5)
        for _ in range(60):
            working = asyncio.create_task(_work(db, kind))
            await asyncio.sleep(dice.uniform(0, 0.05))
            working.cancel()
            async with asyncio.timeout(30):
                await asyncio.wait([working])
            assert working.cancelled(), working

    async def test_what_takes_too_long_for_the_caller_is_its_timeout(self, db: Database):
        for seconds in (0.01, 0.02, 0.03):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await _work(db, "write")


async def test_a_server_that_hangs_up_while_it_is_connected_to_is_down():
    async def many(address: str) -> int:
        db = Database(f"mysql+asyncmy://weir:secret@{address}/weir")
        failed = 0
        for _ in range(_TRIES):
            try:
                async with db.read() as tx:
                    await _queries(tx)
            except DependencyDown:
                failed += 1
        await db.close()
        return failed

    # As Weir's processes do: with uvloop a transport may be gone before the driver has looked at it.
    with hanging_up() as address:
        assert await asyncio.to_thread(uvloop.run, many(address)) == _TRIES


async def _work(db: Database, kind: str) -> None:
    while True:
        if kind == "write":
            await db.write(_queries)
        else:
            async with db.read() as tx:
                await _queries(tx)


async def _queries(tx: AsyncConnection) -> None:
    for _ in range(20):
        await tx.execute(text("SELECT id FROM task"))

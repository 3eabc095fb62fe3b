"""Workers that start, and what they bring."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update

from tests.fixtures.engine import ECHO, Engine
from weir_core.errors import DependencyDown, NotFound
from weir_core.fleet.models import WorkerState, worker
from weir_core.fleet.service import SchemaChanged
from weir_core.tasks.states import TaskState
from weir_workers.connectors.declaration import declarations

_MANY = 6


async def lose(engine: Engine, *, steady: bool) -> None:
    """Sweep until a lease has run out."""
    async with asyncio.timeout(30):
        while not await engine.runtime.sweeper.lose_workers(lambda: steady):
            await asyncio.sleep(0.1)


class TestRegister:
    async def test_many_workers_bring_the_same_new_types_at_once(self, engine: Engine):
        runtimes = [await engine.another() for _ in range(_MANY)]
        workers = [Engine(runtime, engine.stack, engine.settings) for runtime in runtimes]
        await asyncio.gather(*(worker.worker(ECHO) for worker in workers))
        assert (await engine.runtime.fleet.get_type("probe.echo")).worker_count == _MANY

    async def test_many_workers_bring_the_same_new_connectors_at_once(self, engine: Engine):
        runtimes = [await engine.another() for _ in range(_MANY)]
        await asyncio.gather(
            *(each.collecting.connections.register_connectors(declarations()) for each in runtimes)
        )

    async def test_another_schema_under_a_known_version_is_refused(self, engine: Engine):
        await engine.worker(ECHO)
        changed = {"type": "object", "properties": {"text": {"type": "integer"}}, "required": ["text"]}
        with pytest.raises(SchemaChanged, match="declare it with version=2"):
            await engine.worker(replace(ECHO, input_schema=changed))


class TestLosing:
    async def test_p03_nobody_is_lost_where_the_database_stalled_meanwhile(self, engine: Engine):
        worker_id = await engine.worker()
        # Once its lease has run out, the sweeper finds one to lose, and thinks better of it.
        with pytest.raises(DependencyDown):
            await lose(engine, steady=False)
        assert (await engine.runtime.fleet.get_worker(worker_id)).state is WorkerState.ACTIVE
        assert await engine.runtime.fleet.renew(worker_id)


class TestForgetting:
    async def test_a_lost_worker_is_kept_until_all_is_taken_from_it(self, engine: Engine):
        claimed = await engine.claimed(worker_id := await engine.worker())
        long_ago = {"state": WorkerState.LOST.value, "lease_expire": 0}
        await engine.runtime.db.write(
            lambda tx: tx.execute(update(worker).where(worker.c.id == worker_id).values(**long_ago))
        )
        await engine.runtime.sweeper.forget()
        assert await engine.runtime.sweeper.take_over() == 1
        assert (await engine.get(claimed.task.id)).state is TaskState.PENDING
        await engine.runtime.sweeper.forget()
        with pytest.raises(NotFound):
            await engine.runtime.fleet.get_worker(worker_id)

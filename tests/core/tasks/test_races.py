"""What shows only where two processes meet, or one dies or stalls at a bad moment."""

import asyncio
from typing import Any
from uuid import UUID

from tests.fixtures.engine import Engine
from weir_core.tasks.events import Event, EventKind
from weir_core.tasks.history import EventFilter
from weir_core.tasks.states import TaskState


async def events_of(engine: Engine, task_id: UUID) -> list[Event]:
    found, _ = await engine.runtime.history.page(task_id, 0, 1000, EventFilter(), descending=False)
    return found


async def lose(engine: Engine) -> None:
    """Let the worker's lease run out, as the database sees it."""
    async with asyncio.timeout(30):
        while not await engine.runtime.sweeper.lose_workers():
            await asyncio.sleep(0.1)


def line(text: str) -> dict[str, Any]:
    return {"level": 2, "source": 1, "text": text, "fields": {}}


class TestTwoSweepers:
    async def test_p02_the_second_finds_the_attempt_moved_on_and_charges_nothing(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await lose(engine)
        first, second = engine.runtime.sweeper, (await engine.another()).sweeper
        # Both have read that the task is abandoned before either moves it on.
        both = [sweeper._take_over(claimed.task.id, 1) for sweeper in (first, second)]
        await asyncio.gather(*both, return_exceptions=True)
        found = await engine.get(claimed.task.id)
        assert (found.state, found.charged) == (TaskState.PENDING, 1)
        moves = [e.body["to"] for e in await events_of(engine, claimed.task.id) if e.kind is EventKind.STATE]
        assert moves == [TaskState.QUEUED, TaskState.RUNNING, TaskState.PENDING]

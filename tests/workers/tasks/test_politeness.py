"""A source is asked by all workers together as its connection allows."""

import asyncio
from uuid import UUID

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import NUMBERED, Hands
from tests.fixtures.http_source import HttpSource
from weir_core.collections.models import Collection, NewCollection, NewConnection, Politeness, SyncMode
from weir_core.tasks.states import TaskState


async def workers(engine: Engine, number: int) -> list[Hands]:
    """Workers that share database and Redis."""
    runtimes = [engine.runtime, *[await engine.another() for _ in range(number - 1)]]
    made = [Hands(runtime, person(everywhere=set(EDITOR_RIGHTS))) for runtime in runtimes]
    for hands in made:
        await hands.register()
    return made


async def collections(
    hands: Hands, source: HttpSource, number: int, politeness: Politeness
) -> list[Collection]:
    """So many over one connection."""
    collecting = hands.runtime.collecting
    settings = {"base_url": source.url}
    new = NewConnection("", "shop", "http", settings, {}, True, politeness)
    connection = await collecting.connections.create_connection(hands.caller, new)
    return [
        await collecting.collections.create_collection(
            hands.caller, NewCollection("", f"things-{one}", connection.id, NUMBERED, SyncMode.FULL)
        )
        for one in range(number)
    ]


async def states(hands: Hands, runs: list[UUID]) -> list[TaskState]:
    return [(await hands.runtime.collecting.runs.get(hands.caller, run)).state for run in runs]


async def test_runs_over_a_connection_wait_for_one_another(engine: Engine, http_source: HttpSource):
    (hands,) = await workers(engine, 1)
    made = await collections(hands, http_source, 3, Politeness(max_concurrency=2))
    runs = [await hands.start(each) for each in made]
    assert await states(hands, runs) == [TaskState.QUEUED, TaskState.QUEUED, TaskState.PENDING]
    await hands.runtime.stopping.cancel(hands.caller, runs[0], "", None)
    assert await states(hands, runs) == [TaskState.CANCELLED, TaskState.QUEUED, TaskState.QUEUED]


async def test_four_runs_go_at_a_time_where_nothing_is_said(engine: Engine, http_source: HttpSource):
    (hands,) = await workers(engine, 1)
    made = await collections(hands, http_source, 5, Politeness())
    runs = [await hands.start(each) for each in made]
    assert await states(hands, runs) == [*[TaskState.QUEUED] * 4, TaskState.PENDING]


async def test_the_pace_is_kept_by_workers_together(engine: Engine, http_source: HttpSource):
    both = await workers(engine, 2)
    made = await collections(both[0], http_source, 2, Politeness(max_per_minute=1200))
    runs = [await both[0].start(each) for each in made]
    await asyncio.gather(*[hands.work(run) for hands, run in zip(both, runs, strict=True)])
    times = sorted(asked.at for asked in http_source.asked)
    assert len(times) >= 8
    # 50 ms lie between two requests, whoever makes them.
    assert times[-1] - times[0] >= (len(times) - 1) * 0.05 - 0.02

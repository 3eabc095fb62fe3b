"""What shows only where two processes meet, or one dies or stalls at a bad moment."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis

from tests.fixtures.engine import Engine
from weir_core.tasks.encoding import dump_cancellation
from weir_core.tasks.events import Event, EventKind, state_body
from weir_core.tasks.execution import Claimed
from weir_core.tasks.history import EventFilter
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.states import CancelPhase, TaskState

_SECONDS = 30


async def events_of(engine: Engine, task_id: UUID) -> list[Event]:
    found, _ = await engine.runtime.history.page(task_id, 0, 1000, EventFilter(), descending=False)
    return found


async def lose(engine: Engine) -> None:
    """Let the worker's lease run out, as the database sees it."""
    async with asyncio.timeout(_SECONDS):
        while not await engine.runtime.sweeper.lose_workers():
            await asyncio.sleep(0.1)


async def log_live(engine: Engine, claimed: Claimed, text: str) -> None:
    body: dict[str, Any] = {"level": 2, "source": 1, "text": text, "fields": {}}
    claimed.log.add_log(body)
    claimed.log.number()
    await engine.runtime.execution.send([claimed.log])


async def claim_again(engine: Engine, task_id: UUID) -> Claimed:
    """Another worker's claim, once the retry is due."""
    async with asyncio.timeout(_SECONDS):
        while not await engine.runtime.promotion.due():
            await asyncio.sleep(0.1)
    return (await engine.runtime.execution.claim([task_id], await engine.worker(), {"probe.echo": 1}))[0]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


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


class TestLostWorkersEvents:
    async def shown(self, engine: Engine, claimed: Claimed, into: list[Event]) -> None:
        async for stretch in engine.runtime.hub.watch(claimed.task.id, 1):
            into += stretch.events

    async def test_p02_what_it_sends_after_the_takeover_reaches_no_watcher(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await log_live(engine, claimed, "before")
        await lose(engine)
        await engine.runtime.sweeper.take_over()
        shown: list[Event] = []
        working = [asyncio.create_task(engine.runtime.hub.run())]
        working.append(asyncio.create_task(self.shown(engine, claimed, shown)))
        await until(lambda: len(shown) == 4)
        for _ in range(8):
            await log_live(engine, claimed, "from the grave")
        again = await claim_again(engine, claimed.task.id)
        await log_live(engine, again, "from the living")
        await engine.runtime.execution.finish(again.log, Ended(output={}))
        await until(lambda: shown[-1].is_last)
        for each in working:
            each.cancel()
        texts = [event.body["text"] for event in shown if event.kind is EventKind.LOG]
        assert texts == ["before", "from the living"]
        assert shown == await events_of(engine, claimed.task.id)

    async def test_p05_a_loss_is_remembered_when_its_finder_died_before_it_was_told(
        self, engine: Engine, redis_url: str
    ):
        claimed = await engine.claimed(await engine.worker())
        await log_live(engine, claimed, "lost")
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        await lose(engine)
        await engine.runtime.sweeper._seal(await engine.get(claimed.task.id))
        await engine.runtime.sweeper.take_over()
        kinds = [event.kind for event in await events_of(engine, claimed.task.id)]
        assert EventKind.GAP in kinds

    async def test_p05_one_that_never_said_anything_leaves_no_gap(self, engine: Engine, redis_url: str):
        await engine.runtime.sweeper.note_age()
        # The data is older than any difference of clocks.
        async with Redis.from_url(redis_url) as redis:
            assert await redis.exists("weir:since")
            await redis.set("weir:since", 0)
        claimed = await engine.claimed(await engine.worker())
        await lose(engine)
        await engine.runtime.sweeper.take_over()
        events = await events_of(engine, claimed.task.id)
        assert [event.seq for event in events] == [1, 2, 3]


class TestCancelledAtTheEnd:
    """A cancel comes while the attempt ends, whether its worker has heard of it or not."""

    @pytest.mark.parametrize("heard", ["not", "told", "archived"])
    async def test_p04_the_move_to_cancelling_is_told_once(self, engine: Engine, heard: str):
        claimed = await engine.claimed(await engine.worker())
        task_id, log = claimed.task.id, claimed.log
        await engine.runtime.stopping.cancel(engine.caller, task_id, "enough", None)
        if heard != "not":
            asked = await engine.runtime.execution.cancellation(task_id, 1)
            assert asked is not None
            log.add(EventKind.STATE, state_body(TaskState.RUNNING, TaskState.CANCELLING, asked.reason))
            log.add(EventKind.CANCEL, dump_cancellation(asked))
        if heard == "archived":
            log.number()
            await engine.runtime.execution.report([log])
        await engine.runtime.execution.finish(log, Ended(output={}))
        events = await events_of(engine, task_id)
        moves = [(event.body["from"], event.body["to"]) for event in events if event.kind is EventKind.STATE]
        assert moves[2:] == [
            (TaskState.RUNNING, TaskState.CANCELLING),
            (TaskState.CANCELLING, TaskState.SUCCEEDED),
        ]
        phases = [event.body["phase"] for event in events if event.kind is EventKind.CANCEL]
        assert phases == [CancelPhase.REQUESTED, CancelPhase.CONFIRMED]


class TestLostAnswers:
    @pytest.mark.parametrize("more", [0, 3])
    async def test_an_archive_that_was_made_is_not_made_twice(self, engine: Engine, more: int):
        claimed = await engine.claimed(await engine.worker())
        log, execution = claimed.log, engine.runtime.execution
        await log_live(engine, claimed, "one")
        told = log.archived_seq, log.everything()
        await execution.report([log])
        # The commit came through, its answer did not: the worker still keeps all as not archived.
        log.archived_seq, log._kept = told[0], deque(told[1])
        for _ in range(more):
            await log_live(engine, claimed, "more")
        assert await execution.report([log]) == []
        log.archived_seq, log._kept = told[0], deque([*told[1], *log.unsent()])
        await execution.finish(log, Ended(output={}))
        events = await events_of(engine, claimed.task.id)
        assert [event.seq for event in events] == list(range(1, 5 + more))
        backwards, _ = await engine.runtime.history.page(
            claimed.task.id, 0, 100, EventFilter(), descending=True
        )
        assert backwards[::-1] == events

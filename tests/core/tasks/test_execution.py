import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import select

from tests.fixtures.engine import Engine
from weir_core.columns import EPOCH, MICROSECOND
from weir_core.fleet.models import worker
from weir_core.tasks.errors import Fenced
from weir_core.tasks.events import Event, EventKind
from weir_core.tasks.execution import Claimed
from weir_core.tasks.history import EventFilter
from weir_core.tasks.models import Failure
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.states import CancelPhase, FailureKind, TaskState


def line(text: str) -> dict[str, Any]:
    return {"level": 2, "source": 1, "text": text, "fields": {}}


async def events_of(engine: Engine, task_id: UUID) -> list[Event]:
    found, _ = await engine.runtime.history.page(task_id, 0, 1000, EventFilter(), descending=False)
    return found


async def lose(engine: Engine) -> None:
    """Let the worker's lease run out, as the database sees it."""
    async with asyncio.timeout(10):
        while not await engine.runtime.sweeper.lose_workers():
            await asyncio.sleep(0.1)


async def log_live(engine: Engine, claimed: Claimed, text: str) -> None:
    claimed.log.add_log(line(text))
    claimed.log.number()
    await engine.runtime.execution.send([claimed.log])


class TestClaim:
    async def test_p02_of_two_workers_one_gets_the_task(self, engine: Engine):
        workers = [await engine.worker(), await engine.worker()]
        task = (await engine.submit()).task
        claims = await asyncio.gather(
            *(engine.runtime.execution.claim([task.id], worker, {"probe.echo": 1}) for worker in workers)
        )
        assert sorted(len(claim) for claim in claims) == [0, 1]
        assert (await engine.get(task.id)).attempt == 1

    async def test_a_batch_takes_what_can_be_had(self, engine: Engine):
        worker = await engine.worker()
        tasks = [(await engine.submit()).task.id for _ in range(3)]
        await engine.runtime.stopping.cancel(engine.caller, tasks[1], "", None)
        claimed = await engine.runtime.execution.claim(tasks, worker, {"probe.echo": 1})
        assert {each.task.id for each in claimed} == {tasks[0], tasks[2]}

    async def test_a_newer_version_than_the_worker_has_is_left(self, engine: Engine):
        worker = await engine.worker()
        task = (await engine.submit()).task
        assert await engine.runtime.execution.claim([task.id], worker, {"probe.echo": 0}) == []

    async def test_p02_a_lost_worker_gets_nothing(self, engine: Engine):
        worker = await engine.worker()
        task = (await engine.submit()).task
        await lose(engine)
        assert await engine.runtime.execution.claim([task.id], worker, {"probe.echo": 1}) == []


class TestFinish:
    async def test_p02_ends_once(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await engine.runtime.execution.finish(claimed.log, Ended(output={"n": 1}))
        with pytest.raises(Fenced):
            await engine.runtime.execution.finish(claimed.log, Ended(output={"n": 2}))
        found = await engine.get(claimed.task.id)
        assert (found.state, found.output) == (TaskState.SUCCEEDED, {"n": 1})

    async def test_p09_a_failure_keeps_its_cause_and_the_last_lines(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        cause = {"type": "ValueError", "message": "bad", "location": "a.py:f:1", "stack_trace": "…"}
        failure = Failure(FailureKind.USER_ERROR, "bad", causes=[cause], log_tail=[line("last words")])
        await engine.runtime.execution.finish(claimed.log, Ended(failure=failure))
        found = (await engine.get(claimed.task.id)).failure
        assert found is not None
        assert (found.causes, found.log_tail) == ([cause], [line("last words")])

    async def test_a_retry_waits_and_is_queued_when_due(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        failure = Failure(FailureKind.RATE_LIMITED, "slow down", detail={"retry_after": 0.0})
        task = await engine.runtime.execution.finish(claimed.log, Ended(failure=failure))
        assert task.state is TaskState.PENDING
        async with asyncio.timeout(10):
            while not await engine.runtime.promotion.due():
                await asyncio.sleep(0.1)
        found = await engine.get(claimed.task.id)
        assert (found.state, found.charged, found.attempts[0].failure is not None) == (
            TaskState.QUEUED,
            1,
            True,
        )

    async def test_p04_a_success_after_the_request_stays_a_success(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await engine.runtime.stopping.cancel(engine.caller, claimed.task.id, "enough", None)
        await engine.runtime.execution.advance(claimed.log, CancelPhase.SIGNALLED)
        await engine.runtime.execution.finish(claimed.log, Ended(output={}))
        found = await engine.get(claimed.task.id)
        assert found.state is TaskState.SUCCEEDED
        assert found.cancellation is not None
        assert found.cancellation.phase is CancelPhase.CONFIRMED


class TestTakeOver:
    async def test_p03_a_silent_workers_task_is_tried_again(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await lose(engine)
        assert await engine.runtime.sweeper.take_over() == 1
        found = await engine.get(claimed.task.id)
        assert (found.state, found.charged) == (TaskState.PENDING, 1)
        assert found.failure is not None
        assert found.failure.kind is FailureKind.LOST_WORKER

    async def test_p03_when_tries_are_used_up_it_fails_as_lost_worker(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        for _ in range(2):
            await lose(engine)
            await engine.runtime.sweeper.take_over()
            async with asyncio.timeout(15):
                while not await engine.runtime.promotion.due():
                    await asyncio.sleep(0.1)
            await engine.runtime.execution.claim([claimed.task.id], await engine.worker(), {"probe.echo": 1})
        await lose(engine)
        await engine.runtime.sweeper.take_over()
        found = await engine.get(claimed.task.id)
        assert (found.state, found.attempt) == (TaskState.FAILED, 3)
        assert found.failure is not None
        assert found.failure.kind is FailureKind.LOST_WORKER

    async def test_p02_what_the_lost_worker_still_writes_is_refused(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await lose(engine)
        with pytest.raises(Fenced):
            await engine.runtime.execution.finish(claimed.log, Ended(output={}))
        claimed.log.add_log(line("from the grave"))
        claimed.log.number()
        assert await engine.runtime.execution.report([claimed.log]) == [claimed.log]
        await engine.runtime.sweeper.take_over()
        with pytest.raises(Fenced):
            await engine.runtime.execution.finish(claimed.log, Ended(output={}))
        texts = [e.body["text"] for e in await events_of(engine, claimed.task.id) if e.kind is EventKind.LOG]
        assert texts == []

    async def test_p05_live_lines_of_the_lost_worker_are_kept_and_numbers_go_on(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await log_live(engine, claimed, "one")
        await log_live(engine, claimed, "two")
        await lose(engine)
        await engine.runtime.sweeper.take_over()
        await log_live(engine, claimed, "after the seal")
        events = await events_of(engine, claimed.task.id)
        assert [event.seq for event in events] == [1, 2, 3, 4, 5]
        assert [e.body["text"] for e in events if e.kind is EventKind.LOG] == ["one", "two"]

    async def test_p05_where_live_lines_are_gone_a_gap_says_so(self, engine: Engine, redis_url: str):
        claimed = await engine.claimed(await engine.worker())
        await log_live(engine, claimed, "lost")
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        await lose(engine)
        await engine.runtime.sweeper.take_over()
        events = await events_of(engine, claimed.task.id)
        gap = next(event for event in events if event.kind is EventKind.GAP)
        assert (gap.body["from_seq"], gap.body["to_seq"]) == (3, gap.seq)
        assert gap.body["reason"] == "lost live log"
        assert events[-1].seq == gap.seq + 1

    async def test_p05_a_flush_loses_nothing_while_the_worker_lives(self, engine: Engine, redis_url: str):
        claimed = await engine.claimed(await engine.worker())
        await log_live(engine, claimed, "before")
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        await log_live(engine, claimed, "after")
        texts = [e.body["text"] for e in await events_of(engine, claimed.task.id) if e.kind is EventKind.LOG]
        assert texts == ["before", "after"]

    async def test_p04_a_cancelled_task_of_a_lost_worker_is_confirmed_once_that_is_certain(
        self, engine: Engine
    ):
        claimed = await engine.claimed(await engine.worker())
        await engine.runtime.stopping.cancel(engine.caller, claimed.task.id, "enough", None)
        await lose(engine)
        async with asyncio.timeout(30):
            while not await engine.runtime.sweeper.take_over():
                await asyncio.sleep(0.1)
        found = await engine.get(claimed.task.id)
        async with engine.runtime.db.read() as tx:
            lease_end = EPOCH + (await tx.execute(select(worker.c.lease_expire))).scalar_one() * MICROSECOND
        assert found.cancellation is not None
        assert found.cancellation.confirm_time is not None
        assert found.cancellation.confirm_time >= lease_end + timedelta(seconds=5), (
            "its processes may still run"
        )
        assert "is gone; its lease and 5 s have passed" in found.cancellation.holdup
        phases = [
            e.body["phase"] for e in await events_of(engine, claimed.task.id) if e.kind is EventKind.CANCEL
        ]
        assert found.state is TaskState.CANCELLED
        assert phases == [CancelPhase.REQUESTED, CancelPhase.CONFIRMED]

    async def test_p04_a_cancel_that_comes_after_the_takeover_waits_for_that_too(self, engine: Engine):
        task_id = (await engine.claimed(await engine.worker())).task.id
        await lose(engine)
        assert await engine.runtime.sweeper.take_over() == 1
        stopping = engine.runtime.stopping
        asked = await stopping.cancel(engine.caller, task_id, "enough", None)
        assert asked.state is TaskState.PENDING
        async with asyncio.timeout(30):
            while (found := await engine.get(task_id)).state is not TaskState.CANCELLED:
                await stopping.carry_out()
                await asyncio.sleep(0.1)
        async with engine.runtime.db.read() as tx:
            lease_end = EPOCH + (await tx.execute(select(worker.c.lease_expire))).scalar_one() * MICROSECOND
        assert found.end_time is not None
        assert found.end_time >= lease_end + timedelta(seconds=5), "its processes may still run"
        assert found.cancellation is not None
        assert found.cancellation.reason == "enough"


class TestHints:
    @pytest.fixture(autouse=True)
    async def known(self, engine: Engine):
        await engine.worker()

    async def test_p01_a_hint_lost_with_redis_is_repeated(self, engine: Engine, redis_url: str):
        task = (await engine.submit()).task
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        reader = engine.runtime.queue.reader(["default"], ["probes"])
        async with asyncio.timeout(20):
            while not await engine.runtime.sweeper.hint_again():
                await asyncio.sleep(0.1)
            while not (hints := await reader.read(10)):
                pass
        await reader.acknowledge(hints)
        await reader.close()
        assert [hint.task_id for hint in hints] == [task.id]

    async def test_what_is_acknowledged_is_gone_from_redis(self, engine: Engine, redis_url: str):
        reader = engine.runtime.queue.reader(["default"], ["probes"])
        made = {(await engine.submit()).task.id for _ in range(5)}
        seen: set[UUID] = set()
        async with asyncio.timeout(10):
            while seen != made:
                hints = await reader.read(2)
                assert len(hints) <= 2
                seen |= {hint.task_id for hint in hints}
                await reader.acknowledge(hints)
        await reader.close()
        async with Redis.from_url(redis_url) as redis:
            assert await redis.xlen("weir:queue:default:2:probes") == 0

    async def test_an_entry_that_is_not_weirs_is_removed(self, engine: Engine, redis_url: str):
        reader = engine.runtime.queue.reader(["default"], ["probes"])
        async with Redis.from_url(redis_url) as redis:
            for name, value in (("foreign", "1"), ("data", "no json"), ("data", '{"args": []}')):
                await redis.xadd("weir:queue:default:2:probes", {name: value})
            task = (await engine.submit()).task
            found: list[UUID] = []
            async with asyncio.timeout(10):
                while not found:
                    found = [hint.task_id for hint in await reader.read(10)]
            await reader.close()
            assert found == [task.id]
            assert await redis.xlen("weir:queue:default:2:probes") == 1

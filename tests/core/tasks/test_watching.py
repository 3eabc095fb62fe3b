import asyncio
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis

from tests.fixtures.engine import Engine
from weir_core.runtime import Runtime
from weir_core.tasks.events import AttemptLog, Event
from weir_core.tasks.execution import Claimed
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.states import TERMINAL


def line(text: str) -> dict[str, Any]:
    return {"level": 2, "source": 1, "text": text, "fields": {}}


@pytest.fixture
async def servers(engine: Engine) -> AsyncGenerator[list[Runtime]]:
    """Two servers' watch hubs over one database and Redis."""
    runtimes = [engine.runtime, await engine.another()]
    running = [asyncio.create_task(runtime.hub.run()) for runtime in runtimes]
    yield runtimes
    for task in running:
        task.cancel()


class Watching:
    """Collects what a watch gives."""

    def __init__(self, server: Runtime, task_id: UUID, from_seq: int = 1) -> None:
        self.events: list[Event] = []
        self._grown = asyncio.Condition()
        self.task = asyncio.create_task(self._run(server, task_id, from_seq))

    async def _run(self, server: Runtime, task_id: UUID, from_seq: int) -> None:
        async for events in server.hub.watch(task_id, from_seq):
            async with self._grown:
                self.events += events
                self._grown.notify_all()

    async def until(self, seq: int) -> None:
        """Wait for an event's number."""
        async with asyncio.timeout(15), self._grown:
            await self._grown.wait_for(lambda: bool(self.events) and self.events[-1].seq >= seq)

    async def ended(self) -> list[int]:
        """Wait for the stream's end; the numbers it gave."""
        async with asyncio.timeout(15):
            await self.task
        return [event.seq for event in self.events]


async def say(engine: Engine, log: AttemptLog, *texts: str) -> None:
    for text in texts:
        log.add_log(line(text))
    log.number()
    await engine.runtime.execution.send([log])


async def finish(engine: Engine, claimed: Claimed) -> None:
    await engine.runtime.execution.finish(claimed.log, Ended(output={}))


class TestWatch:
    async def test_p05_on_two_servers_each_event_comes_once_and_in_order(
        self, engine: Engine, servers: list[Runtime]
    ):
        claimed = await engine.claimed(await engine.worker())
        watches = [Watching(server, claimed.task.id) for server in servers]
        for number in range(20):
            await say(engine, claimed.log, f"{number} a", f"{number} b")
            if number % 7 == 0:
                await engine.runtime.execution.report([claimed.log])
                await engine.runtime.execution.trim([claimed.log])
        await finish(engine, claimed)
        for watch in watches:
            assert await watch.ended() == list(range(1, 44))

    async def test_p05_from_any_number_live_and_after_the_end(self, engine: Engine, servers: list[Runtime]):
        claimed = await engine.claimed(await engine.worker())
        await say(engine, claimed.log, "a", "b", "c")
        live = Watching(servers[1], claimed.task.id, 4)
        await live.until(5)
        await finish(engine, claimed)
        assert await live.ended() == [4, 5, 6]
        for start in range(1, 7):
            assert await Watching(servers[0], claimed.task.id, start).ended() == list(range(start, 7))

    async def test_p05_past_the_end_the_stream_ends(self, engine: Engine, servers: list[Runtime]):
        claimed = await engine.claimed(await engine.worker())
        await finish(engine, claimed)
        assert await Watching(servers[0], claimed.task.id, 100).ended() == []

    async def test_p05_a_flush_in_the_middle_leaves_no_hole(
        self, engine: Engine, servers: list[Runtime], redis_url: str
    ):
        claimed = await engine.claimed(await engine.worker())
        early = Watching(servers[0], claimed.task.id)
        await say(engine, claimed.log, "a", "b")
        await early.until(4)
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        await say(engine, claimed.log, "c")
        late = Watching(servers[1], claimed.task.id)
        await late.until(5)
        await finish(engine, claimed)
        assert await early.ended() == await late.ended() == list(range(1, 7))

    async def test_p05_the_last_event_comes_though_its_notice_was_lost(
        self, engine: Engine, servers: list[Runtime]
    ):
        claimed = await engine.claimed(await engine.worker())
        watch = Watching(servers[1], claimed.task.id)
        await watch.until(2)
        # Under another prefix nobody hears the worker.
        unheard = await engine.another(redis_prefix="elsewhere:")
        claimed.log.add_log(line("never announced"))
        await unheard.execution.finish(claimed.log, Ended(output={}))
        assert await watch.ended() == [1, 2, 3, 4]

    async def test_p05_a_watcher_that_does_not_read_loses_nothing(
        self, engine: Engine, servers: list[Runtime]
    ):
        claimed = await engine.claimed(await engine.worker())
        stream = servers[0].hub.watch(claimed.task.id, 1)
        seen = [event.seq for event in await anext(stream)]
        for number in range(30):
            await say(engine, claimed.log, *(f"{number} {each}" for each in range(100)))
        await finish(engine, claimed)
        async for events in stream:
            seen += [event.seq for event in events]
        assert seen == list(range(1, 3004))


class TestWait:
    async def test_returns_when_the_task_has_ended(self, engine: Engine, servers: list[Runtime]):
        claimed = await engine.claimed(await engine.worker())
        waiting = asyncio.create_task(
            servers[1].hub.wait(claimed.task.id, 60, lambda head: head.state in TERMINAL)
        )
        await finish(engine, claimed)
        async with asyncio.timeout(10):
            await waiting

    async def test_returns_when_the_time_is_over(self, engine: Engine, servers: list[Runtime]):
        claimed = await engine.claimed(await engine.worker())
        async with asyncio.timeout(10):
            await servers[0].hub.wait(claimed.task.id, 0.2, lambda head: head.state in TERMINAL)

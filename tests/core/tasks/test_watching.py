import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import delete

from tests.fixtures.engine import Engine
from weir_core.errors import NotFound
from weir_core.runtime import Runtime
from weir_core.tasks import repository
from weir_core.tasks.events import AttemptLog, Event, EventKind
from weir_core.tasks.execution import Claimed
from weir_core.tasks.models import task_event
from weir_core.tasks.outcomes import Ended

SECONDS = 45


def line(text: str) -> dict[str, Any]:
    return {"level": 2, "source": 1, "text": text, "fields": {}}


class Watching:
    """Collects what a watch gives; it may be broken off and go on elsewhere."""

    def __init__(self, server: Runtime, task_id: UUID, from_seq: int = 1) -> None:
        self.events: list[Event] = []
        self._task_id = task_id
        self._next_seq = from_seq
        self._grown = asyncio.Condition()
        self.task = asyncio.create_task(self._run(server))

    async def _run(self, server: Runtime) -> None:
        stretches = server.hub.watch(self._task_id, self._next_seq)
        async with aclosing(stretches):
            async for stretch in stretches:
                assert len(stretch.events) <= 100
                async with self._grown:
                    self.events += stretch.events
                    self._grown.notify_all()
                if stretch.events:
                    self._next_seq = stretch.last_seq + 1

    async def move(self, server: Runtime) -> None:
        """Break off, and go on at a server, as a client whose connection was lost does."""
        if self.task.done():
            return
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.task = asyncio.create_task(self._run(server))

    async def until(self, seq: int) -> None:
        """Wait for an event's number."""
        async with asyncio.timeout(SECONDS), self._grown:
            await self._grown.wait_for(lambda: bool(self.events) and self.events[-1].seq >= seq)

    async def ended(self) -> list[int]:
        """Wait for the stream's end; the numbers it gave."""
        async with asyncio.timeout(SECONDS):
            await self.task
        return [event.seq for event in self.events]


class Servers(list[Runtime]):
    """Servers over one database and Redis, and who watches there."""

    def __init__(self, *runtimes: Runtime) -> None:
        super().__init__(runtimes)
        self.watches: list[Watching] = []

    def watch(self, number: int, task_id: UUID, from_seq: int = 1) -> Watching:
        """A watcher at one of them."""
        self.watches.append(Watching(self[number], task_id, from_seq))
        return self.watches[-1]


@pytest.fixture
async def servers(engine: Engine) -> AsyncGenerator[Servers]:
    """Two servers."""
    servers = Servers(engine.runtime, await engine.another())
    running = [asyncio.create_task(runtime.hub.run()) for runtime in servers]
    yield servers
    running += [watch.task for watch in servers.watches]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def say(engine: Engine, log: AttemptLog, *texts: str) -> None:
    for text in texts:
        log.add_log(line(text))
    log.number()
    await engine.runtime.execution.send([log])


async def finish(engine: Engine, claimed: Claimed) -> None:
    await engine.runtime.execution.finish(claimed.log, Ended(output={}))


class TestWatch:
    async def test_p05_on_two_servers_each_event_comes_once_and_in_order(
        self, engine: Engine, servers: Servers
    ):
        claimed = await engine.claimed(await engine.worker())
        watches = [servers.watch(number, claimed.task.id) for number in (0, 1)]
        for number in range(20):
            await say(engine, claimed.log, f"{number} a", f"{number} b")
            if number % 7 == 0:
                await engine.runtime.execution.report([claimed.log])
                await engine.runtime.execution.trim([claimed.log])
        await finish(engine, claimed)
        for watch in watches:
            assert await watch.ended() == list(range(1, 44))

    async def test_p05_from_any_number_live_and_after_the_end(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        await say(engine, claimed.log, "a", "b", "c")
        live = servers.watch(1, claimed.task.id, 4)
        await live.until(5)
        await finish(engine, claimed)
        assert await live.ended() == [4, 5, 6]
        for start in range(1, 7):
            assert await servers.watch(0, claimed.task.id, start).ended() == list(range(start, 7))

    async def test_p05_past_the_end_the_stream_ends(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        await finish(engine, claimed)
        assert await servers.watch(0, claimed.task.id, 100).ended() == []

    async def test_p05_a_flush_in_the_middle_leaves_no_hole(
        self, engine: Engine, servers: Servers, redis_url: str
    ):
        claimed = await engine.claimed(await engine.worker())
        early = servers.watch(0, claimed.task.id)
        await say(engine, claimed.log, "a", "b")
        await early.until(4)
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        await say(engine, claimed.log, "c")
        late = servers.watch(1, claimed.task.id)
        await late.until(5)
        await finish(engine, claimed)
        assert await early.ended() == await late.ended() == list(range(1, 7))

    async def test_p05_the_last_event_comes_though_its_notice_was_lost(
        self, engine: Engine, servers: Servers
    ):
        claimed = await engine.claimed(await engine.worker())
        watch = servers.watch(1, claimed.task.id)
        await watch.until(2)
        # Under another prefix nobody hears the worker.
        unheard = await engine.another(redis_prefix="elsewhere:")
        claimed.log.add_log(line("never announced"))
        await unheard.execution.finish(claimed.log, Ended(output={}))
        assert await watch.ended() == [1, 2, 3, 4]

    async def test_p05_a_watcher_that_does_not_read_loses_nothing_and_slows_nobody(
        self, engine: Engine, servers: Servers
    ):
        claimed = await engine.claimed(await engine.worker())
        slow = servers[0].hub.watch(claimed.task.id, 1)
        seen = [event.seq for event in (await anext(slow)).events]
        fast = servers.watch(0, claimed.task.id)
        for number in range(100):
            await say(engine, claimed.log, *(f"{number} {each}" for each in range(100)))
            await fast.until(claimed.log.last_seq)
            if number % 20 == 0:
                await engine.runtime.execution.report([claimed.log])
                await engine.runtime.execution.trim([claimed.log])
        await finish(engine, claimed)
        assert await fast.ended() == list(range(1, 10_004))
        async for stretch in slow:
            seen += [event.seq for event in stretch.events]
        assert seen == list(range(1, 10_004))

    async def test_p05_reconnects_and_lost_subscriptions_leave_each_event_once(
        self, engine: Engine, servers: Servers, redis_url: str
    ):
        dice = random.Random(5)
        claimed = await engine.claimed(await engine.worker())
        watches = [servers.watch(number % 2, claimed.task.id) for number in range(8)]
        async with Redis.from_url(redis_url) as redis:
            for number in range(40):
                await say(engine, claimed.log, *(f"{number} {each}" for each in range(dice.randrange(1, 5))))
                if dice.random() < 0.2:
                    await engine.runtime.execution.report([claimed.log])
                    await engine.runtime.execution.trim([claimed.log])
                if number % 8 == 3:
                    await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                if number == 20:
                    await redis.flushdb()
                await dice.choice(watches).move(dice.choice(servers))
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await finish(engine, claimed)
        last = (await engine.get(claimed.task.id)).last_seq
        for watch in watches:
            assert await watch.ended() == list(range(1, last + 1))

    async def test_p05_not_one_notice_comes_and_all_events_do(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        watch = servers.watch(1, claimed.task.id)
        unheard = await engine.another(redis_prefix="elsewhere:")
        for number in range(3):
            claimed.log.add_log(line(f"{number}"))
            claimed.log.number()
            await unheard.execution.send([claimed.log])
            await unheard.execution.report([claimed.log])
            await watch.until(number + 3)
        await unheard.execution.finish(claimed.log, Ended(output={}))
        assert await watch.ended() == [1, 2, 3, 4, 5, 6]

    async def test_p05_what_an_ousted_worker_still_says_is_not_shown(
        self, engine: Engine, servers: Servers, redis_url: str
    ):
        old = await engine.claimed(await engine.worker())
        watch = servers.watch(1, old.task.id)
        await say(engine, old.log, "in time")
        async with asyncio.timeout(SECONDS):
            while not await engine.runtime.sweeper.lose_workers():
                await asyncio.sleep(0.1)
        await engine.runtime.sweeper.take_over()
        async with asyncio.timeout(SECONDS):
            while not await engine.runtime.promotion.due():
                await asyncio.sleep(0.1)
        (new,) = await engine.runtime.execution.claim([old.task.id], await engine.worker(), {"probe.echo": 1})
        await say(engine, new.log, "mine")
        await watch.until(new.log.last_seq)
        # Even where Redis has forgotten that the old attempt was ended.
        async with Redis.from_url(redis_url) as redis:
            await redis.flushdb()
        await say(engine, old.log, *(f"too late {number}" for number in range(9)))
        await say(engine, new.log, "mine too")
        await finish(engine, new)
        await watch.ended()
        texts = [event.body["text"] for event in watch.events if event.kind is EventKind.LOG]
        assert texts == ["in time", "mine", "mine too"]

    async def test_p05_what_is_not_kept_any_more_is_told_by_a_gap(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        for number in range(4):
            await say(engine, claimed.log, f"{number}")
            await engine.runtime.execution.report([claimed.log])
        await finish(engine, claimed)
        gone = delete(task_event).where(
            task_event.c.task_id == claimed.task.id, task_event.c.to_seq.in_([1, 4, 5])
        )
        await engine.runtime.db.write(lambda tx: tx.execute(gone))
        watch = servers.watch(0, claimed.task.id)
        await watch.ended()
        assert [(event.first_seq, event.seq) for event in watch.events] == [
            (1, 1),
            (2, 2),
            (3, 3),
            (4, 5),
            (6, 6),
            (7, 7),
        ]
        gaps = [
            (event.body["from_seq"], event.body["to_seq"])
            for event in watch.events
            if event.kind is EventKind.GAP
        ]
        assert gaps == [(1, 1), (4, 5)]

    async def test_a_removed_task_is_not_found(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        watch = servers.watch(0, claimed.task.id)
        await watch.until(2)
        await engine.runtime.db.write(lambda tx: repository.remove(tx, [claimed.task.id]))
        with pytest.raises(NotFound):
            await watch.ended()

    async def test_p14_hundreds_open_at_once_though_the_database_has_few_connections(
        self, engine: Engine, servers: Servers
    ):
        worker = await engine.worker()
        held = [await engine.claimed(worker) for _ in range(20)]
        for each in held:
            await say(engine, each.log, "a", "b")
        watches = [servers.watch(0, each.task.id, 1 + number % 4) for each in held for number in range(15)]
        for watch in watches:
            await watch.until(4)
        # The database answers others meanwhile.
        await engine.get(held[0].task.id)
        for each in held:
            await finish(engine, each)
        for number, watch in enumerate(watches):
            assert await watch.ended() == list(range(1 + number % 15 % 4, 6))


class TestWait:
    async def test_returns_when_the_task_has_ended(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        waiting = asyncio.create_task(servers[1].hub.wait_ended(claimed.task.id, 60))
        await finish(engine, claimed)
        async with asyncio.timeout(10):
            await waiting

    async def test_returns_when_the_time_is_over(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        async with asyncio.timeout(10):
            await servers[0].hub.wait_ended(claimed.task.id, 0.2)

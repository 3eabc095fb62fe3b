"""Live events in a real Redis: what is kept and told, and what a writer that has lost its task can't do."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis, from_url
from redis.exceptions import RedisError

from weir_core.events import Announced, LiveEvents
from weir_core.tasks.events import RESERVE, AttemptLog, Event, EventKind, state_body
from weir_core.tasks.states import TaskState

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def attempt_log() -> AttemptLog:
    first = Event(2, 1, NOW, EventKind.STATE, state_body(TaskState.QUEUED, TaskState.RUNNING))
    return AttemptLog(uuid4(), 1, first, RESERVE)


def say(log: AttemptLog, *texts: str) -> None:
    for text in texts:
        log.add_log({"level": 2, "source": 1, "text": text, "fields": {}})
    log.number()


def numbers(events: list[Event]) -> list[int]:
    return [event.seq for event in events]


@pytest.fixture
async def redis(redis_url: str) -> AsyncGenerator["Redis"]:
    async with from_url(redis_url, protocol=2, socket_timeout=5) as client:
        yield client


@pytest.fixture
def live(redis: "Redis") -> LiveEvents:
    return LiveEvents(redis, "test:")


def _name(task_id: UUID) -> bytes:
    return str(task_id).encode()


class Told:
    """What servers are told."""

    def __init__(self, live: LiveEvents) -> None:
        self.heard: list[Announced] = []
        self._live = live
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for announced in self._live.announcements():
            self.heard.append(announced)

    async def ready(self) -> None:
        """Wait until the subscription stands."""
        probe = uuid4()
        async with asyncio.timeout(20):
            while not any(each.name == _name(probe) for each in self.heard):
                await self._live.announce({probe: [Event(1, 0, NOW, EventKind.LOG, {})]})
                await asyncio.sleep(0.02)

    async def of(self, task_id: UUID) -> list[Announced]:
        """What was told of a task, once all that was sent has come."""
        await self.ready_again()
        return [each for each in self.heard if each.name == _name(task_id)]

    async def ready_again(self) -> None:
        mark = uuid4()
        await self._live.announce({mark: [Event(1, 0, NOW, EventKind.LOG, {})]})
        async with asyncio.timeout(20):
            while not any(each.name == _name(mark) for each in self.heard):
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def told(live: LiveEvents) -> AsyncGenerator[Told]:
    told = Told(live)
    await told.ready()
    yield told
    await told.stop()


class TestAppend:
    async def test_what_is_kept_is_told_in_the_same_step(self, live: LiveEvents, told: Told):
        log = attempt_log()
        say(log, "a", "b")
        await live.append([log])
        say(log, "c")
        await live.append([log])
        await live.append([log])
        heard = await told.of(log.task_id)
        assert [numbers(each.stretch().events) for each in heard] == [[2, 3, 4], [5]]
        assert [each.changes for each in heard] == [True, False]
        assert await live.read(log.task_id, 1, 3) == (log.everything()[1:], True)

    async def test_many_logs_go_in_one_turn(self, live: LiveEvents):
        logs = [attempt_log() for _ in range(50)]
        for log in logs:
            say(log, "a")
        await live.append(logs)
        for log in logs:
            events, _ = await live.read(log.task_id, 1, 1)
            assert numbers(events) == [2, 3]
            assert log.unsent() == []

    async def test_no_entry_is_larger_than_a_message(self, live: LiveEvents, told: Told):
        log = attempt_log()
        say(log, *("x" * 10_000 for _ in range(30)), *("y" for _ in range(250)))
        await live.append([log])
        stretches = [each.stretch() for each in await told.of(log.task_id)]
        assert all(len(each.events) <= 100 for each in stretches)
        assert all(each.size <= 66_000 for each in stretches)
        assert [seq for each in stretches for seq in numbers(each.events)] == list(range(2, 283))

    async def test_a_lost_stream_gets_all_that_is_kept(self, live: LiveEvents, redis: Any):
        log = attempt_log()
        say(log, "a", "b")
        await live.append([log])
        await redis.flushdb()
        say(log, "c")
        await live.append([log])
        assert numbers((await live.read(log.task_id, 1, 1))[0]) == [2, 3, 4, 5]

    async def test_what_redis_has_no_room_for_is_sent_later(self, live: LiveEvents, redis: Any, told: Told):
        log = attempt_log()
        say(log, "a")
        await redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(RedisError):
                await live.append([log])
        finally:
            await redis.config_set("maxmemory", 0)
        assert numbers(log.unsent()) == [2, 3]
        await live.append([log])
        assert [numbers(each.stretch().events) for each in await told.of(log.task_id)] == [[2, 3]]


class TestSeal:
    async def test_p02_a_sealed_stream_takes_nothing_and_nobody_is_told(self, live: LiveEvents, told: Told):
        log = attempt_log()
        say(log, "in time")
        await live.append([log])
        tail = await live.seal(log.task_id, 1, 1, NOW)
        assert (numbers(tail.events), tail.whole) == ([2, 3], True)
        say(log, "too late")
        await live.append([log])
        assert numbers((await live.read(log.task_id, 1, 1))[0]) == [2, 3]
        assert [numbers(each.stretch().events) for each in await told.of(log.task_id)] == [[2, 3]]

    async def test_p02_nor_does_an_emptied_one(self, live: LiveEvents, told: Told):
        log = attempt_log()
        await live.append([log])
        await live.seal(log.task_id, 1, 1, NOW)
        await live.empty(log.task_id, 1)
        say(log, "too late")
        await live.append([log])
        assert await live.read(log.task_id, 1, 1) == ([], True)
        assert len(await told.of(log.task_id)) == 1

    async def test_of_a_lost_one_the_end_is_not_known(self, live: LiveEvents, redis: Any):
        log = attempt_log()
        await live.append([log])
        await redis.flushdb()
        tail = await live.seal(log.task_id, 1, 1, NOW)
        assert (tail.events, tail.whole) == ([], False)

    async def test_a_trimmed_one_is_whole(self, live: LiveEvents):
        log = attempt_log()
        say(log, "a")
        await live.append([log])
        log.archived(3, RESERVE)
        await live.trim([log])
        tail = await live.seal(log.task_id, 1, 3, NOW)
        assert (tail.events, tail.whole) == ([], True)


async def test_what_is_not_weirs_on_the_channel_is_passed_over(live: LiveEvents, told: Told, redis: Any):
    await redis.publish("test:live", b"x")
    await redis.publish("test:live", b"")
    log = attempt_log()
    await live.append([log])
    assert len(await told.of(log.task_id)) == 1

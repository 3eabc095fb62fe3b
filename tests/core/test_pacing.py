"""A pace is kept by all processes together, and by each alone while Redis is away."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest
from redis.asyncio import Redis

from weir_core.pacing import Pacing, Turn
from weir_core.redis import connect

PREFIX = "weir:"


@pytest.fixture
async def clients(redis_url: str) -> AsyncGenerator[list["Redis"]]:
    made = [connect(redis_url) for _ in range(3)]
    yield made
    for each in made:
        await each.aclose()


async def begun(turn: Turn, number: int) -> list[float]:
    """When so many requests began that were made as fast as the pace lets them."""
    times: list[float] = []
    for _ in range(number):
        await asyncio.sleep(await turn())
        times.append(time.monotonic())
    return times


async def test_several_processes_keep_it_together(clients: list["Redis"]):
    turns = [Pacing(client, PREFIX).of("connection/a", 3000) for client in clients]
    found = await asyncio.gather(*[begun(turn, 20) for turn in turns if turn])
    times = sorted(time for each in found for time in each)
    assert len(times) == 60
    # 59 intervals of 20 ms lie between them; waking up late brings two nearer to each other.
    assert times[-1] - times[0] >= 59 * 0.02 - 0.01
    assert max(len([one for one in times if at <= one < at + 0.2]) for at in times) <= 12


async def test_who_was_idle_saves_up_nothing(clients: list["Redis"]):
    turn = Pacing(clients[0], PREFIX).of("connection/a", 6000)
    assert turn is not None
    assert await turn() == 0
    await asyncio.sleep(0.1)
    waits = [await turn() for _ in range(3)]
    assert waits[0] == 0
    assert 0 < waits[1] < waits[2] < 0.02


async def test_other_names_have_a_pace_of_their_own(clients: list["Redis"]):
    pacing = Pacing(clients[0], PREFIX)
    for name in ("connection/a", "connection/b"):
        turn = pacing.of(name, 1)
        assert turn is not None
        assert await turn() == 0
        assert 59 < await turn() <= 60


async def test_it_is_gone_from_redis_when_it_is_of_no_use(clients: list["Redis"]):
    turn = Pacing(clients[0], PREFIX).of("connection/a", 6000)
    assert turn is not None
    await turn()
    assert 0 < await clients[0].pttl(f"{PREFIX}pace:connection/a") <= 1010


async def test_without_redis_a_process_keeps_it_alone():
    client = connect("redis://127.0.0.1:1/0")
    turn = Pacing(client, "nowhere:").of("connection/a", 600)
    assert turn is not None
    waits = [await turn() for _ in range(3)]
    await client.aclose()
    assert waits[0] == 0
    assert 0.05 < waits[1] <= 0.1 < waits[2] <= 0.2


async def test_no_limit_is_no_turn(clients: list["Redis"]):
    assert Pacing(clients[0], "").of("connection/a", 0) is None

"""When silence of a worker is told from silence of the database."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from weir_core.errors import DependencyDown
from weir_workers.scheduler.pulse import Pulse

_LEASE = 1.5


class Database:
    """Answers, or stalls, or refuses."""

    def __init__(self, *, others: bool = True) -> None:
        self.others = others
        self.answers = asyncio.Event()
        self.answers.set()
        self.refuses = False

    async def beat(self) -> bool:
        await self.answers.wait()
        if self.refuses:
            raise DependencyDown("db")
        return self.others


@asynccontextmanager
async def felt(database: Database) -> AsyncGenerator[Pulse]:
    pulse = Pulse(database.beat, _LEASE)
    running = asyncio.create_task(pulse.run())
    yield pulse
    running.cancel()


async def seconds_until_steady(pulse: Pulse) -> float:
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(30):
        while not pulse.steady():
            await asyncio.sleep(0.01)
    return asyncio.get_running_loop().time() - began


async def test_steady_at_once_where_another_scheduler_has_been_looking():
    async with felt(Database()) as pulse:
        assert not pulse.steady()
        assert await seconds_until_steady(pulse) < _LEASE


async def test_the_first_one_waits_a_lease():
    async with felt(Database(others=False)) as pulse:
        assert await seconds_until_steady(pulse) >= _LEASE


async def test_after_a_stall_it_waits_a_lease():
    database = Database()
    async with felt(database) as pulse:
        await seconds_until_steady(pulse)
        database.answers.clear()
        async with asyncio.timeout(30):
            while pulse.steady():
                await asyncio.sleep(0.01)
        database.answers.set()
        assert await seconds_until_steady(pulse) >= _LEASE


async def test_after_refusals_it_waits_a_lease():
    database = Database()
    async with felt(database) as pulse:
        await seconds_until_steady(pulse)
        database.refuses = True
        async with asyncio.timeout(30):
            while pulse.steady():
                await asyncio.sleep(0.01)
        database.refuses = False
        assert await seconds_until_steady(pulse) >= _LEASE

"""Parts of a source are read at the same time, told in order, and hold no more than they may."""

import asyncio
from collections.abc import AsyncGenerator

import pyarrow as pa
import pytest

from weir_core.datasets.commits import Counts
from weir_workers.connectors.contract import Batch, Item
from weir_workers.connectors.errors import SourceError
from weir_workers.tasks.side_by_side import Read, parts_of

ROWS = 1000
BATCH = pa.record_batch({"id": pa.array(range(ROWS), pa.int64())})


class Sources:
    """Parts of so many batches each, that note what is done with them."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.read = [0] * len(sizes)
        self.open: set[int] = set()
        self.most_open = 0
        self.failing: dict[int, int] = {}
        self.stuck: set[int] = set()

    def reads(self) -> list[Read]:
        return [lambda number=number: self._read(number) for number in range(len(self.sizes))]

    async def _read(self, number: int) -> AsyncGenerator[Item]:
        self.open.add(number)
        self.most_open = max(self.most_open, len(self.open))
        try:
            for batch in range(self.sizes[number]):
                if self.failing.get(number) == batch:
                    raise SourceError("DEPENDENCY", f"part {number} is broken")
                if number in self.stuck:
                    await asyncio.Event().wait()
                await asyncio.sleep(0)
                self.read[number] += 1
                yield Batch(BATCH, {"part": number, "batch": batch}, Counts(ROWS))
        finally:
            # What closes a connection takes a turn of the loop.
            await asyncio.sleep(0)
            self.open.discard(number)


async def all_of(
    sources: Sources, at_a_time: int, told: list[tuple[int, int]] | None = None
) -> list[tuple[int, int]]:
    told = [] if told is None else told
    async with parts_of(sources.reads(), at_a_time) as parts:
        async for part in parts:
            while await part.ready(10.0) and (item := part.take()) is not None:
                assert isinstance(item, Batch)
                told.append((item.position["part"], item.position["batch"]))
    return told


async def test_parts_come_in_order_though_they_are_read_together():
    sources = Sources(5, 0, 3, 8, 1)
    told = await all_of(sources, 3)
    assert told == [(part, batch) for part, size in enumerate(sources.sizes) for batch in range(size)]
    assert sources.most_open == 3
    assert not sources.open


async def test_one_at_a_time_opens_no_second_one():
    sources = Sources(4, 4, 4)
    assert len(await all_of(sources, 1)) == 12
    assert sources.most_open == 1


async def test_what_is_read_ahead_has_a_bound():
    sources = Sources(50, 50, 50)
    async with parts_of(sources.reads(), 3, 10 * (BATCH.nbytes + 1024)) as parts:
        part = await anext(parts)
        assert await part.ready(10.0)
        while sources.read[1] < 10 or sources.read[2] < 10:
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0)
        # The part whose turn it is is one batch ahead.
        assert sources.read == [1, 10, 10]
    assert not sources.open


async def test_a_part_that_fails_before_its_turn_is_told_at_its_turn():
    sources = Sources(20, 20, 20)
    sources.failing[1] = 2
    told: list[tuple[int, int]] = []
    with pytest.raises(SourceError, match="part 1 is broken"):
        await all_of(sources, 3, told)
    assert [part for part, _ in told] == [0] * 20 + [1] * 2
    assert not sources.open


async def test_waiting_for_a_silent_part_has_a_limit_and_an_end():
    sources = Sources(1, 1)
    sources.stuck = {0}
    async with parts_of(sources.reads(), 2) as parts:
        part = await anext(parts)
        assert not await part.ready(0.01)
    assert not sources.open

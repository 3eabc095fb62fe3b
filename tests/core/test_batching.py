"""Batches: at once for one alone, together for many, and each member's fate its own."""

import asyncio
from collections.abc import Sequence

import pytest

from weir_core.batching import Batcher
from weir_core.errors import Conflict, DependencyDown


class Doing:
    """What is done with batches: doubles numbers, as fast as the gate lets it."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        await self.gate.wait()
        if 13 in items:
            raise Conflict("met")
        if 99 in items:
            raise DependencyDown("db")
        return [2 * item for item in items]


async def held(batcher: Batcher[int, int], doing: Doing) -> asyncio.Task[int]:
    """A first batch that is on its way."""
    doing.gate.clear()
    first = asyncio.create_task(batcher.ask(1))
    await doing.begun.wait()
    return first


async def test_one_alone_is_done_at_once():
    doing = Doing()
    assert await Batcher(doing).ask(4) == 8
    assert doing.batches == [[4]]


async def test_what_comes_meanwhile_goes_together_each_with_its_own_result():
    doing = Doing()
    batcher = Batcher(doing)
    first = await held(batcher, doing)
    asked = [asyncio.create_task(batcher.ask(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    doing.gate.set()
    assert [await each for each in (first, *asked)] == [2, 4, 6, 8]
    assert doing.batches == [[1], [2, 3, 4]]


async def test_a_batch_has_a_largest_size():
    doing = Doing()
    batcher = Batcher(doing, most=2)
    assert await asyncio.gather(*(batcher.ask(number) for number in range(5))) == [0, 2, 4, 6, 8]
    assert doing.batches == [[0, 1], [2, 3], [4]]


async def test_a_bad_member_fails_alone():
    doing = Doing()
    batcher = Batcher(doing)
    results = await asyncio.gather(*(batcher.ask(number) for number in (5, 13, 6)), return_exceptions=True)
    assert results[0::2] == [10, 12]
    assert isinstance(results[1], Conflict)
    assert doing.batches == [[5, 13, 6], [5], [13], [6]]


async def test_an_outage_fails_all_without_asking_for_each():
    doing = Doing()
    batcher = Batcher(doing)
    results = await asyncio.gather(*(batcher.ask(number) for number in (5, 99, 6)), return_exceptions=True)
    assert all(isinstance(result, DependencyDown) for result in results)
    assert doing.batches == [[5, 99, 6]]
    assert await batcher.ask(7) == 14


async def test_a_callers_cancel_tears_no_batch():
    doing = Doing()
    batcher = Batcher(doing)
    first = await held(batcher, doing)
    others = [asyncio.create_task(batcher.ask(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    first.cancel()
    others[0].cancel()
    await asyncio.sleep(0)
    doing.gate.set()
    assert await others[1] == 6
    with pytest.raises(asyncio.CancelledError):
        await first
    # Who left before the batch began is left out of it.
    assert doing.batches == [[1], [3]]

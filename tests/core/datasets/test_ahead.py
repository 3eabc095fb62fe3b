"""A generator that is stepped in a thread, ahead of who uses it."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import aclosing

import pytest

from weir_core.datasets.ahead import ahead


class Steps:
    """Numbers from 0 on without end, each waiting until it is let through."""

    def __init__(self, *, open: bool = True) -> None:  # noqa: A002 - like a gate
        self.made = 0
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.closed = threading.Event()
        if open:
            self.gate.set()

    def run(self) -> Generator[int]:
        try:
            while True:
                self.begun.set()
                self.gate.wait(10)
                self.made += 1
                yield self.made - 1
        finally:
            self.closed.set()


async def test_one_step_is_made_ahead_and_no_more():
    steps = Steps()
    async with aclosing(ahead(steps.run())) as numbers:
        assert [await anext(numbers) for _ in range(3)] == [0, 1, 2]
        # Time for more, if there were nothing to hold it back.
        await asyncio.sleep(0.05)
        assert steps.made == 4


async def test_who_goes_has_the_file_closed_at_once():
    steps = Steps()
    async with aclosing(ahead(steps.run())) as numbers:
        await anext(numbers)
    assert await asyncio.to_thread(steps.closed.wait, 5)
    assert steps.made <= 2


async def test_who_goes_in_the_middle_of_a_step_has_the_file_closed_at_its_end():
    steps = Steps(open=False)
    taking = asyncio.create_task(_first(steps))
    await asyncio.to_thread(steps.begun.wait, 5)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert not steps.closed.is_set()
    steps.gate.set()
    assert await asyncio.to_thread(steps.closed.wait, 5)
    assert steps.made == 1


async def test_what_a_step_raises_comes_to_who_waits():
    def broken() -> Generator[int]:
        yield 1
        raise FileNotFoundError

    numbers = ahead(broken())
    assert await anext(numbers) == 1
    with pytest.raises(FileNotFoundError):
        await anext(numbers)


async def _first(steps: Steps) -> int:
    async with aclosing(ahead(steps.run())) as numbers:
        return await anext(numbers)

"""Reads the parts of a source at the same time, and gives what they hold part after part.

The part whose turn it is reads one item ahead. The others read until they hold
so many bytes, and wait there for their turn; what one of them fails with is
told at its turn, when all before it is committed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final, TypeAlias

from weir_core.datasets.commits import Reject
from weir_workers.connectors.contract import Batch, Item

AHEAD_BYTES: Final = 32 * 1024 * 1024
"""Rows and rejects that a part may hold before its turn, and one batch more."""

# What an item takes besides; of those without rows there must not be any number either.
_ITEM_BYTES: Final = 1024

Read: TypeAlias = Callable[[], AsyncGenerator[Item]]


class Part:
    """A part that is being read, and what has come of it."""

    def __init__(self, read: Read, most: int) -> None:
        self._held: deque[Item] = deque()
        self._bytes = 0
        self._most = most
        self._came, self._room = asyncio.Event(), asyncio.Event()
        self._reading = asyncio.create_task(self._gather(read()))
        self._reading.add_done_callback(lambda _: self._came.set())

    def begin(self) -> None:
        """Its turn has come."""
        self._most = 0

    async def ready(self, seconds: float | None) -> bool:
        """Waits for an item or the end; False if neither comes in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> Item | None:
        """The next item, once it is ready; None at the end. Raises what the reading failed with."""
        if not self._held:
            return self._reading.result()
        item = self._held.popleft()
        self._bytes -= _size(item)
        if not self._held and not self._reading.done():
            self._came.clear()
        self._room.set()
        return item

    async def stop(self) -> None:
        """Ends the reading; its connections are closed afterwards."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _gather(self, items: AsyncGenerator[Item]) -> None:
        async with aclosing(items):
            async for item in items:
                self._held.append(item)
                self._bytes += _size(item)
                self._came.set()
                while self._held and self._bytes >= self._most:
                    self._room.clear()
                    await self._room.wait()


@asynccontextmanager
async def parts_of(
    reads: Sequence[Read], at_a_time: int, most: int = AHEAD_BYTES
) -> AsyncGenerator[AsyncIterator[Part]]:
    """Begins to read; gives the parts one by one, each when it is its turn. All are stopped at the end."""
    begun: deque[Part] = deque()

    async def in_turn() -> AsyncGenerator[Part]:
        waiting = deque(reads)
        while waiting or begun:
            while waiting and len(begun) < at_a_time:
                begun.append(Part(waiting.popleft(), most))
            begun[0].begin()
            yield begun[0]
            await begun.popleft().stop()

    try:
        async with aclosing(in_turn()) as parts:
            yield parts
    finally:
        for part in begun:
            await part.stop()


def _size(item: Item) -> int:
    match item:
        case Batch():
            return _ITEM_BYTES + item.records.nbytes
        case Reject():
            return _ITEM_BYTES + len(item.raw)
        case _:
            return _ITEM_BYTES

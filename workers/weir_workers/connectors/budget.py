"""How fast and how much at a time one connection is asked, over all that a process does with it.

The pace is that of all processes together, the rest is of this one. A source
that refuses for a while (429, 503) holds up all of them, and is then asked by
half as many at a time; each round of good answers lets one more in again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from weir_core.pacing import Turn
from weir_workers.connectors.clock import Clock

_LONGEST_HOLD = 900.0


class Budget:
    """Turns to ask, one a request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._most = self._now_most = 1
        self._turn: Turn | None = None
        self._pacing = asyncio.Lock()
        self._busy = 0
        self._good = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._not_before = self._lowered = clock.now()

    def allow(self, most: int, turn: Turn | None) -> None:
        """Sets how many may be under way, and the pace (None: any); the last word counts."""
        self._now_most = most if self._now_most == self._most else min(self._now_most, most)
        self._most = most
        self._turn = turn
        self._wake()

    @property
    def held(self) -> float:
        """Seconds until the source may be asked again; 0: now."""
        return max(0.0, self._not_before - self._clock.now())

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[float]:
        """Waits until one more request may begin, and counts it as under way; gives the time it began."""
        await self._room()
        try:
            await self._pace()
            yield self._clock.now()
        finally:
            self._busy -= 1
            self._wake()

    def hold(self, seconds: float) -> None:
        """Nobody asks for so long; at most a quarter of an hour."""
        self._not_before = max(self._not_before, self._clock.now() + min(seconds, _LONGEST_HOLD))

    def refused(self, begun: float) -> None:
        """The source has enough: half as many at a time, once for all that were under way together."""
        if begun >= self._lowered:
            self._now_most = max(1, min(self._now_most, self._busy) // 2)
            self._lowered, self._good = self._clock.now(), 0

    def answered(self) -> None:
        """The source is well: one more at a time after each round."""
        self._good += 1
        if self._now_most < self._most and self._good >= self._now_most:
            self._now_most, self._good = self._now_most + 1, 0
            self._wake()

    async def _room(self) -> None:
        while self._busy >= self._now_most:
            place = asyncio.get_running_loop().create_future()
            self._line.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if not place.cancelled():
                    self._wake()
                raise
        self._busy += 1

    async def _pace(self) -> None:
        if self._turn is not None:
            # One waits for a turn at a time: who gives up costs one turn and not a row of them.
            async with self._pacing:
                if (wait := await self._turn()) > 0:
                    await self._clock.sleep(wait)
        while (left := self.held) > 0:
            await self._clock.sleep(left)

    def _wake(self) -> None:
        for _ in range(max(0, self._now_most - self._busy)):
            while self._line and self._line[0].done():
                self._line.popleft()
            if not self._line:
                return
            self._line.popleft().set_result(None)

"""The time between requests, in one place, so that a test can stand for it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What is waited by."""

    def now(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns so many seconds later."""
        ...


class RealClock:
    """The machine's own."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


REAL = RealClock()

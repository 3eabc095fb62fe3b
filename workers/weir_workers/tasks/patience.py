"""Waiting for the database: a run outlives an outage of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from weir.task import TaskFailure
from weir_core.errors import Conflict, DependencyDown

T = TypeVar("T")

_SECONDS: Final = 120.0
_PAUSE: Final = 0.5


async def patiently(
    call: Callable[[], Awaitable[T]], *, seconds: float = _SECONDS, pause: float = _PAUSE
) -> T:
    """What a repeatable call answers, once the database does; after that long the task's retry waits."""
    until = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except (DependencyDown, Conflict) as error:
            if time.monotonic() + pause > until:
                raise TaskFailure("DEPENDENCY", error.message, code="db") from error
        await asyncio.sleep(pause)

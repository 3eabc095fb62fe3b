"""Steps a blocking generator in a thread, one step ahead of who uses what it gives."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Generic, TypeVar

from weir_core.stores.threads import THREADS

T = TypeVar("T")


async def ahead(steps: Generator[T]) -> AsyncGenerator[T]:
    """What the generator gives. Who closes this early has at most one more step made."""
    loop = asyncio.get_running_loop()
    stepping = _Stepping(steps)
    coming = loop.run_in_executor(THREADS, stepping.next)
    try:
        while (found := await coming) is not None:
            coming = loop.run_in_executor(THREADS, stepping.next)
            yield found
    finally:
        coming.cancel()
        stepping.close()


class _Stepping(Generic[T]):
    """A generator that one thread steps and another may close, whichever state it is in."""

    def __init__(self, steps: Generator[T]) -> None:
        self._steps = steps
        self._lock = threading.Lock()
        self._closed = False

    def next(self) -> T | None:
        with self._lock:
            found = None if self._closed else next(self._steps, None)
            if self._closed:
                self._steps.close()
            return found

    def close(self) -> None:
        """Closes what it holds open; while a step is under way that step does it at its end."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            self._steps.close()
            self._lock.release()

"""Does together what many callers ask for at the same time.

    one caller alone     asked ─► done at once
    many                 while one batch is done, the next one gathers

Nobody waits for others to come: a batch is what came while the one before was
on its way. It is done by a task of its own, so that no caller's cancel can tear
it. Where a batch fails, its members are done one by one, and a bad or locked
one fails alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from redis.exceptions import RedisError

from weir_core.errors import DependencyDown, Draining

K = TypeVar("K")
V = TypeVar("V")


class Batcher(Generic[K, V]):
    """Callers' items, done in batches; as many wait as there are callers, each for its own."""

    def __init__(self, do: Callable[[Sequence[K]], Awaitable[Sequence[V]]], *, most: int = 128) -> None:
        self._do = do
        self._most = most
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, item: K) -> V:
        """What `do` gives for the item; its error where it fails for this one alone."""
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            # What the first caller has around it, such as its request's id, is not the batch's.
            self._running = asyncio.create_task(self._run(), context=Context())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._most]
                del self._waiting[: self._most]
                await self._together([each for each in batch if not each[1].done()])
        finally:
            self._running = None
            # Something is left only where this task was cancelled, with the process that it runs in.
            _fail(self._waiting, Draining("this process ends"))
            self._waiting.clear()

    async def _together(self, batch: list[tuple[K, asyncio.Future[V]]]) -> None:
        if not batch:
            return
        try:
            results = await self._do([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers' to see
            if len(batch) == 1 or isinstance(error, DependencyDown | RedisError | OSError):
                _fail(batch, error)
                return
            for each in batch:
                await self._together([each])
            return
        except BaseException:
            _fail(batch, Draining("this process ends"))
            raise
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


def _fail(batch: list[tuple[K, asyncio.Future[V]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)

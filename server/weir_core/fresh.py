"""Values that may be a little old: read once for all who ask at the same time, and kept for a moment."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Fresh(Generic[K, V]):
    """A bounded cache whose values are never older than `seconds`; None is not kept."""

    def __init__(
        self, load: Callable[[K], Awaitable[V | None]], *, seconds: float, size: int = 10_000
    ) -> None:
        self._load = load
        self._seconds = seconds
        self._size = size
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._loading: dict[K, asyncio.Task[V | None]] = {}

    async def get(self, key: K) -> V | None:
        """The value of a key, loaded where there is none young enough."""
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept[0] < self._seconds:
            self._kept.move_to_end(key)
            return kept[1]
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(lambda done: self._loaded(key, done))
        # One caller's cancel must not fail the others.
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Drop a value that this process changed."""
        self._kept.pop(key, None)
        self._loading.pop(key, None)

    async def _fetch(self, key: K) -> V | None:
        # The age counts from before the read: what changed during it must show in time.
        started = time.monotonic()
        value = await self._load(key)
        if self._loading.get(key) is asyncio.current_task():
            self._keep(key, started, value)
        return value

    def _keep(self, key: K, started: float, value: V | None) -> None:
        if value is None:
            self._kept.pop(key, None)
            return
        self._kept[key] = (started, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def _loaded(self, key: K, task: asyncio.Task[V | None]) -> None:
        if self._loading.get(key) is task:
            del self._loading[key]
        if not task.cancelled():
            task.exception()

"""Watches: many watchers, one subscription a process.

A watcher reads history first (archive, then the live stream), and then what is
announced, as long as no number is missing; where one is, it reads history
again. Its buffer is bounded: who is slow loses the buffer, not the events. Once
a second one query asks for the state of all that is watched, so that a lost
announcement costs no more than that.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError

from weir_core.batching import Batcher
from weir_core.db import Database
from weir_core.errors import WeirError
from weir_core.events import LiveEvents
from weir_core.tasks import hot_repository, repository
from weir_core.tasks.events import Event, EventKind, contiguous, gap_body
from weir_core.tasks.repository import Head
from weir_core.tasks.states import TERMINAL, TaskState

_log = logging.getLogger(__name__)

_BUFFER: Final = 1000
_POLL_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 10.0
_BATCH: Final = 500


class _Watcher:
    """What one watcher still has to be given."""

    def __init__(self, next_seq: int) -> None:
        self.next_seq = next_seq
        self.behind = True
        # The task has ended, and its last event lies before what this one asked for.
        self.over = False
        self.wake = asyncio.Event()
        self._buffer: deque[Event] = deque()

    def offer(self, events: list[Event]) -> None:
        """Take announced events; beyond the bound they are read from history later."""
        if len(self._buffer) + len(events) > _BUFFER:
            self.fall_behind()
            return
        self._buffer.extend(events)
        self.wake.set()

    def fall_behind(self) -> None:
        """Read history again."""
        self._buffer.clear()
        self.behind = True
        self.wake.set()

    def take(self) -> list[Event]:
        """The buffered events that follow without a hole; behind, where there is one."""
        buffered = list(self._buffer)
        self._buffer.clear()
        events = contiguous(buffered, self.next_seq)
        last = events[-1].seq if events else self.next_seq - 1
        if buffered and buffered[-1].seq > last:
            self.behind = True
        return events


class WatchHub:
    """The watchers of one process."""

    def __init__(self, db: Database, live: LiveEvents) -> None:
        self._db = db
        self._live = live
        self._heads = Batcher(self._read_heads)
        self._watchers: defaultdict[UUID, set[_Watcher]] = defaultdict(set)

    async def run(self) -> None:
        """Serve the watchers; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._poll())

    async def watch(self, task_id: UUID, from_seq: int) -> AsyncGenerator[list[Event]]:
        """All events from a number on, in order; an empty list where nothing came for 10 s.

        Ends after the task's last event.
        """
        with self._watching(task_id, max(from_seq, 1)) as watcher:
            self._compare([await self._heads.ask(task_id)])
            while True:
                watcher.wake.clear()
                events = await self._next(task_id, watcher)
                if events:
                    watcher.next_seq = events[-1].seq + 1
                    yield events
                    if events[-1].is_last:
                        return
                elif watcher.over:
                    return
                elif not watcher.behind and not await _woken(watcher, _QUIET_SECONDS):
                    yield []

    async def wait(self, task_id: UUID, seconds: float, done: Callable[[Head], bool]) -> None:
        """Return when the task's head is as wanted, or the time is over."""
        with self._watching(task_id, 1) as watcher:
            try:
                async with asyncio.timeout(seconds):
                    while not done(await self._heads.ask(task_id)):
                        watcher.wake.clear()
                        await _woken(watcher, _POLL_SECONDS)
            except TimeoutError:
                return

    @contextmanager
    def _watching(self, task_id: UUID, from_seq: int) -> Generator[_Watcher]:
        watcher = _Watcher(from_seq)
        self._watchers[task_id].add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[task_id].discard(watcher)
            if not self._watchers[task_id]:
                del self._watchers[task_id]

    async def _next(self, task_id: UUID, watcher: _Watcher) -> list[Event]:
        if not watcher.behind:
            return watcher.take()
        watcher.behind = False
        events = await self._archived(task_id, watcher.next_seq)
        if not events:
            events = await self._running(task_id, watcher.next_seq)
        # There may be more history than one read gives.
        watcher.behind = watcher.behind or bool(events)
        return events

    async def _archived(self, task_id: UUID, from_seq: int) -> list[Event]:
        async with self._db.read() as tx:
            events = await hot_repository.read_events(tx, task_id, from_seq)
        if events and events[0].first_seq > from_seq:
            body = gap_body(from_seq, events[0].first_seq - 1, "retention")
            gap = Event(events[0].first_seq - 1, 0, datetime.now(UTC), EventKind.GAP, body)
            return [gap, *contiguous(events, events[0].first_seq)]
        return contiguous(events, from_seq)

    async def _running(self, task_id: UUID, from_seq: int) -> list[Event]:
        head = await self._heads.ask(task_id)
        if head.attempt == 0 or head.state in TERMINAL:
            return []
        try:
            return contiguous(await self._live.read(task_id, head.attempt, from_seq), from_seq)
        except (RedisError, OSError):
            return []

    async def _read_heads(self, task_ids: Sequence[UUID]) -> list[Head]:
        async with self._db.read() as tx:
            found = {head.id: head for head in await repository.heads(tx, sorted(set(task_ids)))}
        # One that was removed meanwhile had ended, and tells no more.
        gone = [Head(task_id, TaskState.CANCELLED, 0, 0, cancelled=False) for task_id in task_ids]
        return [found.get(head.id, head) for head in gone]

    async def _listen(self) -> None:
        while True:
            try:
                async for task_id, events in self._live.announcements():
                    for watcher in self._watchers.get(task_id, ()):
                        watcher.offer(events)
            except (RedisError, OSError) as error:
                _log.warning("live events stopped, watchers read the archive: %s", error)
            for watchers in self._watchers.values():
                for watcher in watchers:
                    watcher.fall_behind()
            await asyncio.sleep(_POLL_SECONDS)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            watched = list(self._watchers)
            try:
                for start in range(0, len(watched), _BATCH):
                    async with self._db.read() as tx:
                        heads = await repository.heads(tx, watched[start : start + _BATCH])
                    self._compare(heads)
            except WeirError as error:
                _log.warning("watchers wait: %s", error)

    def _compare(self, heads: list[Head]) -> None:
        for head in heads:
            for watcher in self._watchers.get(head.id, ()):
                if head.last_seq >= watcher.next_seq:
                    watcher.fall_behind()
                elif head.state in TERMINAL and watcher.next_seq > 1:
                    watcher.over = True
                    watcher.wake.set()


async def _woken(watcher: _Watcher, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await watcher.wake.wait()
    except TimeoutError:
        return False
    return True

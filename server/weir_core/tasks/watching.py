"""Watches: many watchers, one subscription a process.

A watcher is a number: the next event that it has to be given. What is announced
is kept for a moment, once for all watchers of a task; who wants a number that is
not there reads history (archive, then live stream), once for all who want the
same, a few at a time. So a slow watcher costs nothing while it does not read,
and misses nothing when it does. Once a second one query asks for the state of
all that is watched, so that a lost announcement costs no more than that, or, for
what a worker has not archived yet, two seconds more.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError

from weir_core.db import Database
from weir_core.errors import NotFound, WeirError
from weir_core.events import Announced, LiveEvents
from weir_core.tasks import repository
from weir_core.tasks.changes import ChangeFeed
from weir_core.tasks.events import Stretch, dump
from weir_core.tasks.history import History
from weir_core.tasks.recent import Recent
from weir_core.tasks.repository import Head
from weir_core.tasks.states import TERMINAL

_log = logging.getLogger(__name__)

_RECENT_BYTES: Final = 16 * 1024 * 1024
# History is read by so many at a time: the database serves calls besides.
_READERS: Final = 4
_POLL_SECONDS: Final = 1.0
_RECONNECT_SECONDS: Final = 0.2
_QUIET_SECONDS: Final = 9.5
_BATCH: Final = 500
_NEVER: Final = 2**63
_NOTHING: Final = Stretch([], 0)


class _Watcher:
    """One watcher: where it stands."""

    __slots__ = ("behind", "next_seq", "served", "wake")

    def __init__(self, next_seq: int) -> None:
        self.next_seq = next_seq
        self.behind = True
        self.served = time.monotonic()
        self.wake = asyncio.Event()


class _Topic:
    """A watched task: what is known of it."""

    def __init__(self, task_id: UUID) -> None:
        self.id = task_id
        self.watchers: set[_Watcher] = set()
        self.reads: dict[int, asyncio.Task[tuple[Stretch, bool]]] = {}
        self.known_seq = 0
        self.attempt = 0
        self.head: Head | None = None
        self.ended = False
        self.removed = False

    def hear(self, stretch: Stretch) -> None:
        """Take note of announced events."""
        last = stretch.events[-1]
        self.attempt = max(self.attempt, last.attempt)
        self.known_seq = max(self.known_seq, last.seq)
        self.ended = self.ended or last.is_last
        self.wake()

    def look(self, head: Head) -> None:
        """Take note of what the database says."""
        self.head = head
        self.attempt = max(self.attempt, head.attempt)
        self.known_seq = max(self.known_seq, head.last_seq)
        self.ended = self.ended or head.state in TERMINAL

    def wake(self) -> None:
        """Let all watchers look."""
        for watcher in self.watchers:
            watcher.wake.set()

    def wake_some(self) -> None:
        """Let those look that have something to come, or had nothing for long."""
        quiet = time.monotonic() - _QUIET_SECONDS
        for watcher in self.watchers:
            if self.ended or self.removed or watcher.next_seq <= self.known_seq or watcher.served < quiet:
                watcher.wake.set()

    def is_over(self, next_seq: int) -> bool:
        """True where the task has ended before that event."""
        return self.head is not None and self.head.state in TERMINAL and self.head.last_seq < next_seq


class WatchHub:
    """The watchers of tasks in one process; what changes is handed to those of many tasks as well."""

    def __init__(self, db: Database, live: LiveEvents, history: History, feed: ChangeFeed) -> None:
        self._db = db
        self._live = live
        self._history = history
        self._feed = feed
        self._topics: dict[bytes, _Topic] = {}
        self._recent = Recent(_RECENT_BYTES)
        self._readers = asyncio.Semaphore(_READERS)
        self._reads: set[asyncio.Task[tuple[Stretch, bool]]] = set()

    async def run(self) -> None:
        """Serve the watchers; until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._feed.run())
                group.create_task(self._poll())
        finally:
            # They outlive who asked for them, and must not outlive the connections to the database.
            await asyncio.gather(*self._reads, return_exceptions=True)

    async def watch(self, task_id: UUID, from_seq: int) -> AsyncGenerator[Stretch]:
        """All events from a number on, in order; an empty stretch where there is nothing for the moment.

        Ends after the task's last event. NotFound once the task was removed.
        """
        with self._watching(task_id, max(from_seq, 1)) as (topic, watcher):
            while True:
                watcher.wake.clear()
                stretch = await self._next(topic, watcher)
                watcher.served = time.monotonic()
                if stretch.events:
                    watcher.next_seq = stretch.last_seq + 1
                    yield stretch
                    if stretch.events[-1].is_last:
                        return
                elif not watcher.behind:
                    if topic.is_over(watcher.next_seq):
                        return
                    yield _NOTHING
                    await watcher.wake.wait()

    async def wait_ended(self, task_id: UUID, seconds: float) -> None:
        """Return when the task has ended, or the time is over. NotFound."""
        with self._watching(task_id, _NEVER) as (topic, watcher):
            try:
                async with asyncio.timeout(seconds):
                    if topic.head is None:
                        async with self._readers, self._db.read() as tx:
                            topic.look(await repository.head(tx, task_id))
                    while not topic.ended and not topic.removed:
                        watcher.wake.clear()
                        await watcher.wake.wait()
            except TimeoutError:
                return

    @contextmanager
    def _watching(self, task_id: UUID, from_seq: int) -> Generator[tuple[_Topic, _Watcher]]:
        name = str(task_id).encode()
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(task_id)
        watcher = _Watcher(from_seq)
        topic.watchers.add(watcher)
        try:
            yield topic, watcher
        finally:
            topic.watchers.discard(watcher)
            if not topic.watchers:
                del self._topics[name]

    async def _next(self, topic: _Topic, watcher: _Watcher) -> Stretch:
        """What follows; empty where nothing is to be had now."""
        recent = self._recent.get(topic.id, watcher.next_seq)
        if recent is not None:
            if len(topic.watchers) == 1:
                self._recent.drop(topic.id, watcher.next_seq)
            return recent
        if topic.removed:
            raise NotFound("task", topic.id)
        if not watcher.behind and topic.known_seq < watcher.next_seq:
            return _NOTHING
        stretch, whole = await self._read(topic, watcher.next_seq)
        watcher.behind = not whole
        return stretch

    async def _read(self, topic: _Topic, from_seq: int) -> tuple[Stretch, bool]:
        """Read history, once for all who want the same."""
        reading = topic.reads.get(from_seq)
        if reading is None:
            reading = topic.reads[from_seq] = asyncio.create_task(self._history_of(topic, from_seq))
            self._reads.add(reading)
            reading.add_done_callback(lambda done: self._done(topic, from_seq, done))
        # One watcher's end must not fail the others.
        return await asyncio.shield(reading)

    async def _history_of(self, topic: _Topic, from_seq: int) -> tuple[Stretch, bool]:
        async with self._readers:
            if not topic.watchers:
                return _NOTHING, True
            found = await self._history.read(topic.id, from_seq)
        topic.look(found.head)
        stretches = [stretch for stretch, _ in dump(found.events)]
        if not stretches:
            return _NOTHING, found.whole
        topic.known_seq = max(topic.known_seq, stretches[-1].last_seq)
        for stretch in stretches[1:]:
            self._recent.put(topic.id, stretch)
        return stretches[0], found.whole

    def _done(self, topic: _Topic, from_seq: int, done: asyncio.Task[tuple[Stretch, bool]]) -> None:
        self._reads.discard(done)
        topic.reads.pop(from_seq, None)
        if not done.cancelled():
            # Where nobody waits any more, nobody else takes note of it.
            done.exception()

    async def _listen(self) -> None:
        while True:
            try:
                async for announced in self._live.announcements():
                    self._hear(announced)
            except (RedisError, OSError) as error:
                _log.warning("live events stopped, watchers read the archive: %s", error)
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _hear(self, announced: Announced) -> None:
        topic = self._topics.get(announced.name)
        changes = self._feed.watched and announced.changes
        if topic is None and not changes:
            return
        try:
            stretch = announced.stretch()
        except (ValueError, TypeError):
            _log.warning("an announcement is not Weir's and was passed over")
            return
        if not stretch.events:
            return
        if changes:
            self._feed.hear(UUID(announced.name.decode()), stretch.events)
        # An older attempt is a worker's that has lost its lease and does not know.
        if topic is not None and stretch.events[-1].attempt >= topic.attempt:
            self._recent.put(topic.id, stretch)
            topic.hear(stretch)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            watched = list(self._topics.values())
            try:
                for start in range(0, len(watched), _BATCH):
                    await self._look(watched[start : start + _BATCH])
            except WeirError as error:
                _log.warning("watchers wait: %s", error)
            for topic in watched:
                topic.wake_some()

    async def _look(self, topics: list[_Topic]) -> None:
        async with self._db.read() as tx:
            heads = {head.id: head for head in await repository.heads(tx, [topic.id for topic in topics])}
        for topic in topics:
            if head := heads.get(topic.id):
                topic.look(head)
            else:
                topic.removed = True

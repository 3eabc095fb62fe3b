"""A task's events in pages, both ways: archive and live stream as one sequence."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError

from weir_core.db import Database
from weir_core.events import LiveEvents
from weir_core.tasks import hot_repository, repository
from weir_core.tasks.events import Event, EventKind, contiguous
from weir_core.tasks.states import TERMINAL

_READS: Final = 20


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; gaps always are."""

    kinds: frozenset[EventKind] = frozenset()
    min_log_level: int = 0
    attempt: int = 0

    def passes(self, event: Event) -> bool:
        """True where the event is wanted."""
        if event.kind is EventKind.GAP:
            return True
        if self.attempt and event.attempt != self.attempt:
            return False
        if event.kind is EventKind.LOG and event.body["level"] < self.min_log_level:
            return False
        return not self.kinds or event.kind in self.kinds


class History:
    """Reads events back."""

    def __init__(self, db: Database, live: LiveEvents) -> None:
        self._db = db
        self._live = live

    async def page(
        self, task_id: UUID, place: int, size: int, wanted: EventFilter, *, descending: bool
    ) -> tuple[list[Event], int]:
        """At most `size` wanted events from number `place` on (0: the first), and where to go on, or 0.

        A page examines a bounded stretch of history, so it may be short or empty before the end.
        """
        found: list[Event] = []
        place = await self._start(task_id, place, descending=descending)
        for _ in range(_READS):
            events = await self._read(task_id, place, descending=descending)
            if not events:
                return found, 0
            for event in events:
                place = event.first_seq - 1 if descending else event.seq + 1
                if wanted.passes(event):
                    found.append(event)
                    if len(found) == size:
                        return found, place
        return found, place

    async def _start(self, task_id: UUID, place: int, *, descending: bool) -> int:
        if place or not descending:
            return max(place, 1)
        running = await self._running(task_id, 0)
        if running:
            return running[-1].seq
        async with self._db.read() as tx:
            return (await repository.heads(tx, [task_id]))[0].last_seq

    async def _read(self, task_id: UUID, place: int, *, descending: bool) -> list[Event]:
        if place < 1:
            return []
        async with self._db.read() as tx:
            if descending:
                events = await repository.read_events_back(tx, task_id, place)
                last = (await repository.heads(tx, [task_id]))[0].last_seq
            else:
                events = await hot_repository.read_events(tx, task_id, place)
                last = place
        if descending and place > last:
            newer = [event for event in await self._running(task_id, last) if event.seq <= place]
            return newer[::-1] or events
        return events or contiguous(await self._running(task_id, place - 1), place)

    async def _running(self, task_id: UUID, after: int) -> list[Event]:
        async with self._db.read() as tx:
            head = (await repository.heads(tx, [task_id]))[0]
        if head.attempt == 0 or head.state in TERMINAL:
            return []
        first = max(after, head.last_seq) + 1
        try:
            return contiguous(await self._live.read(task_id, head.attempt, first), first)
        except (RedisError, OSError):
            return []

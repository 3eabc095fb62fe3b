"""A task's events in pages, both ways: archive and live stream as one sequence."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError

from weir_core.db import Database
from weir_core.events import LiveEvents
from weir_core.tasks import repository
from weir_core.tasks.events import Event, EventKind, contiguous, gap_body
from weir_core.tasks.repository import Head
from weir_core.tasks.states import HELD

_READS: Final = 20
# Of the levels of log lines, numbered as in the contract.
_LOWEST: Final = 1


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; gaps always are."""

    kinds: frozenset[EventKind] = frozenset()
    min_log_level: int = 0
    attempt: int = 0

    @property
    def passes_all(self) -> bool:
        """True where nothing is left out."""
        return not self.kinds and self.min_log_level <= _LOWEST and not self.attempt

    def passes(self, event: Event) -> bool:
        """True where the event is wanted."""
        if event.kind is EventKind.GAP:
            return True
        if self.attempt and event.attempt != self.attempt:
            return False
        if event.kind is EventKind.LOG and event.body["level"] < self.min_log_level:
            return False
        return not self.kinds or event.kind in self.kinds


@dataclass(frozen=True, slots=True)
class Found:
    """A task's events from a number on, without a hole; `whole`: all that could be had at that time."""

    events: list[Event]
    head: Head
    whole: bool


class History:
    """Reads events back."""

    def __init__(self, db: Database, live: LiveEvents) -> None:
        self._db = db
        self._live = live

    async def read(self, task_id: UUID, from_seq: int, *, again: bool = True) -> Found:
        """Some events from a number on, archived and live; what is gone is told by a gap. NotFound."""
        found = await self._archived(task_id, from_seq)
        if not found.whole or found.head.state not in HELD:
            return found
        next_seq = found.events[-1].seq + 1 if found.events else from_seq
        live, whole = await self._running(found.head, next_seq)
        events = contiguous(live, next_seq)
        if live and not events and again:
            # What is missing in front was archived meanwhile.
            return await self.read(task_id, from_seq, again=False)
        return Found(found.events + events, found.head, whole or not events)

    async def page(
        self, task_id: UUID, place: int, size: int, wanted: EventFilter, *, descending: bool
    ) -> tuple[list[Event], int]:
        """At most `size` wanted events from number `place` on (0: the first), and where to go on, or 0.

        A page examines a bounded stretch of history, so it may be short or empty before the end.
        """
        found: list[Event] = []
        place = await self._start(task_id, place, descending=descending)
        for _ in range(_READS):
            events = await self._page(task_id, place, descending=descending)
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
        head, live = await self._after_archive(task_id)
        return live[-1].seq if live else head.last_seq

    async def _page(self, task_id: UUID, place: int, *, descending: bool) -> list[Event]:
        if place < 1:
            return []
        if not descending:
            return (await self.read(task_id, place)).events
        async with self._db.read() as tx:
            events = await repository.read_events_back(tx, task_id, place)
            last = (await repository.head(tx, task_id)).last_seq
        if place > last:
            _, live = await self._after_archive(task_id)
            return [event for event in live if event.seq <= place][::-1] or events
        return events

    async def _archived(self, task_id: UUID, from_seq: int) -> Found:
        async with self._db.read() as tx:
            # The head first: what it counts can be read then.
            head = await repository.head(tx, task_id)
            events, whole = await repository.read_events(tx, task_id, from_seq)
        first = events[0].first_seq if events else head.last_seq + 1
        if first > from_seq:
            body = gap_body(from_seq, first - 1, "not kept")
            gap = Event(first - 1, 0, datetime.now(UTC), EventKind.GAP, body)
            return Found([gap, *contiguous(events, first)], head, whole)
        return Found(contiguous(events, from_seq), head, whole)

    async def _after_archive(self, task_id: UUID) -> tuple[Head, list[Event]]:
        async with self._db.read() as tx:
            head = await repository.head(tx, task_id)
        first = head.last_seq + 1
        live, whole = await self._running(head, first)
        while live and not whole:
            more, whole = await self._running(head, live[-1].seq + 1)
            live += more
        return head, contiguous(live, first)

    async def _running(self, head: Head, from_seq: int) -> tuple[list[Event], bool]:
        if head.state not in HELD:
            return [], True
        try:
            return await self._live.read(head.id, head.attempt, from_seq)
        except (RedisError, OSError):
            return [], True

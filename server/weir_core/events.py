"""Live events in Redis: a stream an attempt, and one channel that tells servers what is new.

A stream entry holds a batch of events; its id is the number of the last one, so
that a batch can't come twice or out of order. Sealing adds an entry with the
highest id there is: after that Redis itself refuses the old writer. What is in
the archive is trimmed from the stream; an empty stream still shows that nothing
was lost.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from weir_core.pubsub import messages
from weir_core.tasks.events import AttemptLog, Event, dump, load

_LIFE_SECONDS: Final = 6 * 3600
_SEAL: Final = "18446744073709551615-0"
_BATCH: Final = 256
_READ: Final = 500


@dataclass(frozen=True, slots=True)
class Tail:
    """What a live stream held when it was sealed; `whole` is False where it had been lost."""

    events: list[Event]
    whole: bool


class LiveEvents:
    """Appends, reads and announces the events of running attempts."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        # The client's annotations cover RESP2 and RESP3 at once; Weir speaks RESP2.
        self._redis: Any = redis
        self._prefix = prefix
        self._channel = f"{prefix}live"

    def _key(self, task_id: UUID, attempt: int) -> str:
        return f"{self._prefix}events:{task_id}:{attempt}"

    async def append(self, log: AttemptLog) -> None:
        """Send what is new in an attempt's log, and all that it keeps where the stream was lost."""
        events = log.unsent()
        if not events:
            return
        key = self._key(log.task_id, log.attempt)
        there = await self._redis.exists(key)
        batches = _batches(events if there else log.everything())
        pipe = self._redis.pipeline(transaction=True)
        for batch in batches:
            pipe.xadd(key, {"e": dump(batch)}, id=f"{batch[-1].seq}-0")
        pipe.expire(key, _LIFE_SECONDS)
        for batch in _batches(events):
            pipe.publish(self._channel, _announcement(log.task_id, batch))
        results = await pipe.execute(raise_on_error=False)
        for result in results:
            # A smaller id than the top one: the batch is there already, or the stream is sealed.
            if isinstance(result, Exception) and not isinstance(result, ResponseError):
                raise result
        log.sent_seq = events[-1].seq

    async def trim(self, log: AttemptLog) -> None:
        """Drop what is archived from the stream."""
        await self._redis.xtrim(self._key(log.task_id, log.attempt), minid=f"{log.archived_seq + 1}-0")

    async def announce(self, task_id: UUID, events: list[Event]) -> None:
        """Tell servers of events that stand in the archive."""
        pipe = self._redis.pipeline(transaction=False)
        for batch in _batches(events):
            pipe.publish(self._channel, _announcement(task_id, batch))
        await pipe.execute()

    async def read(self, task_id: UUID, attempt: int, from_seq: int) -> list[Event]:
        """Live events from a number on, in order; some may be missing in front."""
        entries = await self._redis.xrange(self._key(task_id, attempt), min=f"{from_seq}-0", count=_READ)
        return [event for event in _events(entries) if event.seq >= from_seq]

    async def seal(self, task_id: UUID, attempt: int, archived_seq: int) -> Tail:
        """Close an attempt's stream to its writer, and read what is not archived."""
        key = self._key(task_id, attempt)
        pipe = self._redis.pipeline(transaction=True)
        pipe.exists(key)
        pipe.xadd(key, {"seal": "1"}, id=_SEAL)
        pipe.expire(key, _LIFE_SECONDS)
        pipe.xrange(key, min=f"{archived_seq + 1}-0")
        existed, _sealed, _expire, entries = await pipe.execute(raise_on_error=False)
        if isinstance(existed, Exception) or isinstance(entries, Exception):
            return Tail([], whole=False)
        events = [event for event in _events(entries) if event.seq > archived_seq]
        return Tail(events, whole=bool(existed) and (not events or events[0].first_seq <= archived_seq + 1))

    async def drop(self, task_id: UUID, attempt: int) -> None:
        """Remove an attempt's stream, once all of it is archived."""
        await self._redis.delete(self._key(task_id, attempt))

    async def announcements(self) -> AsyncGenerator[tuple[UUID, list[Event]]]:
        """What is told to servers, from now on; ends with an error where the connection is lost."""
        async for text in messages(self._redis, self._channel):
            task_id, _, events = text.partition(b" ")
            yield UUID(task_id.decode()), load(events)


def _announcement(task_id: UUID, events: list[Event]) -> bytes:
    return str(task_id).encode() + b" " + dump(events)


def _batches(events: list[Event]) -> list[list[Event]]:
    return [events[start : start + _BATCH] for start in range(0, len(events), _BATCH)]


def _events(entries: list[tuple[bytes, dict[bytes, Any]]]) -> list[Event]:
    return [event for _, fields in entries if b"e" in fields for event in load(fields[b"e"])]

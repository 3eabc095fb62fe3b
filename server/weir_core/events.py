"""Live events in Redis: a stream an attempt, and one channel that tells servers what is new.

A stream entry holds a batch of events; its id is the number of the last one, so
that a batch can't come twice or out of order. Sealing adds an entry with the
highest id there is: after that Redis itself refuses the old writer. What is in
the archive is trimmed from the stream; an empty stream still shows that nothing
was lost.
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from weir_core.batching import Batcher
from weir_core.pubsub import messages
from weir_core.tasks.events import AttemptLog, Event, dump, load

T = TypeVar("T")

_LIFE_SECONDS: Final = 6 * 3600
_SEAL: Final = "18446744073709551615-0"
_BATCH: Final = 256
_LOGS: Final = 256
_MESSAGE: Final = 256 * 1024
# JSON on one line has none.
_BETWEEN: Final = b"\n"
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
        self._reads = Batcher(self._read)

    def _key(self, task_id: UUID, attempt: int) -> str:
        return f"{self._prefix}events:{task_id}:{attempt}"

    async def append(self, logs: Sequence[AttemptLog]) -> None:
        """Send what is new in attempts' logs, and all that a log keeps where its stream was lost."""
        fresh = {log: events for log in logs if (events := log.unsent())}
        for part in _parts(list(fresh), _LOGS):
            lost = await self._add([(log, fresh[log], log.streamed) for log in part])
            await self._add([(log, log.everything(), False) for log in lost])
            await self.announce({log.task_id: fresh[log] for log in part})
            for log in part:
                log.sent_seq = fresh[log][-1].seq

    async def _add(self, wanted: list[tuple[AttemptLog, list[Event], bool]]) -> list[AttemptLog]:
        """Add events to streams; answers the logs of which a stream should be there and is not."""
        pipe = self._redis.pipeline(transaction=False)
        owners: list[AttemptLog] = []
        for log, events, streamed in wanted:
            key = self._key(log.task_id, log.attempt)
            for batch in _parts(events, _BATCH):
                pipe.xadd(key, {"e": dump(batch)}, id=f"{batch[-1].seq}-0", nomkstream=streamed)
                owners.append(log)
            if not streamed:
                pipe.expire(key, _LIFE_SECONDS)
                owners.append(log)
        lost: dict[AttemptLog, None] = {}
        for log, result in zip(owners, await pipe.execute(raise_on_error=False), strict=True):
            # A smaller id than the top one: the batch is there already, or the stream is sealed.
            if isinstance(result, Exception) and not isinstance(result, ResponseError):
                raise result
            if result is None:
                lost[log] = None
        return list(lost)

    async def trim(self, logs: Sequence[AttemptLog]) -> None:
        """Drop what is archived from the streams, which live on."""
        pipe = self._redis.pipeline(transaction=False)
        for log in logs:
            key = self._key(log.task_id, log.attempt)
            pipe.xtrim(key, minid=f"{log.archived_seq + 1}-0")
            pipe.expire(key, _LIFE_SECONDS)
        await pipe.execute()

    async def announce(self, chunks: Mapping[UUID, list[Event]]) -> None:
        """Tell servers of new events, those of many tasks in one message."""
        pieces = [(task_id, part) for task_id, events in chunks.items() for part in _parts(events, _BATCH)]
        for message in _joined(pieces):
            await self._redis.publish(self._channel, message)

    async def end(self, logs: Sequence[AttemptLog], chunks: Mapping[UUID, list[Event]]) -> None:
        """Tell servers of the last events of attempts, all archived, and remove their streams."""
        await self.announce(chunks)
        # Also where none is known: one may have been begun of which no answer came.
        await self._redis.delete(*(self._key(log.task_id, log.attempt) for log in logs))

    async def read(self, task_id: UUID, attempt: int, from_seq: int) -> list[Event]:
        """Live events from a number on, in order; some may be missing in front."""
        return await self._reads.ask((self._key(task_id, attempt), from_seq))

    async def _read(self, wanted: Sequence[tuple[str, int]]) -> list[list[Event]]:
        pipe = self._redis.pipeline(transaction=False)
        for key, from_seq in wanted:
            pipe.xrange(key, min=f"{from_seq}-0", count=_READ)
        return [
            [event for event in _events(entries) if event.seq >= from_seq]
            for (_, from_seq), entries in zip(wanted, await pipe.execute(), strict=True)
        ]

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
            for piece in text.split(_BETWEEN):
                task_id, _, events = piece.partition(b" ")
                yield UUID(task_id.decode()), load(events)


def _joined(pieces: list[tuple[UUID, list[Event]]]) -> Generator[bytes]:
    """Announcements of tasks, as many in a message as are well below its largest size."""
    gathered: list[bytes] = []
    size = 0
    for task_id, events in pieces:
        piece = str(task_id).encode() + b" " + dump(events)
        if gathered and size + len(piece) > _MESSAGE:
            yield _BETWEEN.join(gathered)
            gathered, size = [], 0
        gathered.append(piece)
        size += len(piece)
    if gathered:
        yield _BETWEEN.join(gathered)


def _parts(items: list[T], most: int) -> list[list[T]]:
    return [items[start : start + most] for start in range(0, len(items), most)]


def _events(entries: list[tuple[bytes, dict[bytes, Any]]]) -> list[Event]:
    return [event for _, fields in entries if b"e" in fields for event in load(fields[b"e"])]

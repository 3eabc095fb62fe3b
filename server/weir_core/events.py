"""Live events in Redis: a stream an attempt, and one channel that tells servers what is new.

A stream entry holds a stretch of events; its id is the number of the last one, so
that it can't come twice or out of order. Sealing adds an entry with the
highest id there is: after that Redis itself refuses the old writer, and tells
nobody of what it refused. The seal says whether the stream was there when it
was sealed, and stays when the rest is gone. What is in the archive is trimmed
from the stream; an empty stream still shows that nothing was lost, and so does
none where Redis has kept its data since before the attempt began.
"""

from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from redis.asyncio import Redis

from weir_core.pubsub import messages
from weir_core.tasks.events import OF_ONE_TASK, AttemptLog, Event, EventKind, Stretch, contiguous, dump, load

T = TypeVar("T")

_LIFE_SECONDS: Final = 6 * 3600
_SEAL: Final = "18446744073709551615-0"
# Redis does nothing else while it takes the events of so many.
_LOGS: Final = 64
_MESSAGE: Final = 256 * 1024
# JSON on one line has none.
_BETWEEN: Final = b"\n"
# Entries, of at most 64 KiB each, that are read at a time.
_READ: Final = 16
_LOST: Final = b"lost"
_SENT: Final = b"sent"
_CHANGES: Final = [f'"{kind}"'.encode() for kind in EventKind if kind not in OF_ONE_TASK]

# Clocks of machines may differ by so much.
_MARGIN: Final = timedelta(seconds=5)

_NOTE_AGE: Final = "redis.call('SET', KEYS[{}], redis.call('TIME')[1], 'NX')"
# Age of the data, streams; seal, life, and for each stream: whether it must be there, the count of stretches,
# their ids and texts. A stretch that is there already is passed over; what Redis has no room for is an error.
_APPEND: Final = f"""
{_NOTE_AGE.format(1)}
local results, at = {{}}, 3
for k = 2, #KEYS do
  local first, last = at + 2, at + 1 + 2 * tonumber(ARGV[at + 1])
  local newest = redis.call('XREVRANGE', KEYS[k], '+', '-', 'COUNT', 1)[1]
  if newest and newest[1] == ARGV[1] then
    results[k - 1] = 'sealed'
  elseif ARGV[at] == '1' and not newest and redis.call('EXISTS', KEYS[k]) == 0 then
    results[k - 1] = 'lost'
  else
    for n = first, last, 2 do
      local added = redis.pcall('XADD', KEYS[k], ARGV[n], 'e', ARGV[n + 1])
      if type(added) == 'table' and added.err and not string.find(added.err, 'equal or smaller', 1, true) then
        return added
      end
    end
    redis.call('EXPIRE', KEYS[k], ARGV[2])
    results[k - 1] = 'sent'
  end
  at = last + 1
end
return results
"""
# Stream, age of the data; seal, life, first id wanted, since when the data must be there.
_CLOSE: Final = f"""
{_NOTE_AGE.format(2)}
local there = redis.call('EXISTS', KEYS[1])
if tonumber(redis.call('GET', KEYS[2])) < tonumber(ARGV[4]) then there = 1 end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not (newest and newest[1] == ARGV[1]) then redis.call('XADD', KEYS[1], ARGV[1], 'there', there) end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('XRANGE', KEYS[1], ARGV[3], '+')
"""


@dataclass(frozen=True, slots=True)
class Tail:
    """What a live stream held when it was sealed; `whole` is False where some or all had been lost."""

    events: list[Event]
    whole: bool


@dataclass(frozen=True, slots=True)
class Announced:
    """New events of a task, as servers are told of them; read only where somebody wants them."""

    name: bytes
    """The task's id, as text."""
    content: bytes

    @property
    def changes(self) -> bool:
        """False: there are log lines alone."""
        return any(kind in self.content for kind in _CHANGES)

    def stretch(self) -> Stretch:
        """The events; ValueError or TypeError where it is not Weir's."""
        return Stretch(load(self.content), len(self.content))


class LiveEvents:
    """Appends, reads and announces the events of running attempts."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        # The client's annotations cover RESP2 and RESP3 at once; Weir speaks RESP2.
        self._redis: Any = redis
        self._prefix = prefix
        self._channel = f"{prefix}live"
        self._age = f"{prefix}since"
        self._append = self._redis.register_script(_APPEND)
        self._close = self._redis.register_script(_CLOSE)
        self._note = self._redis.register_script(_NOTE_AGE.format(1))

    def _key(self, task_id: UUID, attempt: int) -> str:
        return f"{self._prefix}events:{task_id}:{attempt}"

    async def append(self, logs: Sequence[AttemptLog]) -> None:
        """Send what is new in attempts' logs, and all that a log keeps where its stream was lost.

        A sealed stream takes nothing more, and watchers are told nothing: the attempt is over.
        """
        fresh = {log: events for log in logs if (events := log.unsent())}
        for part in _parts(list(fresh), _LOGS):
            lost = await self._add([(log, fresh[log], log.streamed) for log in part])
            if lost:
                await self._add([(log, log.everything(), False) for log in lost])
            for log in part:
                log.sent_seq = fresh[log][-1].seq

    async def _add(self, wanted: list[tuple[AttemptLog, list[Event], bool]]) -> list[AttemptLog]:
        """Add events to streams, then tell servers; answers the logs whose stream is gone."""
        arguments: list[Any] = [_SEAL, _LIFE_SECONDS]
        texts: list[list[bytes]] = []
        for _, events, streamed in wanted:
            stretches = dump(events)
            arguments += (int(streamed), len(stretches))
            arguments += (part for one, text in stretches for part in (f"{one.last_seq}-0", text))
            texts.append([text for _, text in stretches])
        keys = [self._age, *(self._key(log.task_id, log.attempt) for log, _, _ in wanted)]
        results = await self._append(keys=keys, args=arguments)
        told = zip(wanted, texts, results, strict=True)
        await self._publish(
            (log.task_id, text) for (log, _, _), each, result in told if result == _SENT for text in each
        )
        return [log for (log, _, _), result in zip(wanted, results, strict=True) if result == _LOST]

    async def trim(self, logs: Sequence[AttemptLog]) -> None:
        """Drop what is archived from the streams, which live on."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for log in logs:
                key = self._key(log.task_id, log.attempt)
                pipe.xtrim(key, minid=f"{log.archived_seq + 1}-0")
                pipe.expire(key, _LIFE_SECONDS)
            await pipe.execute()

    async def note_age(self) -> None:
        """Remember since when Redis has kept its data; raises RedisError, OSError."""
        await self._note(keys=[self._age])

    async def announce(self, chunks: Mapping[UUID, list[Event]]) -> None:
        """Tell servers of new events, those of many tasks in one message."""
        await self._publish((task_id, text) for task_id, events in chunks.items() for _, text in dump(events))

    async def _publish(self, texts: Iterable[tuple[UUID, bytes]]) -> None:
        for message in _joined(texts):
            await self._redis.publish(self._channel, message)

    async def end(self, logs: Sequence[AttemptLog], chunks: Mapping[UUID, list[Event]]) -> None:
        """Tell servers of the last events of attempts, all archived, and remove their streams."""
        await self.announce(chunks)
        # Also where none is known: one may have been begun of which no answer came.
        await self._redis.delete(*(self._key(log.task_id, log.attempt) for log in logs))

    async def read(self, task_id: UUID, attempt: int, from_seq: int) -> tuple[list[Event], bool]:
        """Live events from a number on, in order, some may be missing in front; True where these were all."""
        key = self._key(task_id, attempt)
        entries = await self._redis.xrange(key, min=f"{from_seq}-0", count=_READ)
        return [event for event in _events(entries) if event.seq >= from_seq], len(entries) < _READ

    async def seal(self, task_id: UUID, attempt: int, archived_seq: int, began: datetime) -> Tail:
        """Close an attempt's stream to its writer, and read what is not archived."""
        must_be_since = int((began - _MARGIN).timestamp())
        arguments = [_SEAL, _LIFE_SECONDS, f"{archived_seq + 1}-0", must_be_since]
        found = await self._close(keys=[self._key(task_id, attempt), self._age], args=arguments)
        entries = [(entry, dict(zip(fields[::2], fields[1::2], strict=True))) for entry, fields in found]
        there = entries[-1][1][b"there"] == b"1"
        told = _events(entries)
        events = contiguous(told, archived_seq + 1)
        last = events[-1].seq if events else archived_seq
        return Tail(events, whole=there and all(event.seq <= last for event in told))

    async def drop(self, task_id: UUID, attempt: int) -> None:
        """Remove the stream of an attempt whose writer has ended, once all of it is archived."""
        await self._redis.delete(self._key(task_id, attempt))

    async def empty(self, task_id: UUID, attempt: int) -> None:
        """Remove all but the seal, once all is archived: the old writer may still live and try."""
        await self._redis.xtrim(self._key(task_id, attempt), minid=_SEAL, approximate=False)

    async def announcements(self) -> AsyncGenerator[Announced]:
        """What is told to servers, from now on; ends with an error where the connection is lost."""
        async for text in messages(self._redis, self._channel):
            for piece in text.split(_BETWEEN):
                task_id, _, content = piece.partition(b" ")
                yield Announced(task_id, content)


def _joined(texts: Iterable[tuple[UUID, bytes]]) -> Generator[bytes]:
    """Announcements of tasks, as many in a message as are well below its largest size."""
    gathered: list[bytes] = []
    size = 0
    for task_id, text in texts:
        piece = str(task_id).encode() + b" " + text
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

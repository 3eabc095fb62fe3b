"""Hints: short messages that tell workers which tasks may be claimed.

The row in the database is the truth. A hint may come twice, late or never; the
claim decides, and the sweeper hints again. They travel over Taskiq's Redis
streams, one a queue, class of urgency and pack, by a broker that mends what the stock one lacks:
reads by free slots, reclaim on a timer, a group that is made anew after Redis
lost it (from its start, so that nothing is left out), and deletion of what is
acknowledged.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from taskiq import BrokerMessage, TaskiqMessage
from taskiq_redis import RedisStreamBroker

from weir_core.redis import make_plain

_log = logging.getLogger(__name__)

_GROUP: Final = "workers"
_TASK_NAME: Final = "weir.run"
_BLOCK_MS: Final = 1000
_RECLAIM_SECONDS: Final = 5.0
_IDLE_MS: Final = 30_000
# Beyond this the oldest hints go: their tasks are hinted again by the sweeper.
_LONGEST: Final = 50_000
_TURNS: Final = (1, 2, 3)
# Which class a read begins with, of eight reads.
_FIRST: Final = (0, 0, 1, 0, 0, 2, 1, 0)


@dataclass(frozen=True, slots=True)
class Hint:
    """A task that may be claimed, and where that was told."""

    task_id: UUID
    attempt: int
    queue: str
    pack: str
    turn: int = 2
    """Its class of urgency: 1 is served first."""


@dataclass(frozen=True, slots=True)
class Received:
    """A hint as it was read; acknowledged once the claim has committed."""

    task_id: UUID
    stream: bytes
    entry: bytes


Entry = tuple[bytes, bytes, dict[bytes, bytes]]
"""A stream, an entry's id in it, and its fields."""


class HintBroker(RedisStreamBroker):
    """Taskiq's stream broker for messages that are only hints."""

    def __init__(self, url: str, streams: Iterable[str] = ()) -> None:
        names = list(streams)
        super().__init__(
            url,
            queue_name=names[0] if names else "unused",
            additional_streams=dict.fromkeys(names[1:], ">"),
            consumer_group_name=_GROUP,
            consumer_id="0",
            xread_block=_BLOCK_MS,
            maxlen=_LONGEST,
            idle_timeout=_IDLE_MS,
            protocol=2,
            socket_timeout=5,
            socket_connect_timeout=5,
        )
        make_plain(self.connection_pool)
        self._streams = names
        self._reclaimed = 0.0
        self._over: list[Entry] = []

    async def kick_many(self, messages: list[BrokerMessage]) -> None:
        """Send messages in one round trip."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            pipe = redis.pipeline(transaction=False)
            for message in messages:
                stream = message.labels["queue_name"]
                pipe.xadd(stream, {b"data": message.message}, maxlen=self.maxlen, approximate=True)
            await pipe.execute()

    async def receive(self, count: int, order: list[list[str]]) -> list[Entry]:
        """At most `count` new or abandoned entries, by the order of classes; none after a second."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            try:
                return await self._receive(redis, count, order)
            except ResponseError as error:
                if "NOGROUP" not in str(error) and "UNBLOCKED" not in str(error):
                    raise
                await self._declare_consumer_group()
                return []

    async def _receive(self, redis: "Redis", count: int, order: list[list[str]]) -> list[Entry]:
        entries, self._over = self._over, []
        if not entries and time.monotonic() - self._reclaimed > _RECLAIM_SECONDS:
            self._reclaimed = time.monotonic()
            entries = await self._reclaim(redis, count)
        for streams in order:
            if (left := count - len(entries)) > 0:
                entries += await self._read(redis, streams, -(-left // len(streams)))
        if not entries:
            every = [stream for streams in order for stream in streams]
            entries = await self._read(redis, every, 1, block=_BLOCK_MS)
        # A read may give one too many of each stream: they come first the next time.
        self._over = entries[count:]
        return entries[:count]

    async def _read(
        self, redis: "Redis", streams: list[str], count: int, block: int | None = None
    ) -> list[Entry]:
        wanted: Any = dict.fromkeys(streams, ">")
        found: Any = await redis.xreadgroup(_GROUP, self.consumer_name, wanted, count=count, block=block)
        answer: list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]] = found or []
        return [(stream, entry, fields) for stream, entries in answer for entry, fields in entries]

    async def acknowledge(self, received: list[tuple[bytes, bytes]]) -> None:
        """Acknowledge and delete entries."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            entries: dict[bytes, list[bytes]] = {}
            for stream, entry in received:
                entries.setdefault(stream, []).append(entry)
            pipe = redis.pipeline(transaction=False)
            for stream, ended in entries.items():
                pipe.xack(stream, _GROUP, *ended)
                pipe.xdel(stream, *ended)
            await pipe.execute()

    async def leave(self) -> None:
        """Remove this consumer; what it had not acknowledged is hinted again by the sweeper."""
        async with Redis(connection_pool=self.connection_pool) as redis:
            pipe = redis.pipeline(transaction=False)
            for stream in self._streams:
                pipe.xgroup_delconsumer(stream, _GROUP, self.consumer_name)
            await pipe.execute(raise_on_error=False)

    async def _reclaim(self, redis: "Redis", count: int) -> list[Entry]:
        entries: list[Entry] = []
        for stream in self._streams:
            answer: Any = await redis.xautoclaim(stream, _GROUP, self.consumer_name, _IDLE_MS, count=count)
            entries += [(stream.encode(), entry, fields) for entry, fields in answer[1]]
        return entries[:count]


class Queue:
    """Sends hints, and reads them for a worker."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self._sender = HintBroker(url)

    async def hint(self, hints: list[Hint]) -> bool:
        """Send hints; False where Redis did not take them, and the sweeper will do it."""
        if not hints:
            return True
        try:
            await self._sender.kick_many([self._message(hint) for hint in hints])
        except (RedisError, OSError) as error:
            _log.warning("hints were not sent, the sweeper repeats them: %s", error)
            return False
        return True

    def reader(self, queues: Iterable[str], packs: Iterable[str]) -> "HintReader":
        """A reader of all streams of some queues and packs."""
        places = [(queue, pack) for queue in queues for pack in packs]
        classes = [[self._stream(queue, pack, turn) for queue, pack in places] for turn in _TURNS]
        return HintReader(HintBroker(self._url, [name for names in classes for name in names]), classes)

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.shutdown()

    def _stream(self, queue: str, pack: str, turn: int) -> str:
        return f"{self._prefix}queue:{queue}:{turn}:{pack}"

    def _message(self, hint: Hint) -> BrokerMessage:
        message = TaskiqMessage(
            task_id=uuid4().hex,
            task_name=_TASK_NAME,
            labels={"queue_name": self._stream(hint.queue, hint.pack, hint.turn)},
            args=[str(hint.task_id), hint.attempt],
            kwargs={},
        )
        return self._sender.formatter.dumps(message)


class HintReader:
    """Reads the hints of a worker's queues, the urgent ones first.

    Of eight reads one begins with the lowest class and two with the middle one, so
    that no class waits for ever behind a higher one.
    """

    def __init__(self, broker: HintBroker, classes: list[list[str]]) -> None:
        self._broker = broker
        self._classes = classes
        self._reads = 0

    async def read(self, count: int) -> list[Received]:
        """At most `count` hints; an empty list after a second without any. Raises RedisError, OSError."""
        received: list[Received] = []
        spoilt: list[tuple[bytes, bytes]] = []
        for stream, entry, fields in await self._broker.receive(count, self._order()):
            task_id = self._task_id(fields)
            if task_id is None:
                spoilt.append((stream, entry))
            else:
                received.append(Received(task_id, stream, entry))
        if spoilt:
            _log.warning("%d entries in the queue are not Weir's and were removed", len(spoilt))
            await self._broker.acknowledge(spoilt)
        return received

    async def acknowledge(self, received: list[Received]) -> None:
        """The claims of these hints have committed, or there was nothing to claim."""
        await self._broker.acknowledge([(hint.stream, hint.entry) for hint in received])

    async def close(self) -> None:
        """Leave the groups and close the connections."""
        try:
            await self._broker.leave()
        except (RedisError, OSError):
            _log.info("the queue's consumer was not removed: Redis does not answer")
        await self._broker.shutdown()

    def _order(self) -> list[list[str]]:
        first = _FIRST[self._reads % len(_FIRST)]
        self._reads += 1
        return [self._classes[first], *(names for place, names in enumerate(self._classes) if place != first)]

    def _task_id(self, fields: dict[bytes, bytes]) -> UUID | None:
        try:
            return UUID(self._broker.formatter.loads(fields[b"data"]).args[0])
        except (KeyError, IndexError, ValueError, TypeError, AttributeError, orjson.JSONDecodeError):
            return None

"""A task's events as they happen, over as many connections as it takes."""

from collections import deque
from collections.abc import Iterable
from typing import Literal, Self

from weir.aio.stream import AsyncResuming, AsyncStream
from weir.aio.task_service import AsyncTaskClient
from weir.sequence import TERMINAL, HoleError, Sequence, is_last
from weir.v1.task_pb2 import LOG_LEVEL_DEBUG, LOG_LEVEL_UNSPECIFIED, EventKind, LogLevel, TaskEvent
from weir.v1.task_service_pb2 import TASK_VIEW_BASIC, WatchTaskResponse

SILENCE = 45.0
PATIENCE = 10.0
TRIES_TO_FILL_A_HOLE = 3

Kind = EventKind.ValueType | Literal["state", "progress", "log", "artifact", "cancel"]


class AsyncTaskWatch:
    """Each event once, in order, to the terminal one; a lost connection is made good from where it stood.

    Raises only what no other connection would mend: NotFound, PermissionDenied and their like; and
    Unavailable when the server can't be reached at the start.
    """

    def __init__(
        self,
        client: AsyncTaskClient,
        task_id: str,
        from_seq: int = 0,
        kinds: Iterable[Kind] = (),
        min_log_level: LogLevel.ValueType = LOG_LEVEL_UNSPECIFIED,
    ) -> None:
        self._client = client
        self._task_id = task_id
        self._kinds = [_kind(each) for each in kinds]
        self._min_log_level = min_log_level
        filtered = bool(self._kinds) or min_log_level > LOG_LEVEL_DEBUG
        self._sequence = Sequence(from_seq, filtered=filtered)
        self._stream: AsyncResuming[WatchTaskResponse] = AsyncResuming(
            self._open, silence=SILENCE, patience=PATIENCE, lasting=None
        )
        self._holes = 0
        self._left: deque[TaskEvent | int] = deque()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskEvent:
        while not self._ended:
            event = await self._next()
            if event is not None:
                self._end_after(event)
                return event
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def next_seq(self) -> int:
        """Where another watch would go on."""
        return self._sequence.next_seq

    def close(self) -> None:
        """Stops watching."""
        self._ended = True
        self._stream.close()

    def _open(self) -> AsyncStream[WatchTaskResponse]:
        return self._client.watch_task_stream(
            self._task_id,
            from_seq=self._sequence.next_seq,
            kinds=self._kinds,
            min_log_level=self._min_log_level,
        )

    async def _next(self) -> TaskEvent | None:
        if not self._left and not await self._receive():
            return None
        item = self._left[0]
        try:
            event = self._taken(item)
        except HoleError as hole:
            return await self._fill(hole)
        self._left.popleft()
        self._holes = 0 if event is not None else self._holes
        return event

    async def _receive(self) -> bool:
        """Waits for a message; False where the call came to its end."""
        message = await self._stream.next()
        if message is None:
            await self._end_or_reopen()
            return False
        self._left.extend(message.events)
        self._left.append(message.through_seq)
        return True

    def _taken(self, item: TaskEvent | int) -> TaskEvent | None:
        """The event, if it is new; a number stands for all up to it."""
        if isinstance(item, int):
            self._sequence.advance(item)
            return None
        return item if self._sequence.take(item) else None

    async def _end_or_reopen(self) -> None:
        """A regular end without the terminal event is one only if that event lies behind us."""
        answer = await self._client.get_task(self._task_id, view=TASK_VIEW_BASIC)
        task = answer.task
        if task.state in TERMINAL and task.last_seq < self._sequence.next_seq:
            self.close()
        else:
            await self._stream.reopen()

    async def _fill(self, hole: HoleError) -> TaskEvent | None:
        """Asks again for what did not come; in the end says that it is missing, and where."""
        self._holes += 1
        if self._holes < TRIES_TO_FILL_A_HOLE:
            self._left.clear()
            await self._stream.reopen()
            return None
        self._holes = 0
        return self._sequence.give_up(hole, self._task_id)

    def _end_after(self, event: TaskEvent) -> None:
        if is_last(event):
            self.close()


def _kind(kind: Kind) -> EventKind.ValueType:
    return EventKind.Value(f"EVENT_KIND_{kind.upper()}") if isinstance(kind, str) else kind

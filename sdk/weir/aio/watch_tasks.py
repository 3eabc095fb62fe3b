"""What changes among many tasks, over as many connections as it takes."""

from collections import deque
from typing import Self

from weir import errors
from weir.aio.stream import AsyncResuming, AsyncStream
from weir.aio.task_service import AsyncTaskClient
from weir.aio.watch import PATIENCE, SILENCE
from weir.changes import Change, SnapshotStart
from weir.v1.task_service_pb2 import WatchTasksResponse


class AsyncTasksWatch:
    """Changes in order within a task, without an end; a lost connection is made good from where it stood.

    A Task is one as it is now: of a snapshot, or because events of it may have been missed; the newest word
    about a task counts. Where the place to resume is not kept any more, the watch takes a snapshot anew, and
    says so by a SnapshotStart. Raises what no other connection would mend.
    """

    def __init__(
        self,
        client: AsyncTaskClient,
        filter: str = "",  # noqa: A002  as the field is called
        resume_token: str = "",
        *,
        snapshot: bool = False,
    ) -> None:
        self._client = client
        self._filter = filter
        self._snapshot = snapshot
        self._reason = ""
        self._resume_token = resume_token
        self._stream: AsyncResuming[WatchTasksResponse] = AsyncResuming(
            self._open, silence=SILENCE, patience=PATIENCE, lasting=None
        )
        self._left: deque[Change | str] = deque()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._ended:
            if not self._left:
                await self._receive()
                continue
            item = self._left.popleft()
            if not isinstance(item, str):
                return item
            self._resume_token = item
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def resume_token(self) -> str:
        """Where another watch with the same filter would go on; empty while there is no such place."""
        if self._left and isinstance(token := self._left[0], str):
            self._resume_token = token
        return self._resume_token

    def close(self) -> None:
        """Stops watching."""
        self._ended = True
        self._stream.close()

    def _open(self) -> AsyncStream[WatchTasksResponse]:
        anew = self._snapshot and not self._resume_token
        if anew:
            # In place of one that no message came after.
            self._left = deque([SnapshotStart(self._reason)])
        return self._client.watch_tasks_stream(
            filter=self._filter, resume_token=self._resume_token, snapshot=anew
        )

    async def _receive(self) -> None:
        try:
            message = await self._stream.next()
        except errors.PositionExpired as error:
            self._resume_token, self._snapshot, self._reason = "", True, str(error)
            return
        if message is None:
            await self._stream.reopen()
            return
        self._reason = "the connection broke before the snapshot was complete"
        self._left.extend(message.tasks)
        self._left.extend(message.events)
        if message.HasField("snapshot_end"):
            self._left.append(message.snapshot_end)
        if message.resume_token:
            self._left.append(message.resume_token)

"""Handles: what `submit` and `run` give in place of ids."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from weir import errors
from weir.aio import io
from weir.aio.pages import AsyncPages
from weir.aio.watch import AsyncTaskWatch, Kind
from weir.deadline import Deadline, Timeout, in_seconds
from weir.retry import Backoff, resumes
from weir.sequence import TERMINAL
from weir.times import DurationLike
from weir.v1.collection_pb2 import Run
from weir.v1.task_pb2 import LOG_LEVEL_UNSPECIFIED, File, LogLevel, Task, TaskState
from weir.v1.task_service_pb2 import TASK_VIEW_FULL, CancelTaskResponse, ListFilesResponse, TaskView
from weir.values import enum_name

if TYPE_CHECKING:
    from weir.aio.collections import AsyncCollections
    from weir.aio.tasks import AsyncTasks

LONGEST_WAIT = 30.0
ANSWER = 10.0


class AsyncTaskHandle:
    """One task: follow it, wait for it, stop it."""

    def __init__(
        self, tasks: "AsyncTasks", task_id: str, *, created: bool = True, warnings: Iterable[str] = ()
    ) -> None:
        self._tasks = tasks
        self.id = task_id
        self.created = created
        self.warnings = list(warnings)

    def __repr__(self) -> str:
        return f"<task {self.id}>"

    async def get(self, *, view: TaskView.ValueType = TASK_VIEW_FULL, timeout: Timeout = None) -> Task:
        """The task as it is now."""
        return (await self._tasks.get_task(self.id, view=view, timeout=timeout)).task

    def watch(
        self,
        from_seq: int = 0,
        *,
        kinds: Iterable[Kind] = (),
        min_log_level: LogLevel.ValueType = LOG_LEVEL_UNSPECIFIED,
    ) -> AsyncTaskWatch:
        """Its events from `from_seq` on, each once, in order, to the terminal one."""
        return AsyncTaskWatch(self._tasks, self.id, from_seq, kinds, min_log_level)

    async def result(self, timeout: Timeout = None) -> dict[str, Any]:
        """The output, once there is one. Raises TaskFailed, TaskCancelled, or NotEnded after `timeout`.

        A large one is downloaded; ResultTooLarge beyond 256 MiB.
        """
        return await self._tasks.output(await self.wait(timeout))

    def artifacts(self, *, timeout: Timeout = None) -> AsyncPages[ListFilesResponse, File]:
        """The files of its newest attempt, newest first; `tasks.download` saves one."""
        return self._tasks.list_files(filter=f'task_id = "{self.id}"', timeout=timeout)

    async def wait(self, timeout: Timeout = None) -> Task:
        """The task once it has ended, however it ended; NotEnded when `timeout` is over before.

        A server that can't be reached in between is waited for.
        """
        deadline, backoff = Deadline(in_seconds(timeout)), Backoff()
        while True:
            waited = Deadline(min(LONGEST_WAIT, deadline.remaining()) / 2)
            try:
                task = await self._long_poll(deadline.remaining())
            except errors.CallError as error:
                if not resumes(error) or deadline.passed:
                    raise
            else:
                if task.state in TERMINAL:
                    return task
                if deadline.passed:
                    raise errors.NotEnded(self.id, enum_name(TaskState, task.state), deadline.seconds)
                if waited.passed:
                    backoff.reset()
                    continue
            await io.sleep(min(backoff.next(), deadline.remaining()))

    async def _long_poll(self, remaining: float) -> Task:
        """The task as soon as it ends or the wait is over; little more than what remains."""
        wait, timeout = min(LONGEST_WAIT, remaining), min(ANSWER, 1 + remaining)
        answer = await self._tasks.get_task(self.id, view=TASK_VIEW_FULL, wait=wait, timeout=timeout)
        return answer.task

    async def cancel(
        self,
        reason: str = "",
        *,
        grace: DurationLike = None,
        wait: DurationLike = None,
        timeout: Timeout = None,
    ) -> CancelTaskResponse:
        """Asks for it to be stopped; with `wait`, answers once nothing of it runs any more."""
        return await self._tasks.cancel_task(self.id, reason=reason, grace=grace, wait=wait, timeout=timeout)


class AsyncRunHandle:
    """One run of a collection, and the task that it is."""

    def __init__(
        self, collections: "AsyncCollections", task: AsyncTaskHandle, dataset_id: str, *, created: bool = True
    ) -> None:
        self._collections = collections
        self.task = task
        self.id = task.id
        self.dataset_id = dataset_id
        self.created = created

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    async def get(self, *, timeout: Timeout = None) -> Run:
        """The run as it is now."""
        return (await self._collections.get_run(self.id, timeout=timeout)).run

    def watch(
        self,
        from_seq: int = 0,
        *,
        kinds: Iterable[Kind] = (),
        min_log_level: LogLevel.ValueType = LOG_LEVEL_UNSPECIFIED,
    ) -> AsyncTaskWatch:
        """The events of its task."""
        return self.task.watch(from_seq, kinds=kinds, min_log_level=min_log_level)

    async def result(self, timeout: Timeout = None) -> Run:
        """The run with its counters, once it succeeded. Raises as a task's result does."""
        await self.task.result(timeout)
        return await self.get()

    async def cancel(
        self,
        reason: str = "",
        *,
        grace: DurationLike = None,
        wait: DurationLike = None,
        timeout: Timeout = None,
    ) -> CancelTaskResponse:
        """Asks for it to be stopped; what it has committed stays."""
        return await self.task.cancel(reason, grace=grace, wait=wait, timeout=timeout)

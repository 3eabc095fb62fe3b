"""`client.tasks`: the service as it is, and handles on top."""

import os
from collections.abc import Iterable, Mapping
from typing import IO, Any

from weir.blocking import files
from weir.blocking.files import Download
from weir.blocking.handles import TaskHandle
from weir.blocking.task_service import TaskClient
from weir.blocking.watch import Kind, TaskWatch
from weir.blocking.watch_tasks import TasksWatch
from weir.deadline import Timeout
from weir.outcome import LARGEST_RESULT, output_of, parsed
from weir.times import TimeLike
from weir.v1.task_pb2 import LOG_LEVEL_UNSPECIFIED, File, LogLevel, RetryPolicy, Task, Timeouts
from weir.values import StructLike


class Tasks(TaskClient):
    """Submit, follow and cancel tasks."""

    def submit(
        self,
        type: str,  # noqa: A002  as the field is called
        input: StructLike = None,  # noqa: A002  as the field is called
        *,
        project: str = "",
        queue: str = "",
        labels: Mapping[str, str] | None = None,
        start_after: TimeLike = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> TaskHandle:
        """Submits a task. A `request_id` of your own makes it once over all repeats of the program."""
        answer = self.submit_task(
            type=type,
            input=input,
            project=project,
            queue=queue,
            labels=labels,
            start_after=start_after,
            timeouts=timeouts,
            retry=retry,
            request_id=request_id,
            timeout=timeout,
        )
        return TaskHandle(self, answer.task.id, created=answer.created, warnings=answer.warnings)

    def handle(self, task_id: str) -> TaskHandle:
        """A handle for a task that is there already. Nothing is asked of the server."""
        return TaskHandle(self, task_id)

    def watch(
        self,
        task_id: str,
        from_seq: int = 0,
        *,
        kinds: Iterable[Kind] = (),
        min_log_level: LogLevel.ValueType = LOG_LEVEL_UNSPECIFIED,
    ) -> TaskWatch:
        """A task's events from `from_seq` on, each once, in order, to the terminal one."""
        return TaskWatch(self, task_id, from_seq, kinds, min_log_level)

    def watch_tasks(
        self,
        filter: str = "",  # noqa: A002  as the field is called
        *,
        snapshot: bool = False,
        resume_token: str = "",
    ) -> TasksWatch:
        """What changes among the tasks that match: Task, TaskEvent, and the marks around a snapshot."""
        return TasksWatch(self, filter, resume_token, snapshot=snapshot)

    def result(self, task_id: str, timeout: Timeout = None) -> dict[str, Any]:
        """A task's output, once there is one. Raises TaskFailed, TaskCancelled, or NotEnded."""
        return self.handle(task_id).result(timeout)

    def output(self, task: Task, most: int = LARGEST_RESULT) -> dict[str, Any]:
        """The output of a task that has ended, whole; a large one is downloaded. Raises as `result` does.

        ResultTooLarge where it has more than `most` bytes: `download` saves it.
        """
        small = output_of(task)
        if not task.output_file_id:
            return small
        return parsed(files.read(self._download(task.output_file_id, most)))

    def download(self, file_id: str, to: str | os.PathLike[str] | IO[bytes]) -> File:
        """Save a file to a path or an open file; its description.

        A broken connection is made good, the content is checked by its SHA-256, and at a path it stands
        only once it is whole. Raises DataLoss.
        """
        return files.save(self._download(file_id), to)

    def _download(self, file_id: str, most: int | None = None) -> Download:
        return Download(lambda offset: self.download_file_stream(file_id, offset=offset), most)

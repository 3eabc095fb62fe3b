"""Tasks that did not succeed: a class per kind of failure, which says who has to act."""

from typing import ClassVar

from weir.errors.roots import WeirError
from weir.v1 import task_pb2


class NotEnded(WeirError, TimeoutError):
    """The wait is over and the task still goes on."""

    def __init__(self, task_id: str, state: str, seconds: float) -> None:
        super().__init__(task_id, state, seconds)
        self.task_id = task_id
        self.state = state
        self.seconds = seconds

    def __str__(self) -> str:
        return f"task {self.task_id} is {self.state} after {self.seconds:g} s"


class ResultTooLarge(WeirError):
    """A task succeeded, and its result has more bytes than were to be taken into memory."""

    def __init__(self, file_id: str, size: int, most: int) -> None:
        super().__init__(file_id, size, most)
        self.file_id = file_id
        self.size = size
        self.most = most

    def __str__(self) -> str:
        return (
            f"the result has {self.size:,} bytes, more than {self.most:,}; "
            f"save it with tasks.download({self.file_id!r}, path)"
        )


class TaskEnded(WeirError):
    """A task ended without success."""

    def __init__(self, task: task_pb2.Task) -> None:
        super().__init__(task)
        self.task = task
        self.task_id = task.id
        self.failure = task.failure

    def __str__(self) -> str:
        return self._sentence()

    @property
    def log_tail(self) -> list[str]:
        """The last log lines before the end, oldest first."""
        return [line.text for line in self.failure.log_tail]

    def _sentence(self) -> str:
        reason = self.task.cancellation.reason
        return f"task {self.task_id} was cancelled{': ' if reason else ''}{reason}"


class TaskCancelled(TaskEnded):
    """The task was cancelled, and nothing of it runs any more."""


class TaskFailed(TaskEnded):
    """The task failed, with no attempt left."""

    kind: ClassVar[str] = ""

    def _sentence(self) -> str:
        tries = f" after {self.task.attempt} attempts" if self.task.attempt > 1 else ""
        return f"task {self.task_id} failed{tries}: {self.failure.message or self.kind}"


class InvalidInput(TaskFailed):
    """The input is wrong; the caller must change it."""

    kind = "INVALID_INPUT"


class HandlerFailed(TaskFailed):
    """The handler's code raised."""

    kind = "USER_ERROR"


class RetriesUsedUp(TaskFailed):
    """The handler asked for another try, and there was none left."""

    kind = "RETRYABLE"


class DependencyFailed(TaskFailed):
    """An outside system refused or was down."""

    kind = "DEPENDENCY"


class SourceRateLimited(TaskFailed):
    """An outside system asked to slow down until no try was left."""

    kind = "RATE_LIMITED"


class TimedOut(TaskFailed):
    """A time limit passed; `failure.timeout` says which."""

    kind = "TIMEOUT"


class LostWorker(TaskFailed):
    """Workers died, froze or lost their lease until no try was left."""

    kind = "LOST_WORKER"


class OutOfResource(TaskFailed):
    """Memory, disk, processes or another resource ran out."""

    kind = "RESOURCE"


class ProcessExit(TaskFailed):
    """A process ended with a non-zero code of its own."""

    kind = "EXIT"


class GuardFailed(TaskFailed):
    """A check on the result failed."""

    kind = "GUARD"


class UpstreamFailed(TaskFailed):
    """A task that this one needs the success of did not succeed."""

    kind = "UPSTREAM"


class WeirFault(TaskFailed):
    """A defect or fault of Weir."""

    kind = "INTERNAL"

"""How a task ended, as a value or an exception."""

from typing import Any

from weir import errors
from weir.v1.task_pb2 import TASK_STATE_CANCELLED as CANCELLED
from weir.v1.task_pb2 import TASK_STATE_SUCCEEDED, FailureKind, Task
from weir.values import enum_name, from_struct

_BY_KIND: dict[str, type[errors.TaskFailed]] = {
    kind.kind: kind for kind in errors.TaskFailed.__subclasses__()
}


def output_of(task: Task) -> dict[str, Any]:
    """The result of a task that succeeded; raises for one that did not."""
    if task.state == TASK_STATE_SUCCEEDED:
        return from_struct(task.output)
    if task.state == CANCELLED:
        raise errors.TaskCancelled(task)
    kind = enum_name(FailureKind, task.failure.kind)
    raise _BY_KIND.get(kind, errors.TaskFailed)(task)

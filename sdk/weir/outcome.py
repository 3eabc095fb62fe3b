"""How a task ended, as a value or an exception."""

import json
from typing import Any, Final

from weir import errors
from weir.v1.task_pb2 import TASK_STATE_CANCELLED as CANCELLED
from weir.v1.task_pb2 import TASK_STATE_SUCCEEDED, FailureKind, Task
from weir.values import SAFE_INTEGER, enum_name, from_struct

LARGEST_RESULT: Final = 256 << 20
"""Bytes of a result that is taken into memory without having been asked to take more."""

_BY_KIND: dict[str, type[errors.TaskFailed]] = {
    kind.kind: kind for kind in errors.TaskFailed.__subclasses__()
}


def output_of(task: Task) -> dict[str, Any]:
    """The result of a task that succeeded, empty where a file has it; raises for one that did not."""
    if task.state == TASK_STATE_SUCCEEDED:
        return from_struct(task.output)
    if task.state == CANCELLED:
        raise errors.TaskCancelled(task)
    kind = enum_name(FailureKind, task.failure.kind)
    raise _BY_KIND.get(kind, errors.TaskFailed)(task)


def parsed(text: bytes) -> dict[str, Any]:
    """A result from its JSON, with numbers as a small one has them: what a double can't hold is text."""
    return json.loads(text, parse_int=_integer, parse_float=_number)


def _integer(text: str) -> int | str:
    return text if abs(int(text)) > SAFE_INTEGER else int(text)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() and abs(number) <= SAFE_INTEGER else number

"""What is said of an error of the SDK's: what failed, where, what would be right, what helps."""

from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from weir import errors
from weir.cli import exits
from weir.cli.advice import advice
from weir.cli.output import printable

_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.TaskEnded, exits.TASK_FAILED),
    (errors.InvalidArgument, exits.USAGE),
    (errors.ClientError, exits.USAGE),
    (errors.Unavailable, exits.UNREACHABLE),
    (errors.DeadlineExceeded, exits.UNREACHABLE),
    (errors.Unauthenticated, exits.NOT_ALLOWED),
    (errors.PermissionDenied, exits.NOT_ALLOWED),
    (errors.NotFound, exits.NOT_FOUND),
    (errors.WeirError, exits.FAILED),
)
_LOG_LINES: Final = 5


def status(error: Exception) -> int | None:
    """The exit status; None for what is no error of the SDK's."""
    return next((number for kind, number in _STATUS if isinstance(error, kind)), None)


def as_text(error: Exception) -> str:
    """Lines for people."""
    lines = [_message(error), *(f"  {line}" for line in _details(error))]
    lines += [f"  {helps}"] if (helps := advice(error)) else []
    if isinstance(error, errors.CallError) and error.request_id:
        lines.append(f"  request {error.request_id}")
    return "weir: " + "\n".join(printable(part) for line in lines for part in line.splitlines())


def as_json(error: Exception) -> dict[str, Any]:
    """The same for programs."""
    told: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": _message(error),
        "help": advice(error),
    }
    match error:
        case errors.TaskEnded():
            failure = MessageToDict(error.failure, preserving_proto_field_name=True)
            told |= {"task_id": error.task_id, "failure": failure}
        case errors.CallError():
            told |= {
                "code": error.code,
                "reason": error.reason,
                "metadata": error.metadata,
                "violations": [vars(each) for each in error.violations],
                "request_id": error.request_id,
            }
        case _:
            pass
    return told


def _message(error: Exception) -> str:
    return (error.message or error.code) if isinstance(error, errors.CallError) else str(error)


def _details(error: Exception) -> list[str]:
    match error:
        case errors.CallError():
            wrong = [each for each in error.violations if each.description not in error.message]
            return [f"{each.field}: {each.description}" for each in wrong]
        case errors.TaskFailed():
            return _causes(error)
        case _:
            return []


def _causes(error: errors.TaskFailed) -> list[str]:
    """From what surfaced first to the first cause, and the last words before the end."""
    failure = error.failure
    told = [f"kind {error.kind}{f', code {failure.code}' if failure.code else ''}"]
    for each in failure.causes:
        where = f" ({each.location})" if each.location else ""
        told.append(f"caused by {each.type}: {each.message}{where}")
    return told + [f"log: {text}" for text in error.log_tail[-_LOG_LINES:]]

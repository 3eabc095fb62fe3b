"""What to do about an error: where there is one, the command that helps."""

import sys
from typing import Final

from weir import errors

_LISTED: Final = ("collections", "datasets", "keys", "queues", "tasks", "users", "workers")

# The first line whose class and command fit; an empty command fits all.
_TABLE: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (errors.TaskEnded, "", "see its whole log with: weir tasks events {task_id}"),
    (errors.NotEnded, "", "look again with: weir tasks watch {task_id}"),
    (errors.Unauthenticated, "login", "see that name and password are right; tries are limited"),
    (errors.Unauthenticated, "", "sign in with: weir login"),
    (errors.PermissionDenied, "", "see what you may do with: weir users get self"),
    (errors.DependencyDown, "", "see how the server is with: weir status"),
    (errors.Draining, "", "try again in a moment; see how the server is with: weir status"),
    (
        errors.Unavailable,
        "",
        "is the server up at this address? start one: weir up; look closer: weir doctor",
    ),
    (errors.DeadlineExceeded, "", "see how the server is with: weir status"),
    (errors.NotFound, "tasks type", "see what there is with: weir tasks types"),
    (errors.NotFound, "tasks download", "see what there is with: weir tasks files TASK"),
    (errors.NotFound, "", "see what there is with: weir {group} list"),
    (errors.SchemaMismatch, "tasks submit", "see what it takes with: weir tasks type TYPE"),
    (errors.FieldInvalid, "tasks submit", "see what there is with: weir tasks types"),
    (errors.InvalidArgument, "", "see: weir {command} --help"),
)
_PLAIN_TEXT: Final = (
    "here: weir login with --tls, --ca FILE or --insecure; beside WEIR_API_KEY: WEIR_TLS=1, WEIR_CA=FILE or "
    "WEIR_INSECURE=1"
)


def advice(error: Exception) -> str:
    """One sentence; empty where there is nothing to say."""
    if isinstance(error, errors.ClientError):
        return _PLAIN_TEXT if "without TLS" in str(error) else ""
    if isinstance(error, errors.CallError) and error.help != error.default_help:
        return error.help
    words = _words()
    command = " ".join(words[:2])
    for kind, where, text in _TABLE:
        if isinstance(error, kind) and command.startswith(where):
            return text.format(
                task_id=getattr(error, "task_id", ""),
                group=words[0] if words and words[0] in _LISTED else "tasks",
                command=command,
            )
    return error.help if isinstance(error, errors.CallError) else ""


def _words() -> list[str]:
    """The command line without its options; a value of one may stand among them, behind the command."""
    return [word for word in sys.argv[1:] if not word.startswith("-")]

"""How the command ends when something went wrong: what, where, what would be right, what helps."""

import json
import sys
from typing import Any

import click

from weir.cli import exits


def run(command: click.Command) -> int:
    """Run the command; its exit status."""
    try:
        return command.main(standalone_mode=False) or exits.OK
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Who reads had enough, as `head` does; the exit must not try to flush once more.
        sys.stdout = None
        return exits.OK
    except Exception as error:
        # The SDK is loaded by what calls the server only; where it isn't, it can't be what failed.
        if "weir.errors" in sys.modules and (told := _told(error)):
            return told
        raise


def _told(error: Exception) -> int | None:
    from weir import errors

    if not isinstance(error, errors.WeirError):
        return None
    click.echo(_as_json(error) if "--json" in sys.argv else _as_text(error), err=True)
    return _status(error)


def _status(error: Exception) -> int:
    from weir import errors

    table: tuple[tuple[type[Exception], int], ...] = (
        (errors.TaskEnded, exits.TASK_FAILED),
        (errors.InvalidArgument, exits.USAGE),
        (errors.ClientError, exits.USAGE),
        (errors.Unavailable, exits.UNREACHABLE),
        (errors.DeadlineExceeded, exits.UNREACHABLE),
        (errors.Unauthenticated, exits.NOT_ALLOWED),
        (errors.PermissionDenied, exits.NOT_ALLOWED),
        (errors.NotFound, exits.NOT_FOUND),
    )
    return next((status for kind, status in table if isinstance(error, kind)), exits.FAILED)


def _as_text(error: Exception) -> str:
    from weir import errors

    if not isinstance(error, errors.CallError):
        return f"weir: {error}"
    lines = [f"weir: {error.message or error.code}"]
    lines += [f"  {each.field}: {each.description}" for each in error.violations]
    lines += [f"  {helps}"] if (helps := _help(error)) else []
    lines += [f"  request {error.request_id}"] if error.request_id else []
    return "\n".join(lines)


def _help(error: Any) -> str:
    from weir import errors

    if isinstance(error, errors.Unauthenticated):
        return "sign in with: weir login"
    if isinstance(error, errors.Unavailable):
        return "is the server up at this address? start one with `weir up`, or see: weir doctor"
    return error.help


def _as_json(error: Exception) -> str:
    from weir import errors

    told: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, errors.CallError):
        told |= {
            "message": error.message,
            "code": error.code,
            "reason": error.reason,
            "metadata": error.metadata,
            "violations": [
                {"field": each.field, "description": each.description} for each in error.violations
            ],
            "help": _help(error),
            "request_id": error.request_id,
        }
    return json.dumps({"error": told}, ensure_ascii=False)

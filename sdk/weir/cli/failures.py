"""How the command ends when something went wrong."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from weir.cli import exits


def run(command: click.Command) -> int:
    """Run the command; its exit status."""
    try:
        return command.main(standalone_mode=False) or exits.OK
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return exits.INTERRUPTED
    except Exception as error:
        if (told := _told(error)) is not None:
            return told
        raise


def _told(error: Exception) -> int | None:
    """Say what is known of the error; None for a defect, which keeps its traceback."""
    if isinstance(error, click.ClickException):
        return _refused(error)
    # The SDK is loaded by what calls the server only; where it isn't, it can't be what failed.
    if "weir.errors" in sys.modules:
        from weir.cli.telling import as_json, as_text, status

        if (ended := status(error)) is not None:
            _show(as_json(error), as_text(error))
            return ended
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
        _show({"kind": type(error).__name__, "message": text}, f"weir: {text}")
        return exits.FAILED
    return None


def _refused(error: click.ClickException) -> int:
    """The command line itself is wrong, or a command stopped with one sentence."""
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    usage = f"{context.get_usage()}\n" if context else ""
    helps = f"{context.command_path} --help" if context else ""
    told = {"kind": type(error).__name__, "message": message, "help": helps}
    _show(told, f"{usage}weir: {message}" + (f"\n  see: {helps}" if helps else ""))
    return error.exit_code


def _show(told: Mapping[str, Any], text: str) -> None:
    as_json = "--json" in sys.argv
    click.echo(json.dumps({"error": told}, ensure_ascii=False) if as_json else text, err=True)

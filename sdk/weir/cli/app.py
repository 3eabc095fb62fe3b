"""`weir`: the main group, whose commands are loaded when they are called.

Commands of the other distributions join by the entry point group `weir.commands`. The help of the group
reads their docstrings from their files, so that `weir --help` loads none of them.
"""

import ast
import os
import sys
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

try:
    import click
except ImportError:
    sys.exit("the command line needs click and rich: pip install 'weir-sdk[cli]'")

from weir.cli import exits

_OWN = {
    "collections": "weir.cli.collections:command",
    "datasets": "weir.cli.datasets:command",
    "keys": "weir.cli.keys:command",
    "login": "weir.cli.login:login",
    "logout": "weir.cli.login:logout",
    "status": "weir.cli.status:command",
    "tasks": "weir.cli.tasks:command",
    "users": "weir.cli.users:command",
}


class _Commands(click.Group):
    """Commands by name, each loaded from its own module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_places())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _places().get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        return getattr(import_module(module), attribute)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Who reads had enough, as `head` does; what is still to be flushed at the end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(exits.OK)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_line(place)) for name, place in sorted(_places().items())])


def _version(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:  # noqa: FBT001  click's
    if asked:
        from weir import __version__

        click.echo(f"weir {__version__}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exits.EXITS,
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Version."
)
def weir() -> None:
    """Submit tasks, watch them live, collect data and read it back."""


def main() -> None:
    """The entry point of the command."""
    from weir.cli.failures import run

    sys.exit(run(weir))


def _places() -> dict[str, str]:
    joined: list[EntryPoint] = list(entry_points(group="weir.commands"))
    return _OWN | {point.name: point.value for point in joined}


def _first_line(place: str) -> str:
    """The first line of the command function's docstring, read without running the module."""
    module, _, attribute = place.partition(":")
    try:
        spec = find_spec(module)
        tree = ast.parse(Path(spec.origin).read_text()) if spec and spec.origin else ast.Module([], [])
    except (ImportError, OSError, SyntaxError):
        return "(can't be loaded)"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""

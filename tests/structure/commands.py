"""What `weir` knows: its commands with their options, and the variables that its code reads."""

import re
from collections.abc import Iterable
from pathlib import Path

import click

from weir.cli.app import weir
from weir_core.config import Settings

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\bWEIR_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
_HELP = {"-h", "--help"}


def fault_of(words: Iterable[str], command: click.Command = weir) -> str:
    """What is wrong with `weir WORDS`: a command or an option that there is not; empty: nothing."""
    waiting = list(words)
    places = 0
    while waiting:
        word = waiting.pop(0)
        if word.startswith("-") and word != "-":
            name, _, value = word.partition("=")
            option = _option(command, name)
            if option is None and name not in _HELP:
                return f"{command.name} has no option {name}"
            if option is not None and not option.is_flag and not value and waiting:
                waiting.pop(0)
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return f"{command.name} has no command {word}"
            command = found
        else:
            places += 1
    most = sum(1 for parameter in command.params if isinstance(parameter, click.Argument))
    return "" if places <= most else f"{command.name} takes {most} arguments, not {places}"


def variables() -> set[str]:
    """The variables that Weir reads: its settings, and those that its code names."""
    settings = {f"WEIR_{name.upper()}" for name in Settings.model_fields}
    sources = [path for part in ("sdk/weir", "server", "workers") for path in (ROOT / part).rglob("*.py")]
    return settings | {name for path in sources for name in re.findall(r'"(WEIR_[A-Z_]+)"', path.read_text())}


def _option(command: click.Command, name: str) -> click.Option | None:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and name in (*parameter.opts, *parameter.secondary_opts):
            return parameter
    return None

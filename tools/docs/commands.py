"""The command line, as its own help tells it."""

from collections.abc import Iterator

import click

from tools.docs.markdown import code, table
from weir.cli.app import weir
from weir.cli.exits import EXITS


def commands() -> str:
    """Every command with its options."""
    return "\n\n".join(_told(context) for context in _leaves(click.Context(weir, info_name="weir")))


def exits() -> str:
    """What the exit status says."""
    told = EXITS.removeprefix("Exit status: ").removesuffix(".").split("; ")
    return table(("status", "what it says"), (_halves(each) for each in told))


def _leaves(context: click.Context) -> Iterator[click.Context]:
    group = context.command
    if not isinstance(group, click.Group):
        yield context
        return
    for name in group.list_commands(context):
        if (found := group.get_command(context, name)) is not None and not found.hidden:
            yield from _leaves(click.Context(found, parent=context, info_name=name))


def _told(context: click.Context) -> str:
    command = context.command
    pieces = (piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    usage = " ".join((context.command_path, *pieces))
    parts = [f"### `{usage}`", " ".join((command.help or "").split())]
    options = [each for each in command.params if isinstance(each, click.Option)]
    records = [record for each in options if (record := each.get_help_record(context))]
    if records:
        parts.append(
            table(
                ("option", "what it does"), ((code(names), " ".join(said.split())) for names, said in records)
            )
        )
    return "\n\n".join(parts)


def _halves(text: str) -> tuple[str, str]:
    number, _, said = text.partition(" ")
    return code(number), said

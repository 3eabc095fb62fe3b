"""How answers are shown: a table for people, a JSON object a line for programs."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any, Final, cast

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from weir.values import SAFE_INTEGER

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")

_WIDEST: Final = 60
# A table's columns are as wide as these many rows need.
_MEASURED: Final = 500


def show_list(entries: Iterable[Message], columns: tuple[str, ...], *, json_lines: bool) -> None:
    """Entries in JSON as they come, or as a table of some fields, named by their paths."""
    if json_lines:
        for entry in entries:
            show_json(entry)
        return
    names = [path.rpartition(".")[2].upper() for path in columns]
    show_table(names, ([_cell(entry, path) for path in columns] for entry in entries))


def show_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows in columns as wide as the first rows need; what is wider is not cut."""
    coming = ([printable(cell) for cell in row] for row in rows)
    first = list(islice(coming, _MEASURED))
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(names, *first, strict=True)]
    for row in chain((names,), first, coming):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_json(message: Message) -> None:
    """A message on one line, by the contract's field names."""
    click.echo(json.dumps(_plain(message), ensure_ascii=False))


def show(message: Message, *, json_lines: bool) -> None:
    """A message, indented for people."""
    if json_lines:
        show_json(message)
        return
    click.echo(json.dumps(_plain(message), ensure_ascii=False, indent=2))


def show_value(value: Any, *, json_lines: bool) -> None:
    """A JSON value, indented for people."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=None if json_lines else 2))


def printable(text: str) -> str:
    """The text on one line, without what would steer a terminal: it may be anybody's."""
    return "".join(char if char.isprintable() else _visible(char) for char in text)


def read_json(text: str, what: str) -> dict[str, Any]:
    """A JSON object given on the command line, or in a file as `@FILE` (`@-`: standard input)."""
    if text.startswith("@"):
        try:
            with click.open_file(text[1:]) as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise click.UsageError(f"{what}: the file {text[1:]!r} can't be read: {why}") from None
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise click.UsageError(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f'{what} must be a JSON object, such as {{"url": "https://example.org"}}')
    return cast("dict[str, Any]", value)


def _plain(message: Message) -> Any:
    return _whole(MessageToDict(message, preserving_proto_field_name=True))


def _whole(value: Any) -> Any:
    """A JSON value whose whole numbers look whole: the wire knows doubles only."""
    match value:
        case dict():
            return {key: _whole(item) for key, item in cast("dict[str, Any]", value).items()}
        case list():
            return [_whole(item) for item in cast("list[Any]", value)]
        case float() if value.is_integer() and abs(value) <= SAFE_INTEGER:
            return int(value)
        case _:
            return value


def _cell(message: Any, path: str) -> str:
    *parents, name = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    field, value = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if field.is_repeated:
        value = value[0] if value else "-"
    if field.enum_type is not None:
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        known = field.enum_type.values_by_number.get(value)
        return known.name.removeprefix(prefix) if known and value else str(value or "-")
    if isinstance(value, Timestamp):
        return value.ToJsonString()[:19] if field.is_repeated or message.HasField(name) else "-"
    return str(value).partition("\n")[0]


def _visible(char: str) -> str:
    return char.encode("unicode_escape").decode()

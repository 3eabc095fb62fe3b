"""How answers are shown: a table for people, a JSON object a line for programs."""

import json
from collections.abc import Iterable
from typing import Any, cast

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def show_list(entries: Iterable[Message], columns: tuple[str, ...], *, json_lines: bool) -> None:
    """Entries in JSON as they come, or as a table of some fields, named by their paths."""
    if json_lines:
        for entry in entries:
            show_json(entry)
        return
    rows = [[_cell(entry, path) for path in columns] for entry in entries]
    names = [path.rpartition(".")[2].upper() for path in columns]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(message: Any, path: str) -> str:
    *parents, name = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    field, value = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    if field.is_repeated:
        value = value[0] if value else "-"
    if field.enum_type is not None:
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        return field.enum_type.values_by_number[value].name.removeprefix(prefix) if value else "-"
    return value.ToJsonString()[:19] if isinstance(value, Timestamp) else str(value).partition("\n")[0]


def show_json(message: Message) -> None:
    """A message on one line, by the contract's field names."""
    click.echo(json.dumps(MessageToDict(message, preserving_proto_field_name=True), ensure_ascii=False))


def show(message: Message, *, json_lines: bool) -> None:
    """A message, indented for people."""
    if json_lines:
        show_json(message)
        return
    click.echo(
        json.dumps(MessageToDict(message, preserving_proto_field_name=True), ensure_ascii=False, indent=2)
    )


def read_json(text: str, what: str) -> dict[str, Any]:
    """A JSON object given on the command line, or in a file as `@FILE`."""
    if text.startswith("@"):
        with click.open_file(text[1:]) as file:
            text = file.read()
    try:
        value = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise click.UsageError(f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f'{what} must be a JSON object, such as {{"url": "https://example.org"}}')
    return cast("dict[str, Any]", value)

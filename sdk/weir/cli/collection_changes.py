"""The commands of `weir collections` that change and delete."""

from typing import Any

import click
from google.protobuf.struct_pb2 import Value

from weir.cli.naming import collection_id, connection_id
from weir.cli.output import as_json, read_json, show
from weir.cli.profile import connected
from weir.cli.settings import cursor_value, secret
from weir.types import Collection, Connection
from weir.values import to_struct


@click.command("update-connection")
@click.argument("connection")
@click.option("--name", default="", help="Another name.")
@click.option("--settings", default="", help="JSON, or @FILE, in the place of the settings.")
@click.option(
    "--secret", "secrets", multiple=True, help="NAME=VARIABLE: the environment variable it stands in."
)
@as_json
def update_connection(
    *, connection: str, name: str, settings: str, secrets: tuple[str, ...], as_json: bool
) -> None:
    """Change a connection, by name or id; the secrets that are not named stay as they are."""
    given = dict(secret(each) for each in secrets)
    wanted: dict[str, Any] = {"name": name, "settings": _settings(settings)}
    mask = [field for field, value in wanted.items() if value] + [f"secrets.{each}" for each in given]
    if not mask:
        raise click.UsageError("say what to change: --name, --settings or --secret")
    with connected() as client:
        changed = Connection(id=connection_id(client, connection), secrets=given, **wanted)
        answer = client.collections.update_connection(connection=changed, update_mask=mask)
    show(answer.connection, json_lines=as_json)


@click.command("delete-connection")
@click.argument("connection")
def delete_connection(connection: str) -> None:
    """Delete a connection that no collection uses, by name or id, with its secrets."""
    with connected() as client:
        client.collections.delete_connection(connection_id(client, connection))


@click.command()
@click.argument("collection")
@click.option("--name", default="", help="Another name.")
@click.option("--settings", default="", help="JSON, or @FILE, in the place of the settings.")
@as_json
def update(*, collection: str, name: str, settings: str, as_json: bool) -> None:
    """Change a collection, by name or id."""
    wanted: dict[str, Any] = {"name": name, "settings": _settings(settings)}
    mask = [field for field, value in wanted.items() if value]
    if not mask:
        raise click.UsageError("say what to change: --name or --settings")
    with connected() as client:
        changed = Collection(id=collection_id(client, collection), **wanted)
        answer = client.collections.update_collection(collection=changed, update_mask=mask)
    show(answer.collection, json_lines=as_json)


@click.command()
@click.argument("collection")
def delete(collection: str) -> None:
    """Delete a collection that has no run in progress, by name or id. Its dataset stays."""
    with connected() as client:
        client.collections.delete_collection(collection_id(client, collection))


@click.command("set-cursor")
@click.argument("collection")
@click.argument("cursor", required=False)
@click.option("--none", is_flag=True, help="Back to the start: the next run reads everything.")
@as_json
def set_cursor(*, collection: str, cursor: str | None, none: bool, as_json: bool) -> None:
    """Say how far a collection has come: a value of its cursor field, or --none."""
    if none == (cursor is not None):
        raise click.UsageError("say a CURSOR, or --none")
    value: Value | str | float | None = cursor_value(cursor) if cursor is not None else None
    with connected() as client:
        answer = client.collections.set_cursor(collection_id(client, collection), cursor=value)
    show(answer.collection, json_lines=as_json)


def _settings(text: str) -> Any:
    return to_struct(read_json(text, "--settings"), "settings") if text else None


COMMANDS = (update_connection, delete_connection, update, delete, set_cursor)

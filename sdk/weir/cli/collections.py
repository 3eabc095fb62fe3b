"""`weir collections`: connections, collections and their runs."""

import os

import click

from weir.cli import exits
from weir.cli.following import follow, succeeded
from weir.cli.output import as_json, read_json, show, show_list
from weir.cli.profile import connected
from weir.v1.collection_pb2 import SyncMode


@click.group()
def command() -> None:
    """Describe sources, collect them, look at runs."""


@command.command()
@as_json
def connectors(*, as_json: bool) -> None:
    """List the kinds of source that can be read."""
    with connected() as client:
        columns = ("name", "description")
        show_list(client.collections.list_connectors(), columns, json_lines=as_json)


@command.command()
@as_json
def connections(*, as_json: bool) -> None:
    """List connections."""
    with connected() as client:
        columns = ("id", "name", "connector")
        show_list(client.collections.list_connections(), columns, json_lines=as_json)


@command.command("create-connection")
@click.argument("name")
@click.option("--connector", default="http", show_default=True)
@click.option("--settings", required=True, help="JSON, or @FILE.")
@click.option(
    "--secret", "secrets", multiple=True, help="NAME=VARIABLE: the environment variable it stands in."
)
@click.option("--allow-private", is_flag=True, help="May reach private and loopback addresses.")
@as_json
def create_connection(
    name: str, connector: str, settings: str, secrets: tuple[str, ...], *, allow_private: bool, as_json: bool
) -> None:
    """Create a connection."""
    with connected() as client:
        answer = client.collections.create_connection(
            name=name,
            connector=connector,
            settings=read_json(settings, "--settings"),
            secrets=dict(_secret(each) for each in secrets),
            allow_private_addresses=allow_private,
        )
    show(answer.connection, json_lines=as_json)


@command.command()
@click.argument("name")
@click.option("--connection", "connection_id", required=True, help="Id of the connection.")
@click.option("--mode", type=click.Choice(["full", "incremental"]), default="full", show_default=True)
@click.option("--cursor-field", default="", help="Column to go forward by; for incremental.")
@click.option("--settings", required=True, help="JSON, or @FILE.")
@as_json
def create(
    name: str, connection_id: str, mode: str, cursor_field: str, settings: str, *, as_json: bool
) -> None:
    """Create a collection."""
    with connected() as client:
        answer = client.collections.create_collection(
            name=name,
            connection_id=connection_id,
            mode=SyncMode.Value(f"SYNC_MODE_{mode.upper()}"),
            cursor_field=cursor_field,
            settings=read_json(settings, "--settings"),
        )
    show(answer.collection, json_lines=as_json)


@command.command("list")
@as_json
def list_collections(*, as_json: bool) -> None:
    """List collections."""
    with connected() as client:
        columns = ("id", "name", "mode", "last_run.state")
        show_list(client.collections.list_collections(), columns, json_lines=as_json)


@command.command()
@click.argument("collection_id")
@as_json
def get(collection_id: str, *, as_json: bool) -> None:
    """Show a collection with its cursor."""
    with connected() as client:
        show(client.collections.get_collection(collection_id).collection, json_lines=as_json)


@command.command()
@click.argument("collection_id")
@click.option("--full", is_flag=True, help="Read everything anew.")
@as_json
def run(collection_id: str, *, full: bool, as_json: bool) -> None:
    """Run a collection, and follow it to its end."""
    with connected() as client:
        started = client.collections.run(collection_id, full=full)
        ok = succeeded(follow(started.watch(), json_lines=as_json))
        if not as_json:
            show(client.collections.get_run(started.id).run.counters, json_lines=False)
    raise SystemExit(exits.OK if ok else exits.TASK_FAILED)


@command.command()
@click.option("--filter", "filter_text", default="", help="Such as: state = FAILED")
@as_json
def runs(filter_text: str, *, as_json: bool) -> None:
    """List runs, newest first."""
    with connected() as client:
        columns = ("id", "collection_id", "state", "counters.records_written")
        show_list(client.collections.list_runs(filter=filter_text), columns, json_lines=as_json)


def _secret(text: str) -> tuple[str, str]:
    name, _, variable = text.partition("=")
    if not variable or variable not in os.environ:
        raise click.UsageError(
            f"--secret {name}=VARIABLE: names an environment variable that is set, so that no secret stands "
            "in the list of processes"
        )
    return name, os.environ[variable]

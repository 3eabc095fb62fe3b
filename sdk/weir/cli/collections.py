"""`weir collections`: connections, collections and their runs."""

from datetime import timedelta
from itertools import islice

import click

from weir.cli.collection_changes import COMMANDS
from weir.cli.following import follow, interruptible
from weir.cli.naming import collection_id, connection_id
from weir.cli.output import as_json, read_json, show, show_json, show_list
from weir.cli.profile import connected
from weir.cli.settings import cursor_value, secret
from weir.cli.timing import LENGTH
from weir.outcome import output_of
from weir.v1.collection_pb2 import Politeness, SyncMode
from weir.v1.task_pb2 import FailureKind

_MODES = ["full", "append", "incremental", "merge"]


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
@click.option("--filter", "filter_text", default="", help="Such as: connector = http")
@as_json
def connections(filter_text: str, *, as_json: bool) -> None:
    """List connections."""
    with connected() as client:
        columns = ("id", "name", "connector")
        show_list(client.collections.list_connections(filter=filter_text), columns, json_lines=as_json)


@command.command("connection")
@click.argument("connection")
@as_json
def get_connection(connection: str, *, as_json: bool) -> None:
    """Show a connection, by name or id, without its secrets."""
    with connected() as client:
        found = client.collections.get_connection(connection_id(client, connection)).connection
        show(found, json_lines=as_json)


@command.command("create-connection")
@click.argument("name")
@click.option("--connector", default="http", show_default=True)
@click.option("--secrets-only", is_flag=True, help="No connector: a set of secrets for the inputs of tasks.")
@click.option("--project", default="", help="Project it belongs to; default: `default`.")
@click.option("--settings", default="{}", help="JSON, or @FILE.")
@click.option(
    "--secret", "secrets", multiple=True, help="NAME=VARIABLE: the environment variable it stands in."
)
@click.option("--allow-private", is_flag=True, help="May reach private and loopback addresses.")
@click.option("--max-concurrency", type=int, default=0, help="Runs over it at a time; default: 4.")
@click.option("--max-per-minute", type=int, default=0, help="Requests a minute; default: no limit.")
@as_json
def create_connection(
    *,
    name: str,
    connector: str,
    secrets_only: bool,
    project: str,
    settings: str,
    secrets: tuple[str, ...],
    allow_private: bool,
    max_concurrency: int,
    max_per_minute: int,
    as_json: bool,
) -> None:
    """Create a connection."""
    with connected() as client:
        answer = client.collections.create_connection(
            name=name,
            connector="" if secrets_only else connector,
            project=project,
            settings=read_json(settings, "--settings"),
            secrets=dict(secret(each) for each in secrets),
            allow_private_addresses=allow_private,
            politeness=Politeness(max_concurrency=max_concurrency, max_per_minute=max_per_minute),
        )
    show(answer.connection, json_lines=as_json)


@command.command()
@click.argument("name")
@click.option("--connection", required=True, help="Name or id of the connection.")
@click.option("--project", default="", help="Project it belongs to; default: `default`.")
@click.option("--stream", default="", help="What to read, where the connector has streams: see `check`.")
@click.option("--mode", type=click.Choice(_MODES), default="full", show_default=True)
@click.option("--cursor-field", default="", help="Column to go forward by; for incremental and merge.")
@click.option("--key", "key_fields", multiple=True, help="A column of the key; for merge.")
@click.option("--deleted-field", default="", help="Column that says that a record is deleted; for merge.")
@click.option("--lag", type=LENGTH, help="Read again what lies so far before the cursor; for merge.")
@click.option("--dataset", default="", help="Name of the dataset; default: the collection's own.")
@click.option("--settings", required=True, help="JSON, or @FILE.")
@as_json
def create(
    *,
    name: str,
    connection: str,
    project: str,
    stream: str,
    mode: str,
    cursor_field: str,
    key_fields: tuple[str, ...],
    deleted_field: str,
    lag: timedelta | None,
    dataset: str,
    settings: str,
    as_json: bool,
) -> None:
    """Create a collection."""
    with connected() as client:
        answer = client.collections.create_collection(
            name=name,
            connection_id=connection_id(client, connection),
            project=project,
            stream=stream,
            mode=SyncMode.Value(f"SYNC_MODE_{mode.upper()}"),
            cursor_field=cursor_field,
            key_fields=key_fields,
            deleted_field=deleted_field,
            lag=lag,
            dataset=dataset,
            settings=read_json(settings, "--settings"),
        )
    show(answer.collection, json_lines=as_json)


@command.command()
@click.argument("connection")
@click.option("--discover", is_flag=True, help="List what can be read over it, too.")
@as_json
def check(*, connection: str, discover: bool, as_json: bool) -> None:
    """Try a connection, by name or id.

    Exits with 1 where it does not work; with --json shows the answer either way.
    """
    with connected() as client:
        answer = client.collections.check_connection(
            connection_id=connection_id(client, connection), discover=discover
        )
    tried = answer.check
    if as_json:
        show_json(answer)
    elif tried.ok:
        click.echo(f"works, answered in {tried.latency.ToTimedelta().total_seconds():.2f} s")
        if discover:
            show_list(answer.streams, ("name", "estimated_records"), json_lines=False)
    if not tried.ok:
        kind = FailureKind.Name(tried.failure.kind).removeprefix("FAILURE_KIND_")
        raise click.ClickException(f"the connection does not work: {kind}: {tried.failure.message}")


@command.command()
@click.argument("collection")
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(1, 1000), help="Records.")
@as_json
def preview(*, collection: str, count: int, as_json: bool) -> None:
    """Show the first records of a collection, by name or id, a JSON object a line. None is kept.

    What would be quarantined, and what may surprise, is told on stderr; with --json the whole answer is
    one object.
    """
    with connected() as client:
        answer = client.collections.preview_collection(
            collection_id=collection_id(client, collection), count=count
        )
    if as_json:
        show_json(answer)
        return
    for record in answer.records:
        show_json(record)
    for odd in answer.quarantined:
        click.echo(f"would be quarantined (page {odd.page}, record {odd.position}): {odd.reason}", err=True)
    for warning in answer.warnings:
        click.echo(f"warning: {warning}", err=True)


@command.command("list")
@click.option("--filter", "filter_text", default="", help="Such as: project = default")
@as_json
def list_collections(filter_text: str, *, as_json: bool) -> None:
    """List collections."""
    with connected() as client:
        columns = ("id", "name", "mode", "last_run.state")
        show_list(client.collections.list_collections(filter=filter_text), columns, json_lines=as_json)


@command.command()
@click.argument("collection")
@as_json
def get(collection: str, *, as_json: bool) -> None:
    """Show a collection, by name or id, with its cursor and last run."""
    with connected() as client:
        found = client.collections.get_collection(collection_id(client, collection)).collection
        show(found, json_lines=as_json)


@command.command()
@click.argument("collection")
@click.option("--full", is_flag=True, help="Read everything anew.")
@click.option("--from", "start", default="", help="Fill back from this value of the cursor field on.")
@click.option("--to", "end", default="", help="Fill back up to this value, which is left out.")
@click.option("--wait/--no-wait", default=True, help="Follow the run to its end.")
@as_json
def run(*, collection: str, full: bool, start: str, end: str, wait: bool, as_json: bool) -> None:
    """Run a collection, named by name or id, and follow it to its end.

    Shows the events and then the counters; with --json the events and then the run.
    """
    if bool(start) != bool(end):
        raise click.UsageError("a backfill has both ends: --from and --to")
    backfill = (cursor_value(start), cursor_value(end)) if start else None
    with connected() as client:
        started = client.collections.run(collection_id(client, collection), full=full, backfill=backfill)
        if not started.created:
            click.echo(f"run {started.id} goes on already", err=True)
        if not wait:
            show_json(started.get()) if as_json else click.echo(started.id)
            return
        with interruptible(started.id):
            follow(started.watch(), json_lines=as_json)
        ended, task = started.get(), started.task.get()
        if as_json:
            show_json(ended)
        else:
            show(ended.counters, json_lines=False)
        output_of(task)


@command.command()
@click.option("--filter", "filter_text", default="", help="Such as: state = FAILED")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@as_json
def runs(filter_text: str, limit: int, *, as_json: bool) -> None:
    """List runs, newest first."""
    with connected() as client:
        columns = ("id", "collection_id", "state", "counters.records_written", "create_time")
        found = client.collections.list_runs(filter=filter_text, page_size=min(limit, 1000))
        show_list(islice(found, limit), columns, json_lines=as_json)


for each in COMMANDS:
    command.add_command(each)

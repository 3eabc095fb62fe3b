"""`weir datasets`: what is kept, and reading it."""

import json
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import click

from weir import Client
from weir.cli.exporting import FORMATS, export
from weir.cli.following import follow, interruptible
from weir.cli.naming import dataset_id
from weir.cli.output import as_json, show, show_list, show_table, show_value
from weir.cli.profile import connected
from weir.outcome import output_of
from weir.v1.collection_service_pb2 import QuarantineAction
from weir.v1.system_service_pb2 import RunMaintenanceRequest


@click.group()
def command() -> None:
    """Look at datasets, and read their records."""


@command.command("list")
@click.option("--filter", "filter_text", default="", help="Such as: name = flights")
@as_json
def list_datasets(filter_text: str, *, as_json: bool) -> None:
    """List datasets."""
    with connected() as client:
        columns = ("id", "name", "record_count", "version", "quarantine_count")
        show_list(client.collections.list_datasets(filter=filter_text), columns, json_lines=as_json)


@command.command()
@click.argument("dataset")
@as_json
def get(dataset: str, *, as_json: bool) -> None:
    """Show a dataset, by name or id, with its columns."""
    with connected() as client:
        found = client.collections.get_dataset(dataset_id(client, dataset)).dataset
        show(found, json_lines=as_json)


@command.command()
@click.argument("dataset")
@click.option("--columns", default="", help="Joined by commas; all by default.")
@click.option("--filter", "filter_text", default="", help="Such as: carrier = UA AND distance > 1000")
@click.option("--limit", default=0, type=click.IntRange(0), help="Records at most; 0: all.")
@click.option("--version", default=0, type=click.IntRange(0), help="As it was at this version; 0: now.")
@click.option(
    "--arrow",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an Arrow IPC file instead.",
)
@as_json
def read(
    *,
    dataset: str,
    columns: str,
    filter_text: str,
    limit: int,
    version: int,
    file: Path | None,
    as_json: bool,
) -> None:
    """Read the records of a dataset, by name or id: as a table, as JSON lines, or an Arrow file."""
    with connected() as client:
        chosen: dict[str, Any] = {
            "dataset_id": dataset_id(client, dataset),
            "columns": [name for name in columns.split(",") if name],
            "filter": filter_text,
            "limit": limit,
            "version": version,
        }
        if file is not None:
            count = export(client, chosen, file, "arrow")
            click.echo(f"{count:,} records are in {file}", err=True)
            return
        rows = _in_order(
            client.collections.read_records(**chosen), chosen["columns"] or _columns(client, chosen)
        )
        if as_json:
            for row in rows:
                click.echo(json.dumps(row, ensure_ascii=False))
        else:
            _show(rows)


@command.command("export")
@click.argument("dataset")
@click.option(
    "-o", "--output", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file."
)
@click.option("--format", "kind", type=click.Choice(FORMATS), help="Default: what the file's name ends with.")
@click.option("--columns", default="", help="Joined by commas; all by default.")
@click.option("--filter", "filter_text", default="", help="Such as: carrier = UA AND distance > 1000")
@click.option("--version", default=0, type=click.IntRange(0), help="As it was at this version; 0: now.")
def export_dataset(
    *, dataset: str, file: Path, kind: str | None, columns: str, filter_text: str, version: int
) -> None:
    """Write the records of a dataset, by name or id, into a file: CSV, NDJSON, Parquet or Arrow."""
    chosen_kind = kind or file.suffix.removeprefix(".")
    if chosen_kind not in FORMATS:
        raise click.UsageError(f"say --format: {file.name!r} ends with none of {', '.join(FORMATS)}")
    with connected() as client:
        chosen: dict[str, Any] = {
            "dataset_id": dataset_id(client, dataset),
            "columns": [name for name in columns.split(",") if name],
            "filter": filter_text,
            "limit": 0,
            "version": version,
        }
        count = export(client, chosen, file, chosen_kind)
    click.echo(f"{count:,} records are in {file}", err=True)


@command.command()
@click.argument("dataset")
@click.option("--filter", "filter_text", default="", help="Such as: column = price")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Records at most.")
@as_json
def quarantine(dataset: str, filter_text: str, limit: int, *, as_json: bool) -> None:
    """Show the records of a dataset, by name or id, that did not fit, newest first."""
    with connected() as client:
        found = client.collections.list_quarantine(filter=_of_dataset(client, dataset, filter_text))
        columns = ("page", "position", "column", "reason", "raw")
        show_list(islice(found, limit), columns, json_lines=as_json)


@command.command()
@click.argument("dataset")
@click.option("--replay", "action", flag_value="REPLAY", help="Read them again by the rules of today.")
@click.option("--discard", "action", flag_value="DISCARD", help="Remove them for good.")
@click.option("--filter", "filter_text", default="", help="Such as: column = price. Default: all.")
@as_json
def resolve(dataset: str, action: str | None, filter_text: str, *, as_json: bool) -> None:
    """Replay or discard the records of a dataset that did not fit, and tell what came of it."""
    if action is None:
        raise click.UsageError("say what to do with them: --replay or --discard")
    with connected() as client:
        answer = client.collections.resolve_quarantine(
            dataset_id(client, dataset),
            filter=_of_dataset(client, dataset, filter_text),
            action=QuarantineAction.Value(f"QUARANTINE_ACTION_{action}"),
        )
        _followed(client, answer.task_id, json_lines=as_json)


@command.command()
@click.argument("dataset")
@as_json
def compact(dataset: str, *, as_json: bool) -> None:
    """Put the small segments of a dataset, by name or id, together, and tell what came of it."""
    with connected() as client:
        what = RunMaintenanceRequest.CompactDataset(dataset_id=dataset_id(client, dataset))
        _followed(client, client.system.run_maintenance(compact_dataset=what).task_id, json_lines=as_json)


@command.command()
@click.argument("dataset")
def delete(dataset: str) -> None:
    """Delete a dataset that no collection writes, by name or id, with all its records."""
    with connected() as client:
        client.collections.delete_dataset(dataset_id(client, dataset))


def _followed(client: Client, task_id: str, *, json_lines: bool) -> None:
    """Show what a task does, and what comes of it."""
    with interruptible(task_id):
        handle = client.tasks.handle(task_id)
        follow(handle.watch(), json_lines=json_lines)
    show_value(output_of(handle.get()), json_lines=json_lines)


def _of_dataset(client: Client, dataset: str, filter_text: str) -> str:
    whole = f'dataset_id = "{dataset_id(client, dataset)}"'
    return f"{whole} AND ({filter_text})" if filter_text else whole


def _columns(client: Client, chosen: dict[str, Any]) -> list[str]:
    return [each.name for each in client.collections.get_dataset(chosen["dataset_id"]).dataset.columns]


def _in_order(rows: Iterator[dict[str, Any]], names: list[str]) -> Iterator[dict[str, Any]]:
    """The wire keeps no order of columns; an older version may have others than are there now."""
    for row in rows:
        yield {
            name: row[name] for name in (*names, *(name for name in row if name not in names)) if name in row
        }


def _show(rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows, None)
    if first is None:
        click.echo("no records", err=True)
        return
    names = list(first)
    show_table(names, ([_cell(row.get(name)) for name in names] for row in chain((first,), rows)))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

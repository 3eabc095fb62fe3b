"""`weir datasets`: what is kept, and reading it."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from weir import Client
from weir.cli.following import counting
from weir.cli.naming import dataset_id
from weir.cli.output import as_json, show, show_list, show_table
from weir.cli.profile import connected


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
            count = _write_arrow(client, chosen, file)
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


def _write_arrow(client: Client, chosen: dict[str, Any], file: Path) -> int:
    """Stream the records into the file, which is there only once it is whole; their number."""
    import pyarrow as pa

    batches = client.collections.read_batches(**chosen)
    first = next(batches, None)
    # An empty dataset has no batch to take the schema from.
    schema = client.collections.read_arrow(**chosen).schema if first is None else first.schema
    partial = file.with_name(f"{file.name}.partial")
    count = 0
    try:
        with (
            counting("records", chosen["limit"]) as show_count,
            pa.OSFile(str(partial), "wb") as sink,
            pa.ipc.new_file(sink, schema) as writer,
        ):
            for batch in chain(() if first is None else (first,), batches):
                writer.write_batch(batch)
                count += batch.num_rows
                show_count(count)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return count

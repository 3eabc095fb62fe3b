"""`weir datasets`: what is kept, and reading it."""

import json
import sys
from typing import Any

import click

from weir.cli.output import as_json, show, show_list
from weir.cli.profile import connected


@click.group()
def command() -> None:
    """Look at datasets, and read their records."""


@command.command("list")
@as_json
def list_datasets(*, as_json: bool) -> None:
    """List datasets."""
    with connected() as client:
        columns = ("id", "name", "record_count", "version", "quarantine_count")
        show_list(client.collections.list_datasets(), columns, json_lines=as_json)


@command.command()
@click.argument("dataset_id")
@as_json
def get(dataset_id: str, *, as_json: bool) -> None:
    """Show a dataset with its columns."""
    with connected() as client:
        show(client.collections.get_dataset(dataset_id).dataset, json_lines=as_json)


@command.command()
@click.argument("dataset_id")
@click.option("--columns", default="", help="Joined by commas; all by default.")
@click.option("--filter", "filter_text", default="", help="Such as: carrier = UA AND distance > 1000")
@click.option("--limit", default=0, help="Records at most; 0: all.")
@click.option(
    "--arrow", "file", type=click.Path(dir_okay=False), help="Write an Arrow IPC file instead of JSON lines."
)
def read(dataset_id: str, columns: str, filter_text: str, limit: int, file: str | None) -> None:
    """Read records: a JSON object a line on standard output, or an Arrow file."""
    chosen: dict[str, Any] = {
        "columns": [name for name in columns.split(",") if name],
        "filter": filter_text,
        "limit": limit,
    }
    with connected() as client:
        if file is not None:
            import pyarrow as pa

            table = client.collections.read_arrow(dataset_id, **chosen)
            with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            click.echo(f"{table.num_rows:,} records are in {file}", err=True)
            return
        for row in client.collections.read_records(dataset_id, **chosen):
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")

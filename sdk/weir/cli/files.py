"""`weir tasks files` and `weir tasks download`; and large outputs, which are files too."""

import os
import sys
from itertools import islice
from pathlib import Path
from typing import Final

import click

from weir import Client
from weir.cli.output import as_json, show_json, show_list
from weir.cli.profile import connected
from weir.v1.task_pb2 import File, Task

_COLUMNS: Final = ("id", "name", "size_bytes", "media_type", "create_time")


def whole(client: Client, task: Task) -> Task:
    """The task with its output in it, also where a file has that."""
    if task.output_file_id:
        task.output.update(client.tasks.output(task))
    return task


@click.command()
@click.argument("task_id")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1))
@as_json
def files(task_id: str, limit: int, *, as_json: bool) -> None:
    """List the files that a task made, newest first."""
    with connected() as client:
        client.tasks.get_task(task_id)
        show_list(islice(client.tasks.handle(task_id).artifacts(), limit), _COLUMNS, json_lines=as_json)


@click.command()
@click.argument("file_id")
@click.option(
    "-o",
    "--output",
    "to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to; `-`: standard output. Default: the file's own name, here, where there is no such file.",
)
@as_json
def download(file_id: str, to: Path | None, *, as_json: bool) -> None:
    """Save a file that a task made, and check that it is whole."""
    with connected() as client:
        if to == Path("-"):
            client.tasks.download(file_id, sys.stdout.buffer)
            return
        target = to or _own_place(client.tasks.get_file(file_id).file)
        file = client.tasks.download(file_id, target)
    if as_json:
        show_json(file)
    else:
        click.echo(f"{file.size_bytes:,} bytes are in {target}", err=True)


def _own_place(file: File) -> Path:
    """The file's name in this folder; no folder that the name tells, and nothing that is there."""
    place = Path(os.path.basename(file.name) or file.id)  # noqa: PTH119 - of another machine's making
    if place.exists():
        raise click.UsageError(f"{place} is there already; say where to with -o")
    return place

"""Follows a task: a live bar where a person looks, an event a line where a program does."""

import sys
from collections.abc import Iterable

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from weir.cli.output import show_json
from weir.v1.task_pb2 import TaskEvent, TaskState


def follow(events: Iterable[TaskEvent], *, json_lines: bool) -> TaskEvent | None:
    """Show events up to the last one, and give that."""
    last: TaskEvent | None = None
    if json_lines or not sys.stdout.isatty():
        for last in events:
            show_json(last) if json_lines else click.echo(_line(last))
        return last
    columns = (TextColumn("{task.description}", markup=False), BarColumn(32), TimeElapsedColumn())
    with Progress(*columns, console=Console(highlight=False)) as progress:
        bar = progress.add_task("waiting", total=None)
        for last in events:
            if last.HasField("progress"):
                told = last.progress
                what = f"{told.done:,.0f} {told.unit} {told.message}"
                progress.update(bar, completed=told.done, total=told.total or None, description=what)
            else:
                progress.console.print(_line(last), markup=False)
    return last


def succeeded(event: TaskEvent | None) -> bool:
    """True where the last event tells of a success."""
    return event is not None and event.state.to_state == TaskState.TASK_STATE_SUCCEEDED


def _line(event: TaskEvent) -> str:
    match event.WhichOneof("payload"):
        case "state":
            name = TaskState.Name(event.state.to_state).removeprefix("TASK_STATE_")
            text = f"{name} {event.state.reason}".rstrip()
        case "log":
            text = event.log.text
        case "progress":
            text = f"{event.progress.done:g}/{event.progress.total:g} {event.progress.message}"
        case "cancel":
            text = f"cancel: phase {event.cancel.phase}"
        case _:
            text = f"events {event.gap.from_seq} to {event.gap.to_seq} are gone: {event.gap.reason}"
    return f"{event.seq:>6}  {text}"

"""Follows a task: a live bar where a person looks, an event a line where a program does."""

import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Final

import click

from weir.changes import Change, SnapshotStart
from weir.cli.output import printable, show_json
from weir.times import to_datetime
from weir.v1.task_pb2 import (
    LOG_LEVEL_WARNING,
    Cancellation,
    CancelPhase,
    File,
    Gap,
    LogLevel,
    LogLine,
    Progress,
    StateChange,
    Task,
    TaskEvent,
    TaskState,
)
from weir.v1.task_service_pb2 import SnapshotEnd
from weir.values import enum_name


def follow(events: Iterable[TaskEvent], *, json_lines: bool) -> None:
    """Show events up to the last one."""
    if json_lines:
        for event in events:
            show_json(event)
    elif sys.stdout.isatty():
        _follow_live(events)
    else:
        for event in events:
            click.echo(line(event))


def follow_all(changes: Iterable[Change], *, json_lines: bool) -> None:
    """Show what changes among many tasks, a line each; a snapshot's marks for people only."""
    for change in changes:
        if not json_lines:
            click.echo(_change_line(change))
        elif isinstance(change, Task | TaskEvent):
            show_json(change)


@contextmanager
def interruptible(task_id: str) -> Generator[None]:
    """Ctrl-C ends the looking, not the task: say so."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"the task goes on; look again with: weir tasks watch {task_id}\n"
            f"stop it with: weir tasks cancel {task_id}",
            err=True,
        )
        raise


@contextmanager
def counting(what: str, total: int) -> Generator[Callable[[int], None]]:
    """A bar on standard error, where a person looks, that is told the count; `total` 0: unknown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(32), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        bar = bars.add_task(what, total=total or None)
        yield lambda count: bars.update(bar, completed=count)


def line(event: TaskEvent) -> str:
    """An event on one line."""
    time = to_datetime(event.time).astimezone().strftime("%H:%M:%S")
    return f"{event.seq:>6}  {time}  {printable(_text(event))}"


def _follow_live(events: Iterable[TaskEvent]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(32), TimeElapsedColumn())
    with Progress(*columns, console=Console(highlight=False)) as bars:
        bar = bars.add_task("waiting", total=None)
        for event in events:
            if event.HasField("progress"):
                told = event.progress
                what = printable(_progress(told))
                bars.update(bar, completed=told.done, total=told.total or None, description=what)
            else:
                bars.console.print(line(event), markup=False, soft_wrap=True)


def _change_line(change: Change) -> str:
    match change:
        case TaskEvent():
            return f"{change.task_id}{line(change)}"
        case Task():
            return printable(f"{change.id}  {enum_name(TaskState, change.state)} {change.spec.type}")
        case SnapshotStart():
            return f"-- all tasks anew: {change.reason}" if change.reason else "-- tasks that have not ended:"
        case SnapshotEnd():
            return f"-- {change.task_count} in all; what follows is news"


def _text(event: TaskEvent) -> str:
    told = _TEXTS.get(event.WhichOneof("payload") or "")
    return told(event) if told else "an event that this version does not know"


def _state(told: StateChange) -> str:
    return f"{enum_name(TaskState, told.to_state)} {told.reason}".rstrip()


def _artifact(told: File) -> str:
    return f"file {told.name}, {told.size_bytes:,} bytes: weir tasks download {told.id}"


def _cancel(told: Cancellation) -> str:
    return f"cancel {enum_name(CancelPhase, told.phase)} {told.reason}".rstrip()


def _gap(told: Gap) -> str:
    return f"events {told.from_seq} to {told.to_seq} are gone: {told.reason}"


def _log(told: LogLine) -> str:
    level = f"{enum_name(LogLevel, told.level)} " if told.level >= LOG_LEVEL_WARNING else ""
    fields = "".join(f" {name}={value}" for name, value in sorted(told.fields.items()))
    return f"{level}{told.text}{fields}"


def _progress(told: Progress) -> str:
    total = f" of {_number(told.total)}" if told.total else ""
    return " ".join(filter(None, (f"{_number(told.done)}{total}", told.unit, told.message)))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.2f}"


_TEXTS: Final[dict[str, Callable[[TaskEvent], str]]] = {
    "state": lambda event: _state(event.state),
    "log": lambda event: _log(event.log),
    "progress": lambda event: _progress(event.progress),
    "artifact": lambda event: _artifact(event.artifact),
    "cancel": lambda event: _cancel(event.cancel),
    "gap": lambda event: _gap(event.gap),
}

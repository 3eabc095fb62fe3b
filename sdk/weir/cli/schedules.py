"""`weir schedules`: make tasks at times."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import click

import weir
from weir.cli.output import as_json, read_json, show, show_json, show_list
from weir.cli.profile import connected
from weir.cli.timing import TIME, timing_from, timing_options
from weir.times import to_timestamp
from weir.v1.common_pb2 import TimeRange
from weir.v1.schedule_pb2 import MissedPolicy, OverlapPolicy, Schedule
from weir.v1.task_pb2 import TaskSpec
from weir.values import to_struct

_COLUMNS: Final = ("id", "name", "task.type", "paused", "next_fire_times")
_FIRE_COLUMNS: Final = ("fire_time", "result", "task_id", "count", "message")


@click.group()
def command() -> None:
    """Make tasks at times: create schedules, pause, trigger and preview them."""


@command.command()
@click.argument("name")
@click.argument("task_type")
@click.argument("given", default="{}")
@timing_options
@click.option("--project", default="")
@click.option("--description", default="", help="What it is for.")
@click.option("--queue", default="", help="Queue of its tasks.")
@click.option("--label", "labels", multiple=True, help="KEY=VALUE, on the schedule and its tasks.")
@click.option("--missed", type=click.Choice(["skip", "last", "all"]), default="last", show_default=True)
@click.option(
    "--max-catch-up", type=click.IntRange(0, 1000), default=0, help="Most fires made up for by all."
)
@click.option(
    "--overlap",
    type=click.Choice(["skip", "allow", "queue-one", "cancel-running"]),
    default="skip",
    show_default=True,
)
@click.option(
    "--pause-after", type=click.IntRange(0, 1000), default=0, help="Failed tasks in a row; 0: never."
)
@click.option("--paused", is_flag=True, help="Don't fire yet.")
@as_json
def create(name: str, task_type: str, given: str, *, as_json: bool, **options: Any) -> None:
    """Create a schedule NAME that submits tasks of TASK_TYPE with the input GIVEN: JSON, or @FILE."""
    timing = timing_from(options)
    labels = dict(_label(each) for each in options["labels"])
    spec = TaskSpec(
        type=task_type,
        input=to_struct(read_json(given, "the input")),
        queue=options["queue"],
        labels=labels,
    )
    with connected() as client:
        answer = client.tasks.create_schedule(
            name=name,
            project=options["project"],
            description=options["description"],
            timing=timing,
            task=spec,
            labels=labels,
            missed=MissedPolicy.Value(f"MISSED_POLICY_{options['missed'].upper()}"),
            max_catch_up=options["max_catch_up"],
            overlap=OverlapPolicy.Value(f"OVERLAP_POLICY_{options['overlap'].upper().replace('-', '_')}"),
            pause_after_failures=options["pause_after"],
            paused=options["paused"],
        )
    show(answer.schedule, json_lines=as_json)


@command.command("list")
@click.option("--filter", "filter_text", default="", help='Such as: paused = true AND project = "default"')
@as_json
def list_schedules(filter_text: str, *, as_json: bool) -> None:
    """List schedules by name."""
    with connected() as client:
        show_list(client.tasks.list_schedules(filter=filter_text), _COLUMNS, json_lines=as_json)


@command.command("show")
@click.argument("schedule")
@as_json
def show_schedule(schedule: str, *, as_json: bool) -> None:
    """Show SCHEDULE, an id or a name, with its next and newest fires."""
    with connected() as client:
        found = client.tasks.get_schedule(_id(client, schedule)).schedule
    show(found, json_lines=as_json)


@command.command()
@click.argument("schedule")
@click.option("--reason", default="", help="Why; shown with the schedule.")
@as_json
def pause(schedule: str, reason: str, *, as_json: bool) -> None:
    """Stop SCHEDULE from firing, until it is resumed."""
    _set_paused(schedule, paused=True, reason=reason, as_json=as_json)


@command.command()
@click.argument("schedule")
@as_json
def resume(schedule: str, *, as_json: bool) -> None:
    """Let SCHEDULE fire again, from its next time on."""
    _set_paused(schedule, paused=False, reason="", as_json=as_json)


@command.command()
@click.argument("schedule")
@as_json
def delete(schedule: str, *, as_json: bool) -> None:
    """Delete SCHEDULE. Tasks that it made go on."""
    with connected() as client:
        schedule_id = _id(client, schedule)
        answer = client.tasks.delete_schedule(schedule_id)
    if as_json:
        show_json(answer)
    else:
        click.echo(f"deleted {schedule_id}")


@command.command()
@click.argument("schedule")
@click.option("--from", "start", type=TIME, help="With --to: for each fire time of a past span.")
@click.option("--to", "end", type=TIME, help="The first instant after the span.")
@click.option("--request-id", default="", help="Makes the call safe to repeat.")
@as_json
def trigger(
    schedule: str, start: datetime | None, end: datetime | None, request_id: str, *, as_json: bool
) -> None:
    """Fire SCHEDULE now, or for each fire time of a past span."""
    if (start is None) != (end is None):
        raise click.UsageError("--from and --to belong together")
    span = None
    if start is not None:
        span = TimeRange(start_time=to_timestamp(start, "--from"), end_time=to_timestamp(end, "--to"))
    with connected() as client:
        answer = client.tasks.trigger_schedule(_id(client, schedule), range=span, request_id=request_id)
    show_list(answer.fires, _FIRE_COLUMNS, json_lines=as_json)


@command.command()
@timing_options
@click.option("--from", "start", type=TIME, help="From when on; now where it is not given.")
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True)
@as_json
def preview(start: datetime | None, count: int, *, as_json: bool, **options: Any) -> None:
    """Say when a timing would fire, and what may surprise about it."""
    with connected() as client:
        answer = client.tasks.preview_schedule(timing=timing_from(options), start_time=start, count=count)
    if as_json:
        show_json(answer)
        return
    for time in answer.fire_times:
        click.echo(time.ToJsonString())
    for warning in answer.warnings:
        click.echo(f"warning: {warning}", err=True)


def _set_paused(schedule: str, *, paused: bool, reason: str, as_json: bool) -> None:
    with connected() as client:
        changed = Schedule(id=_id(client, schedule), paused=paused, pause_reason=reason)
        answer = client.tasks.update_schedule(schedule=changed, update_mask=["paused", "pause_reason"])
    show(answer.schedule, json_lines=as_json)


def _id(client: weir.Client, schedule: str) -> str:
    """The id that was given, or that of the only schedule of the name that was."""
    try:
        return str(UUID(schedule))
    except ValueError:
        name = schedule.replace("\\", "\\\\").replace('"', '\\"')
    found = list(client.tasks.list_schedules(filter=f'name = "{name}"'))
    if len(found) != 1:
        seen = ", ".join(f"{each.id} in {each.project}" for each in found)
        raise click.UsageError(
            f"{len(found)} schedules are called {schedule!r} ({seen}); give an id"
            if found
            else f"there is no schedule {schedule!r}, or you may not see it; `weir schedules list` shows all"
        )
    return found[0].id


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--label {text!r} must be KEY=VALUE")
    return key, value

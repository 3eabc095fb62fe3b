"""`weir tasks`: submit, follow, list and cancel."""

from itertools import islice
from typing import Final

import click

from weir.cli.files import download, files, whole
from weir.cli.following import follow, follow_all, interruptible, line
from weir.cli.output import as_json, printable, show, show_json, show_list, show_value
from weir.cli.profile import connected
from weir.cli.submitting import submit
from weir.outcome import output_of
from weir.v1.task_pb2 import CancelPhase, EventKind, LogLevel, TaskState
from weir.values import enum_name

_COLUMNS: Final = ("id", "spec.type", "state", "attempt", "create_time")
_KINDS: Final = ("state", "progress", "log", "artifact", "cancel")
_LEVELS: Final = ("debug", "info", "warning", "error")


@click.group()
def command() -> None:
    """Submit tasks, follow them, cancel them."""


for each in (submit, files, download):
    command.add_command(each)


@command.command("list")
@click.option("--filter", "filter_text", default="", help='Such as: state = FAILED AND type = "file.convert"')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@as_json
def list_tasks(filter_text: str, limit: int, *, as_json: bool) -> None:
    """List tasks, newest first."""
    with connected() as client:
        tasks = client.tasks.list_tasks(filter=filter_text, page_size=min(limit, 1000))
        show_list(islice(tasks, limit), _COLUMNS, json_lines=as_json)


@command.command()
@click.argument("task_id")
@as_json
def get(task_id: str, *, as_json: bool) -> None:
    """Show a task with everything that is known of it."""
    with connected() as client:
        show(whole(client, client.tasks.handle(task_id).get()), json_lines=as_json)


@command.command()
@click.argument("task_id", default="")
@click.option("--from-seq", default=0, help="First event wanted; of one task.")
@click.option("--filter", "filter_text", default=None, help='In place of TASK_ID: project = "lab", or "".')
@as_json
def watch(task_id: str, from_seq: int, filter_text: str | None, *, as_json: bool) -> None:
    """Follow a task to its end, or with --filter all tasks that match, without an end."""
    if bool(task_id) == (filter_text is not None):
        raise click.UsageError("give a task's id, or --filter for all tasks that match")
    with connected() as client:
        if filter_text is not None:
            follow_all(client.tasks.watch_tasks(filter_text, snapshot=True), json_lines=as_json)
            return
        with interruptible(task_id):
            follow(client.tasks.watch(task_id, from_seq), json_lines=as_json)
        output_of(client.tasks.handle(task_id).get())


@command.command()
@click.argument("task_id")
@click.option("--timeout", type=click.FloatRange(0), help="Seconds to wait for the end; default: no limit.")
@as_json
def result(task_id: str, timeout: float | None, *, as_json: bool) -> None:
    """Wait for a task's end, and give its output."""
    with connected() as client, interruptible(task_id):
        show_value(client.tasks.result(task_id, timeout), json_lines=as_json)


@command.command()
@click.argument("task_id")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="May be given again.")
@click.option("--level", type=click.Choice(_LEVELS), default="debug", help="Lowest level of log lines.")
@click.option("--attempt", default=0, help="Of this attempt only; 0: of all.")
@click.option("--tail", type=click.IntRange(1), help="The last ones only.")
@as_json
def events(
    *, task_id: str, kinds: tuple[str, ...], level: str, attempt: int, tail: int | None, as_json: bool
) -> None:
    """Show what has happened so far: states, log lines, progress."""
    with connected() as client:
        told = client.tasks.list_task_events(
            task_id,
            kinds=[EventKind.Value(f"EVENT_KIND_{kind.upper()}") for kind in kinds],
            min_log_level=LogLevel.Value(f"LOG_LEVEL_{level.upper()}"),
            attempt=attempt,
            descending=tail is not None,
            page_size=min(tail or 1000, 1000),
        )
        wanted = told if tail is None else reversed(list(islice(told, tail)))
        for event in wanted:
            show_json(event) if as_json else click.echo(line(event))


@command.command()
@click.argument("task_id")
@click.option("--reason", default="", help="Why; shown with the task.")
@click.option("--grace", type=click.FloatRange(0), help="Seconds before it is killed; default: the task's.")
@click.option(
    "--wait",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, 60),
    help="Seconds to wait for its end.",
)
@as_json
def cancel(task_id: str, reason: str, grace: float | None, wait: float, *, as_json: bool) -> None:
    """Ask for a task to be stopped, and say how far that is."""
    with connected() as client:
        answer = client.tasks.cancel_task(task_id, reason=reason, grace=grace, wait=wait)
    if as_json:
        show_json(answer)
        return
    phase = enum_name(CancelPhase, answer.cancellation.phase)
    click.echo(
        f"{enum_name(TaskState, answer.state)} {phase if answer.cancellation.phase else 'had ended before'}"
    )


@command.command("cancel-all")
@click.argument("filter_text", metavar="FILTER")
@click.option("--reason", default="", help="Why; shown with the tasks.")
@click.option("--count", is_flag=True, help="Only count them.")
@as_json
def cancel_all(filter_text: str, reason: str, *, count: bool, as_json: bool) -> None:
    """Ask for all tasks that match FILTER to be stopped, such as: type = "file.convert"."""
    with connected() as client:
        answer = client.tasks.cancel_tasks(filter=filter_text, reason=reason, validate_only=count)
    told = f"{answer.task_count} tasks " + ("would be asked to stop" if count else "were asked to stop")
    show_json(answer) if as_json else click.echo(told)


@command.command()
@click.argument("task_id")
@as_json
def retry(task_id: str, *, as_json: bool) -> None:
    """Submit an ended task anew; the old one stays as it is."""
    with connected() as client:
        task = client.tasks.retry_task(task_id).task
    show_json(task) if as_json else click.echo(task.id)


@command.command("retry-all")
@click.argument("filter_text", metavar="FILTER")
@click.option("--project", default="", help="Project of the tasks; default: `default`.")
@click.option("--per-minute", type=int, default=0, help="Tasks submitted a minute at most; default: 1000.")
@click.option("--count", is_flag=True, help="Only count them.")
@as_json
def retry_all(filter_text: str, project: str, per_minute: int, *, count: bool, as_json: bool) -> None:
    """Submit all failed and cancelled tasks that match FILTER anew, such as: failure.kind = DEPENDENCY.

    A task of the type `tasks.retry` does it; follow it with `weir tasks watch`.
    """
    with connected() as client:
        answer = client.tasks.retry_tasks(
            project=project, filter=filter_text, max_per_minute=per_minute, validate_only=count
        )
    if as_json:
        show_json(answer)
    elif count:
        click.echo(f"{answer.task_count} tasks would be submitted anew")
    else:
        click.echo(answer.task_id)


@command.command()
@click.argument("task_id")
@as_json
def explain(task_id: str, *, as_json: bool) -> None:
    """Say why a task is where it is: what it waits for, and what can be done."""
    with connected() as client:
        answer = client.tasks.explain_task(task_id)
    if as_json:
        show_json(answer)
        return
    lines = [answer.summary, *(f"  {each.message}" for each in answer.blockers)]
    click.echo("\n".join(map(printable, [*lines, *(f"  try: {hint}" for hint in answer.hints)])))


@command.command()
@as_json
def types(*, as_json: bool) -> None:
    """List the kinds of work that workers can do."""
    with connected() as client:
        columns = ("name", "version", "worker_count", "description")
        show_list(client.tasks.list_task_types(), columns, json_lines=as_json)


@command.command("type")
@click.argument("name")
@as_json
def show_type(name: str, *, as_json: bool) -> None:
    """Show a kind of work, with the JSON schemas of its input and output."""
    with connected() as client:
        show(client.tasks.get_task_type(name).task_type, json_lines=as_json)

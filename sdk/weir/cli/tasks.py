"""`weir tasks`: submit, follow, list and cancel."""

from typing import Final

import click

from weir.cli import exits
from weir.cli.following import follow, succeeded
from weir.cli.output import as_json, read_json, show, show_json, show_list
from weir.cli.profile import connected
from weir.v1.task_pb2 import CancelPhase, TaskState
from weir.values import enum_name

_COLUMNS: Final = ("id", "spec.type", "state", "attempt", "create_time")


@click.group()
def command() -> None:
    """Submit tasks, follow them, cancel them."""


@command.command("list")
@click.option("--filter", "filter_text", default="", help='Such as: state = FAILED AND type = "file.convert"')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@as_json
def list_tasks(filter_text: str, limit: int, *, as_json: bool) -> None:
    """List tasks, newest first."""
    with connected() as client:
        tasks = client.tasks.list_tasks(filter=filter_text)
        show_list((task for task, _ in zip(tasks, range(limit), strict=False)), _COLUMNS, json_lines=as_json)


@command.command()
@click.argument("task_id")
@as_json
def get(task_id: str, *, as_json: bool) -> None:
    """Show a task with everything that is known of it."""
    with connected() as client:
        show(client.tasks.get_task(task_id).task, json_lines=as_json)


@command.command()
@click.argument("task_type")
@click.argument("given", default="{}")
@click.option("--project", default="")
@click.option("--queue", default="")
@click.option("--request-id", default="", help="Makes the call safe to repeat.")
@click.option("--wait/--no-wait", default=True, help="Follow the task to its end.")
@as_json
def submit(
    task_type: str, given: str, project: str, queue: str, request_id: str, *, wait: bool, as_json: bool
) -> None:
    """Submit a task of TASK_TYPE with the input GIVEN: JSON, or @FILE."""
    with connected() as client:
        task = client.tasks.submit(
            task_type, read_json(given, "the input"), project=project, queue=queue, request_id=request_id
        )
        for warning in task.warnings:
            click.echo(f"warning: {warning}", err=True)
        if not wait:
            click.echo(task.id)
            return
        ok = succeeded(follow(task.watch(), json_lines=as_json))
        if ok and not as_json:
            click.echo(client.tasks.get_task(task.id).task.output)
    raise SystemExit(exits.OK if ok else exits.TASK_FAILED)


@command.command()
@click.argument("task_id")
@click.option("--from-seq", default=0, help="First event wanted.")
@as_json
def watch(task_id: str, from_seq: int, *, as_json: bool) -> None:
    """Follow a task to its end."""
    with connected() as client:
        ok = succeeded(follow(client.tasks.watch(task_id, from_seq), json_lines=as_json))
    raise SystemExit(exits.OK if ok else exits.TASK_FAILED)


@command.command()
@click.argument("task_id")
@click.option("--reason", default="")
@click.option("--wait", default=30.0, show_default=True, help="Seconds to wait for it to have stopped.")
@as_json
def cancel(task_id: str, reason: str, wait: float, *, as_json: bool) -> None:
    """Ask for a task to be stopped, and say how far that is."""
    with connected() as client:
        answer = client.tasks.cancel_task(task_id, reason=reason, wait=wait)
    if as_json:
        show_json(answer)
        return
    phase = enum_name(CancelPhase, answer.cancellation.phase)
    click.echo(
        f"{enum_name(TaskState, answer.state)} {phase if answer.cancellation.phase else 'had ended before'}"
    )


@command.command()
@as_json
def types(*, as_json: bool) -> None:
    """List the kinds of work that workers can do."""
    with connected() as client:
        columns = ("name", "version", "worker_count", "description")
        show_list(client.tasks.list_task_types(), columns, json_lines=as_json)

"""`weir tasks submit`."""

from datetime import datetime, timedelta

import click

from weir.cli.files import whole
from weir.cli.following import follow, interruptible
from weir.cli.output import as_json, read_json, show_json, show_value
from weir.cli.profile import connected
from weir.outcome import output_of
from weir.times import to_duration
from weir.v1.task_pb2 import Dependency, Priority, RetryPolicy, Timeouts


@click.command()
@click.argument("task_type")
@click.argument("given", default="{}")
@click.option("--project", default="", help="Project to submit to; default: `default`.")
@click.option("--queue", default="", help="Queue to wait in; default: the type's.")
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), help="Default: the type's.")
@click.option("--label", "labels", multiple=True, help="NAME=VALUE, a free tag; may be given again.")
@click.option("--after", "depends_on", multiple=True, help="Id of a task that must have succeeded before.")
@click.option("--start-after", help="Not before this time, such as 2030-01-31T08:00 or …T08:00+02:00.")
@click.option("--deadline", help="Must have ended by this time.")
@click.option("--max-attempts", type=click.IntRange(1, 100), help="Attempts in all; default: the type's.")
@click.option("--attempt-timeout", type=click.FloatRange(1), help="Seconds for one attempt.")
@click.option("--request-id", default="", help="Makes the call safe to repeat.")
@click.option("--wait/--no-wait", default=True, help="Follow the task to its end.")
@as_json
def submit(
    *,
    task_type: str,
    given: str,
    project: str,
    queue: str,
    priority: str | None,
    labels: tuple[str, ...],
    depends_on: tuple[str, ...],
    start_after: str | None,
    deadline: str | None,
    max_attempts: int | None,
    attempt_timeout: float | None,
    request_id: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Submit a task of TASK_TYPE with the input GIVEN: JSON, or @FILE.

    Shows its events and then its output; with --json the events and then the task.
    """
    timeouts = Timeouts(attempt=to_duration(attempt_timeout, "--attempt-timeout"))
    with connected() as client:
        answer = client.tasks.submit_task(
            type=task_type,
            input=read_json(given, "the input"),
            project=project,
            queue=queue,
            priority=Priority.Value(f"PRIORITY_{(priority or 'unspecified').upper()}"),
            labels=dict(_label(each) for each in labels),
            depends_on=[Dependency(task_id=each) for each in depends_on],
            start_after=_time("--start-after", start_after),
            deadline=_time("--deadline", deadline),
            timeouts=timeouts if attempt_timeout else None,
            retry=RetryPolicy(max_attempts=max_attempts) if max_attempts else None,
            request_id=request_id,
        )
        for warning in answer.warnings:
            click.echo(f"warning: {warning}", err=True)
        task = client.tasks.handle(answer.task.id)
        if not wait:
            show_json(task.get()) if as_json else click.echo(task.id)
            return
        with interruptible(task.id):
            follow(task.watch(), json_lines=as_json)
        ended = whole(client, task.get())
    if as_json:
        show_json(ended)
    output = output_of(ended)
    if not as_json:
        show_value(output, json_lines=False)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--label {text}: must be NAME=VALUE")
    return name, value


def _time(option: str, text: str | None) -> datetime | None:
    """A point in time; one without a zone is this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone() if text else None
    except ValueError:
        example = (datetime.now().astimezone() + timedelta(hours=1)).isoformat(timespec="minutes")
        raise click.UsageError(f"{option} {text}: must be a time such as {example}") from None

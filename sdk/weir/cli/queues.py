"""`weir queues`: how full they are, and what limits them."""

from typing import Any

import click

from weir.cli.output import as_json, show, show_list
from weir.cli.profile import connected


@click.group()
def command() -> None:
    """Look at queues, pause and limit them."""


@command.command("list")
@click.option("--filter", "filter_text", default="", help="Such as: name = default")
@as_json
def list_queues(filter_text: str, *, as_json: bool) -> None:
    """List queues with what waits in them."""
    with connected() as client:
        columns = (
            "name",
            "queued",
            "running",
            "waiting",
            "worker_count",
            "paused",
            "max_running",
            "max_per_minute",
        )
        show_list(client.system.list_queues(filter=filter_text), columns, json_lines=as_json)


@command.command()
@click.argument("name")
@click.option("--reason", default="", help="Why; shown to who asks why a task waits.")
@as_json
def pause(name: str, reason: str, *, as_json: bool) -> None:
    """Hand out no tasks of a queue; those that run go on."""
    _update(name, as_json=as_json, paused=True, pause_reason=reason)


@command.command()
@click.argument("name")
@as_json
def resume(name: str, *, as_json: bool) -> None:
    """Hand out tasks of a queue again."""
    _update(name, as_json=as_json, paused=False, pause_reason="")


@command.command()
@click.argument("name")
@click.option("--running", type=click.IntRange(0), help="Tasks that run at a time; 0: no limit.")
@click.option("--per-minute", type=click.IntRange(0), help="Tasks started a minute; 0: no limit.")
@as_json
def limit(name: str, running: int | None, per_minute: int | None, *, as_json: bool) -> None:
    """Limit what runs of a queue, over all workers."""
    given = {"max_running": running, "max_per_minute": per_minute}
    changed = {field: number for field, number in given.items() if number is not None}
    if not changed:
        raise click.UsageError("say which limit: --running NUMBER or --per-minute NUMBER")
    _update(name, as_json=as_json, **changed)


def _update(name: str, *, as_json: bool, **changed: Any) -> None:
    with connected() as client:
        answer = client.system.update_queue(name, update_mask=list(changed), **changed)
    show(answer.queue, json_lines=as_json)

"""`weir workers`: who works, and who shall take no more."""

import click

from weir.cli.output import as_json, show, show_json, show_table
from weir.cli.profile import connected
from weir.v1.system_pb2 import Worker, WorkerState
from weir.values import enum_name


@click.group()
def command() -> None:
    """Look at workers, drain them."""


@command.command("list")
@click.option("--filter", "filter_text", default="", help="Such as: state = ACTIVE")
@as_json
def list_workers(filter_text: str, *, as_json: bool) -> None:
    """List workers, those lost within the last hour included."""
    with connected() as client:
        workers = client.system.list_workers(filter=filter_text)
        if as_json:
            for worker in workers:
                show_json(worker)
            return
        show_table(("ID", "HOST", "STATE", "QUEUES", "TASKS", "SLOTS"), map(_row, workers))


@command.command()
@click.argument("worker_id")
@click.option(
    "--grace", type=click.FloatRange(0), help="Seconds until what still runs goes back; default: no limit."
)
@as_json
def drain(worker_id: str, grace: float | None, *, as_json: bool) -> None:
    """Let a worker end what it has and take no more."""
    with connected() as client:
        answer = client.system.update_worker(worker_id, draining=True, grace=grace)
    show(answer.worker, json_lines=as_json)


@command.command()
@click.argument("worker_id")
@as_json
def resume(worker_id: str, *, as_json: bool) -> None:
    """Let a worker that was drained take tasks again."""
    with connected() as client:
        answer = client.system.update_worker(worker_id, draining=False)
    show(answer.worker, json_lines=as_json)


def _row(worker: Worker) -> tuple[str, ...]:
    state, running = enum_name(WorkerState, worker.state), len(worker.task_ids)
    return worker.id, worker.host, state, ",".join(worker.queues), str(running), str(worker.slots)

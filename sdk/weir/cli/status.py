"""`weir status`: how the server and its parts are."""

import click

from weir.cli import exits
from weir.cli.output import as_json, printable, show_json, show_table
from weir.cli.profile import connected
from weir.v1.system_pb2 import PART_STATE_DOWN, PartState, SystemStatus
from weir.values import enum_name


@click.command()
@as_json
def command(*, as_json: bool) -> None:
    """Say how the server and its parts are; exit status 1 if one is down."""
    with connected() as client:
        status = client.system.get_status().status
    show_json(status) if as_json else _show(status)
    raise SystemExit(exits.FAILED if status.state == PART_STATE_DOWN else exits.OK)


def _show(status: SystemStatus) -> None:
    tasks = ", ".join(f"{count} {state}" for state, count in sorted(status.task_counts.items()))
    click.echo(f"weir {printable(status.version)}: {enum_name(PartState, status.state)}")
    click.echo(f"workers {status.worker_count}; tasks {tasks or 'none'}; oldest queued ", nl=False)
    click.echo(f"{status.oldest_queued_age.ToTimedelta().total_seconds():.0f} s")
    click.echo(f"disk {status.disk_free_bytes / (1 << 30):.1f} GiB free\n")
    show_table(
        ("PART", "STATE", "VERSION", "MESSAGE"),
        [(part.name, enum_name(PartState, part.state), part.version, part.message) for part in status.parts],
    )

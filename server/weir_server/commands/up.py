"""`weir up`: the whole of Weir on one machine, with nothing to set up before."""

import asyncio
import os
from pathlib import Path

import click

from weir_server.embedded.failures import UpFailed


def _default_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share") / "weir"


@click.command("up")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="WEIR_DATA_DIR",
    default=_default_folder,
    show_default="WEIR_DATA_DIR, else ~/.local/share/weir",
    help="Where database, datasets, keys and logs are kept.",
)
@click.option(
    "--listen",
    envvar="WEIR_LISTEN",
    default="127.0.0.1:7443",
    show_default="WEIR_LISTEN, else 127.0.0.1:7443",
    help="HOST:PORT of the gRPC port; port 0 takes a free one.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Worker processes.")
@click.option("--worker-slots", type=click.IntRange(1, 1000), help="Tasks that each worker holds at a time.")
@click.option("--insecure", is_flag=True, help="Allow plain text on an address that is not loopback.")
def command(data_dir: Path, listen: str, workers: int, worker_slots: int | None, *, insecure: bool) -> None:
    """Run server, worker and scheduler on this machine, on SQLite and a Redis of their own.

    Prints `ready HOST:PORT` once tasks are taken. SIGTERM and Ctrl-C end everything in order.
    """
    from weir_server.embedded.up import Options, Up

    options = Options(data_dir, listen, workers, worker_slots, insecure)
    try:
        asyncio.run(Up(options, tell=_tell, ready=_ready).run())
    except UpFailed as error:
        raise click.ClickException(str(error)) from error


def _tell(text: str) -> None:
    click.echo(f"weir up: {text}", err=True)


def _ready(listen: str) -> None:
    click.echo(f"ready {listen}")

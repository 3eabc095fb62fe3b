"""The operator commands `weir worker` and `weir scheduler`."""

import asyncio
import gc
from importlib import import_module
from typing import Any

import click
import uvloop

from weir_core.config import Settings, require
from weir_core.logs import configure


@click.command()
@click.option("--queues", help="Queues to serve, joined by commas [WEIR_QUEUES].")
@click.option("--packs", help="Packs to run, by entry point or module, joined by commas [WEIR_PACKS].")
@click.option("--slots", type=click.IntRange(1, 1000), help="Tasks to hold at a time [WEIR_SLOTS].")
def worker(queues: str | None, packs: str | None, slots: int | None) -> None:
    """Run tasks."""
    given: dict[str, Any] = {"queues": queues, "packs": packs, "slots": slots}
    settings = Settings.load(**{name: value for name, value in given.items() if value})
    require(settings, "database_url", "redis_url", "master_key")
    configure(settings)
    uvloop.run(_work(settings))


@click.command()
def scheduler() -> None:
    """Fire schedules, and look after what no worker holds: due tasks, lost hints, lost workers."""
    from weir_workers.scheduler import app

    settings = Settings.load()
    configure(settings)
    uvloop.run(app.run(settings))


async def _work(settings: Settings) -> None:
    """The packs' processes load their code while this one loads its own."""
    from weir_workers.crew import start_all

    starting = asyncio.create_task(start_all(settings.packs))
    # Nothing of what imports make is ever garbage; looking for some costs a sixth of the start.
    gc.disable()
    app = await asyncio.to_thread(import_module, "weir_workers.app")
    gc.freeze()
    gc.enable()
    await app.run(settings, starting)

"""Runs of collections in a worker process: what they take."""

import asyncio
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tests.bench.rows import COLUMNS
from tests.bench.site import PER_PAGE, Ground, Program
from weir_core.collections.models import Collection, NewCollection, NewConnection, Run, SyncMode
from weir_core.tasks.models import Task
from weir_core.tasks.states import TERMINAL, TaskState

PAGE_NUMBERS: Final = {"kind": "page", "page_size": PER_PAGE, "total_path": "total"}
NEXT_LINK: Final = {"kind": "next_link", "next_path": "next"}
_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Took:
    """What so many rows took."""

    rows: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    def __str__(self) -> str:
        return f"{self.rate:,.0f} rows/s, {self.cpu / self.rows * 1e6:.1f} µs CPU"


def best(tries: Sequence[Took]) -> Took:
    """The quickest time and the least processor time."""
    return Took(tries[0].rows, min(each.seconds for each in tries), min(each.cpu for each in tries))


async def web_collection(
    ground: Ground, name: str, url: str, path: str, pagination: Mapping[str, Any]
) -> Collection:
    """A collection of the made-up web API."""
    columns = [{"name": column, "type": kind} for column, kind in COLUMNS]
    settings = {"path": path, "records_path": "results", "pagination": dict(pagination), "columns": columns}
    return await collection(ground, name, "http", {"base_url": url}, settings)


async def collection(
    ground: Ground,
    name: str,
    connector: str,
    source: dict[str, Any],
    settings: dict[str, Any],
    *,
    stream: str = "",
) -> Collection:
    """A collection that is read whole at each run."""
    collecting = ground.runtime.collecting
    made = await collecting.connections.create_connection(
        ground.caller, NewConnection("", name, connector, source, {}, allow_private_addresses=True)
    )
    new = NewCollection("", name, made.id, settings, SyncMode.FULL, stream=stream)
    return await collecting.collections.create_collection(ground.caller, new)


async def start(ground: Ground, collected: Collection) -> Run:
    """A run that a worker is about to claim."""
    run, _ = await ground.runtime.collecting.runs.start(ground.caller, collected.id)
    return run


async def collect(ground: Ground, worker: Program, collected: Collection) -> Took:
    """A run, from its claim to its end."""
    cpu = worker.cpu()
    task = await ended(ground, await start(ground, collected))
    assert task.start_time
    assert task.end_time
    assert isinstance(task.output, dict), task
    seconds = (task.end_time - task.start_time) / timedelta(seconds=1)
    return Took(task.output["records_read"], seconds, worker.cpu() - cpu)


async def ended(ground: Ground, run: Run) -> Task:
    """The run's task, once it has succeeded."""
    async with asyncio.timeout(_SECONDS):
        while (
            task := await ground.runtime.tasks.get(ground.caller, run.id, full=False)
        ).state not in TERMINAL:
            await asyncio.sleep(_LOOK_SECONDS)
    assert task.state is TaskState.SUCCEEDED, task.failure
    return await ground.runtime.tasks.get(ground.caller, run.id, full=True)


@contextmanager
def highest(measure: Callable[[], int]) -> Generator[Callable[[], int]]:
    """The greatest of what is measured again and again meanwhile."""
    seen, done = [measure()], threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_SECONDS):
            seen.append(measure())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: max(seen)
    finally:
        done.set()
        thread.join()

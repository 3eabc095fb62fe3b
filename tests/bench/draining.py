"""How fast a worker empties a full queue of tasks that do nothing, beside Celery with the same two writes."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from tests.bench.clients import NOOP, store
from tests.bench.driver import CLAIMED, STORED, open_driver, place, stored
from tests.bench.report import Line
from tests.bench.site import ROOT, SLOTS, Ground, Program, Site, Size
from weir_core.fleet.models import TaskType
from weir_core.ids import new_id
from weir_core.queue import Hint
from weir_core.tasks.promotion import hint_of
from weir_core.tasks.states import TaskState

CELERY = ROOT / ".cache/bench/bin/celery"
_SECONDS = 300.0
_POLL = 0.1
# What Celery drains fastest with on two cores.
_PROCESSES = 4
_BROKER_DATABASE = 60
_HELD = (TaskState.QUEUED, TaskState.RUNNING, TaskState.CANCELLING)
_OTHER = "celery"
_LEFT = "SELECT COUNT(*) FROM task WHERE project = '{project}' AND state IN ({states})"


@dataclass(frozen=True)
class Drain:
    """An emptied queue."""

    tasks: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return self.tasks / self.seconds

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s, {self.cpu / self.tasks * 1e6:.0f} µs CPU"


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """Both queues are full before their worker begins."""
    ground = await site.ground()
    ours = await _weir(ground, size.drained)
    what = f"drain of {size.drained:,} tasks"
    if not CELERY.exists():
        yield Line(what, str(ours), "Celery is not there: `make bench` installs it")
        return
    await ground.rest()
    reference = await _celery(site, ground, size.drained)
    yield Line(what, str(ours), f"Celery {reference}", ours.rate / reference.rate, "at least 5")


async def _weir(ground: Ground, count: int) -> Drain:
    worker = await ground.worker(SLOTS)
    kind = await ground.runtime.tasks.newest_type(NOOP)
    await _drain(ground, worker, await _hints(ground, kind, 10))
    return await _drain(ground, worker, await _hints(ground, kind, count))


async def _hints(ground: Ground, kind: TaskType, count: int) -> list[Hint]:
    made = await store(ground, kind, [{"tell": ""}] * count)
    return [hint_of(each) for each in made]


async def _drain(ground: Ground, worker: Program, hints: list[Hint]) -> Drain:
    cpu, began = worker.cpu(), time.time()
    await ground.runtime.queue.hint(hints)
    await until_none_left(ground, "default", *_HELD)
    return Drain(len(hints), time.time() - began, worker.cpu() - cpu)


async def _celery(site: Site, ground: Ground, count: int) -> Drain:
    path = site.services["redis"].removeprefix("unix://")
    environment = {
        "BENCH_BROKER": f"redis+socket://{path}?virtual_host={_BROKER_DATABASE}",
        "BENCH_DATABASE": json.dumps(
            {"database": "weir_bench"} | place(ground.environment["WEIR_DATABASE_URL"])
        ),
    }
    with _celery_worker(ground.folder, environment) as worker:
        await _publish(ground, environment, 10)
        await until_none_left(ground, _OTHER, STORED, CLAIMED)
        began = await _publish(ground, environment, count)
        cpu = worker.cpu()
        await until_none_left(ground, _OTHER, STORED, CLAIMED)
        return Drain(count, time.time() - began, worker.cpu() - cpu)


@contextmanager
def _celery_worker(folder: Path, environment: dict[str, str]) -> Generator[Program]:
    options = ["--pool", "prefork", "--concurrency", str(_PROCESSES), "--loglevel", "WARNING"]
    command = [str(CELERY), "-A", "tests.bench.celery_app", "worker", *options]
    program = Program(command, folder / "celery.log", environment)
    try:
        yield program
    finally:
        program.stop()


async def _publish(ground: Ground, environment: dict[str, str], count: int) -> float:
    """Store rows and publish their ids; the second at which the worker was let in."""
    keys = [new_id().bytes for _ in range(count)]
    kind = await ground.runtime.tasks.newest_type(NOOP)
    async with open_driver(ground.environment["WEIR_DATABASE_URL"]) as driver:
        [made] = await store(ground, kind, [{"tell": ""}])
        pattern = await driver.pattern(made.id.bytes)
        await driver.insert_many(stored(pattern, key, project=_OTHER) for key in keys)
    command = [str(CELERY.with_name("python")), "-m", "tests.bench.celery_app"]
    ended = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=ROOT,
        env=os.environ | environment,
        input="\n".join(key.hex() for key in keys),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_SECONDS,
    )
    return float(ended.stdout.split()[1])


async def until_none_left(ground: Ground, project: str, *states: int) -> None:
    """Wait until no task of a project is in one of the states."""
    query = text(_LEFT.format(project=project, states=", ".join(str(int(state)) for state in states)))
    async with asyncio.timeout(_SECONDS):
        while True:
            async with ground.runtime.db.read() as tx:
                if (await tx.execute(query)).scalar_one() == 0:
                    return
            await asyncio.sleep(_POLL)

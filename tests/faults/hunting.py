"""Kills workers in the middle of runs: at any time, or exactly at a failpoint on a segment's way.

At a failpoint the process that does the run freezes itself, so that it is known where
it stands when its whole worker is killed.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import select

from tests.faults.programs import Program
from tests.faults.site import Site
from tests.tools.processes import descendants
from weir_core.tasks import repository
from weir_core.tasks.models import attempt

ANY_TIME: Final = "any time"
_LONGEST: Final = 3.0
_LOOK: Final = 0.03
# How often a run comes by there: a place is chosen for one of its visits.
_PLACES: Final = {
    "segment.gathered": 4,
    "file.drafted": 4,
    "file.stored": 4,
    "segment.written": 4,
    "segment.committed": 4,
    "run.written": 1,
    "run.committed": 1,
}
# What a third kill would hit is held for an operator: the hunt leaves it alone.
_MOST: Final = 2


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker that was killed while it held a run; `at` by the steady clock, when it was gone."""

    run_id: str
    worker_id: str
    way: str
    at: float


@dataclass
class Hunt:
    """Kills each worker of a site again and again, none of whose runs twice too often."""

    site: Site
    kills: list[Kill] = field(default_factory=list[Kill])

    @asynccontextmanager
    async def going(self) -> AsyncGenerator[None]:
        """Hunt for as long as this is open; then all workers are up, with nothing armed."""
        seeds = [self.site.chance.random() for _ in self.site.workers]
        hunters = [
            asyncio.create_task(self._hunt(worker, random.Random(seed)))
            for worker, seed in zip(self.site.workers, seeds, strict=True)
        ]
        try:
            yield
        finally:
            for hunter in hunters:
                hunter.cancel()
            for ended in await asyncio.gather(*hunters, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended
            await asyncio.gather(*(_anew(worker) for worker in self.site.workers))

    async def _hunt(self, worker: Program, chance: random.Random) -> None:
        while True:
            way = chance.choice([ANY_TIME] * len(_PLACES) + list(_PLACES))
            visits = self.site.folder / "visits" / f"{worker.name}-{worker.starts}"
            visits.mkdir(parents=True)
            armed = "" if way == ANY_TIME else f"{way}:stop@{chance.randint(1, _PLACES[way])}"
            await _anew(worker, WEIR_FAILPOINTS=armed, WEIR_FAILPOINTS_ONCE=str(visits))
            run_id = None if way == ANY_TIME else await self._frozen(worker, visits)
            if run_id is None:
                way = ANY_TIME
                run_id = await self._at_any_time(worker, chance)
            worker_id = worker.worker_id()
            self.site.history.did("kill worker", worker.name, [worker_id])
            await worker.kill()
            self.kills.append(Kill(run_id, worker_id, way, time.monotonic()))

    async def _frozen(self, worker: Program, visits: Path) -> str | None:
        """The run whose process has frozen itself; None where it was killed often enough: it goes on."""
        while not os.listdir(visits):  # noqa: PTH208  a folder of this machine, with a file at most
            await asyncio.sleep(_LOOK)
        while not (stopped := frozen(worker)):
            await asyncio.sleep(_LOOK)
        run_id = await held(self.site, worker)
        if run_id is not None and self._may_die(run_id):
            return run_id
        os.kill(stopped[0], signal.SIGCONT)
        return None

    async def _at_any_time(self, worker: Program, chance: random.Random) -> str:
        while True:
            run_id = await held(self.site, worker)
            if run_id is None or not self._may_die(run_id):
                await asyncio.sleep(_LOOK)
                continue
            await asyncio.sleep(chance.uniform(0, _LONGEST))
            if await held(self.site, worker) == run_id:
                return run_id

    async def hits(self) -> list[Kill]:
        """The kills of which the books say that the run lost its attempt."""
        query = select(attempt.c.worker_id, attempt.c.task_id, attempt.c.failure)
        async with self.site.runtime.db.read() as tx:
            rows = (await tx.execute(query.where(attempt.c.failure.is_not(None)))).all()
        lost = {
            (str(row.task_id), str(row.worker_id)) for row in rows if row.failure["code"] == "lost_worker"
        }
        return [kill for kill in self.kills if (kill.run_id, kill.worker_id) in lost]

    def _may_die(self, run_id: str) -> bool:
        return Counter(kill.run_id for kill in self.kills)[run_id] < _MOST


def frozen(worker: Program) -> list[int]:
    """The processes of a worker that are stopped."""
    found: list[int] = []
    for pid in sorted(descendants(worker.process.pid)):
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                found.append(pid)
    return found


async def held(site: Site, worker: Program) -> str | None:
    """The task that a worker of one slot holds."""
    worker_id = UUID(worker.worker_id())
    async with site.runtime.db.read() as tx:
        tasks = (await repository.held_by(tx, [worker_id])).get(worker_id, [])
    return str(tasks[0]) if tasks else None


async def _anew(worker: Program, **variables: str) -> None:
    if worker.lives:
        await worker.kill()
    await worker.start(**variables)

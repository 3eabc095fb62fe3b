"""One fault on a quiet system."""

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from tests.faults.books import Books, read_ledger
from tests.faults.harm import Harm
from tests.faults.judging import Asked, judge
from tests.faults.load import Load, Plan
from tests.faults.programs import Program
from tests.faults.report import Report, restarts
from tests.faults.site import REAL, Site, Size, opened
from tests.tools.processes import descendants
from weir_core.tasks import repository

# What a lost attempt's successor may take, on a quiet system: the lease and 5 s.
_FOUND = 5.0
_PATIENCE = 120.0
_ROUNDS = 5


async def alone(asked: Asked) -> list[Report]:
    """One task, one kill and nothing else going on, five times, at any point of the lease."""
    report = Report("alone")
    async with opened(asked.folder, REAL, asked.seed, Size(workers=2, slots=1)) as site:
        began = time.time()
        load = Load(site, Plan())
        for number in range(_ROUNDS):
            task_id = await load.submit_until_ok(f"alone-{number}", {"seconds": 6.0})
            await started(site, [task_id])
            await asyncio.sleep(site.chance.uniform(0, 5))
            worker = await holder(site, task_id)
            site.history.did("kill worker", worker.name, [worker.worker_id()])
            await worker.kill()
            await site.quiet(_PATIENCE)
            await worker.start()
        found = await judge(site, report, began)
    waits = restarts(site.history, found)
    report.demand("each kill hit the task", kept=len(waits) == _ROUNDS)
    soon = max(waits, default=0) <= site.pace.lease + _FOUND
    report.demand("the second attempt starts within the lease and 5 s", kept=soon)
    return [report]


async def frozen_database(asked: Asked) -> list[Report]:
    """MariaDB frozen for 20 s, and for less and for more than a lease: no lease lost, no attempt charged."""
    return [
        await _frozen_database(replace(asked, folder=asked.folder / f"{seconds:g}"), seconds)
        for seconds in (20.0, 12.0, 45.0)
    ]


async def _frozen_database(asked: Asked, seconds: float) -> Report:
    report = Report(f"frozen-database for {seconds:g} s")
    asked.folder.mkdir()
    async with opened(asked.folder, REAL, asked.seed) as site:
        began = time.time()
        workers = [worker.worker_id() for worker in site.workers]
        load = Load(site, Plan(tasks=10, rate=1, longest=2, watchers=12, cancelled=0, failing=0))
        async with load.going():
            # Some end while it is frozen, some go on through it.
            given = [{"seconds": length} for length in (5.0, 15.0, seconds + 20.0) for _ in range(8)]
            tasks = await submitted(load, given)
            await started(site, tasks)
            await asyncio.gather(Harm(site).freeze(site.database, seconds), load.submit_all())
        found = await judge(site, report, began)
        kept = [worker.worker_id() for worker in site.workers] == workers
    report.demand("every worker keeps its lease", kept=kept and _leases_kept(found))
    report.demand("one attempt each, none charged", kept=_untouched(found))
    return report


async def frozen_worker(asked: Asked) -> list[Report]:
    """A worker frozen for two leases and woken, alone and with its children: nothing of it is accepted."""
    return [
        await _frozen_worker(replace(asked, folder=asked.folder / str(whole)), whole=whole)
        for whole in (False, True)
    ]


async def _frozen_worker(asked: Asked, *, whole: bool) -> Report:
    report = Report(f"frozen-worker {'with its children' if whole else 'alone'}")
    asked.folder.mkdir()
    async with opened(asked.folder, REAL, asked.seed, Size(workers=2)) as site:
        began = time.time()
        load = Load(site, Plan(watchers=40, listers=0))
        async with load.going():
            # They talk all the time, and end at their first attempt while it is frozen.
            tasks = await submitted(load, [{"seconds": 25.0 * site.pace.lease / 15, "steps": 50}] * 20)
            await started(site, tasks)
            frozen = site.workers[0]
            held = [task_id for task_id in tasks if await holder(site, task_id) is frozen]
            await _freeze(site, frozen, 2 * site.pace.lease, whole=whole)
            await site.quiet(_PATIENCE)
        found = await judge(site, report, began)
    stale = [row for row in found.tasks if row.id in held and row.attempt != 2]
    report.numbers["tasks of the frozen worker"] = len(held)
    report.demand("each of its tasks ended by a second attempt", kept=bool(held) and not stale)
    return report


async def _freeze(site: Site, program: Program, seconds: float, *, whole: bool) -> None:
    site.history.did("freeze worker", program.name)
    pid = program.process.pid
    family = [pid, *(descendants(pid) if whole else ())]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for each in family:
            _signal(each, number)
        if number is signal.SIGSTOP:
            await asyncio.sleep(seconds)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


async def submitted(load: Load, given: list[dict[str, float]]) -> list[str]:
    """Submit some tasks, and give them to the watchers."""
    tasks = [await load.submit_until_ok(f"given-{number}", each) for number, each in enumerate(given)]
    load.tasks += tasks
    load.unwatched += tasks
    return tasks


async def started(site: Site, tasks: Iterable[str]) -> None:
    """Wait until all of the tasks run."""
    async with asyncio.timeout(_PATIENCE):
        while not {effect.task_id for effect in read_ledger(site.ledger)} >= set(tasks):
            await asyncio.sleep(0.05)


async def holder(site: Site, task_id: str) -> Program:
    """The worker that holds the task now."""
    async with site.runtime.db.read() as tx:
        found = await repository.get(tx, UUID(task_id))
    assert found is not None
    return next(worker for worker in site.workers if worker.worker_id() == str(found.worker_id))


def _leases_kept(found: Books) -> bool:
    return all(worker.state != "LOST" for worker in found.workers)


def _untouched(found: Books) -> bool:
    return all((row.attempt, row.charged) == (1, 0) for row in found.tasks)

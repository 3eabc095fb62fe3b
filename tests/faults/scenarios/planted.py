"""Bugs planted on purpose: the validator must find each of them, and nothing where there is none."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from tests.faults import planted as bugs
from tests.faults.harm import Harm
from tests.faults.history import History
from tests.faults.judging import Asked, judge
from tests.faults.load import Load, Plan
from tests.faults.report import Report
from tests.faults.scenarios.single import holder, started, submitted
from tests.faults.site import SHORT, Site, opened
from tests.tools.guard import ROOT
from weir_core.tasks import repository
from weir_core.tasks.states import TaskState

_PATIENCE = 60.0
_IDLE = Plan(tasks=0, watchers=0, listers=0, hasty=0, failing=0, cancelled=0)

Round = Callable[[Site], Awaitable[None]]


def variables(folder: Path) -> dict[str, str]:
    """What makes processes listen for bugs that are to be planted."""
    (folder / "planted").mkdir(parents=True, exist_ok=True)
    return {
        "WEIR_PLANTED": str(folder / "planted"),
        "PYTHONPATH": f"{ROOT / 'tests/faults/planting'}:{ROOT}",
    }


async def planted(asked: Asked) -> list[Report]:
    """Five planted bugs, one after the other: each must be found by its check."""
    async with opened(asked.folder, SHORT, asked.seed, variables=variables(asked.folder)) as site:
        return await planted_rounds(site)


async def planted_rounds(site: Site) -> list[Report]:
    """A round with each bug."""
    return [await _round(site, name, play) for name, play in ROUNDS.items()]


async def _round(site: Site, name: str, play: Round) -> Report:
    site.history = History(site.folder / f"{name}.jsonl")
    began, bug = time.time(), site.folder / "planted" / name
    bug.touch()
    try:
        await play(site)
    finally:
        bug.unlink()
    judged = Report(name)
    await judge(site, judged, began, settle=False)
    report = Report(f"planted {name}")
    counts = Counter(violation.check for violation in judged.violations)
    wanted = bugs.FOUND_BY[name]
    found = next((str(each) for each in judged.violations if each.check == wanted), "nothing")
    report.numbers = {
        "found": ", ".join(f"{count} of {check}" for check, count in sorted(counts.items())) or "nothing",
        "such as": found,
        "seconds": f"{time.time() - began:.1f}",
    }
    report.demand(f"{wanted} finds the planted bug {name}", kept=wanted in counts)
    return report


async def _no_fence(site: Site) -> None:
    """A worker is frozen while its tasks end, until they run elsewhere; what it says then is taken."""
    load = Load(site, _IDLE, bugs.NO_FENCE)
    tasks = await submitted(load, [{"seconds": 2.0, "steps": 4}] * 30)
    await started(site, tasks)
    frozen = await holder(site, tasks[0])
    site.history.did("freeze worker", frozen.name)
    frozen.signal(signal.SIGSTOP)
    try:
        await _runs_again(site, tasks[0])
    finally:
        frozen.signal(signal.SIGCONT)
    await site.quiet(_PATIENCE)


async def _runs_again(site: Site, task_id: str) -> None:
    async with asyncio.timeout(_PATIENCE):
        while True:
            async with site.runtime.db.read() as tx:
                found = await repository.get(tx, UUID(task_id))
            if found is not None and found.attempt == 2 and found.state is TaskState.RUNNING:
                return
            await asyncio.sleep(0.05)


async def _acknowledged_first(site: Site) -> None:
    """All servers die just after they have answered."""
    load = Load(site, _IDLE, bugs.ACKNOWLEDGED_FIRST)
    await submitted(load, [{}] * 20)
    for server in site.servers:
        site.history.did("kill server", server.name)
    await asyncio.gather(*(server.kill() for server in site.servers))
    await asyncio.gather(*(server.start() for server in site.servers))


async def _no_unique_fire(site: Site) -> None:
    """Two schedulers look at one schedule."""
    await Load(site, _IDLE, bugs.NO_UNIQUE_FIRE).tick(5)


async def _offset_paging(site: Site) -> None:
    """Tasks are submitted while lists are read."""
    plan = Plan(tasks=150, rate=50, longest=0, watchers=0, listers=2, hasty=0, failing=0, cancelled=0)
    load = Load(site, plan, bugs.OFFSET_PAGING)
    async with load.going():
        await load.submit_all()


async def _notice_before_commit(site: Site) -> None:
    """Workers die while their tasks end."""
    plan = Plan(tasks=90, rate=60, longest=0.5, watchers=60, stay=20, listers=0, failing=0, cancelled=0)
    load, harm = Load(site, plan, bugs.NOTICE_BEFORE_COMMIT), Harm(site)
    async with load.going():
        submitting = asyncio.create_task(load.submit_all())
        for _ in range(3):
            await asyncio.sleep(0.7)
            await harm.kill_worker(restart=False)
        await submitting
        await harm.restart_dead()
        await site.quiet(_PATIENCE)


ROUNDS: dict[str, Round] = {
    bugs.NO_FENCE: _no_fence,
    bugs.ACKNOWLEDGED_FIRST: _acknowledged_first,
    bugs.NO_UNIQUE_FIRE: _no_unique_fire,
    bugs.OFFSET_PAGING: _offset_paging,
    bugs.NOTICE_BEFORE_COMMIT: _notice_before_commit,
}

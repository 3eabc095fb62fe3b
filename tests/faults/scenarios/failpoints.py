"""Every failpoint of the engine, visited by kill -9 while work goes on."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults.feeds import Feed, collection_of, served
from tests.faults.history import History
from tests.faults.judging import Asked, judge
from tests.faults.load import Load, Plan
from tests.faults.programs import Program
from tests.faults.report import Report
from tests.faults.site import PACK, SHORT, Site, opened
from weir import AsyncRunHandle
from weir.types import QuarantineAction, SyncMode

_PATIENCE = 180.0
_AGE = 7.0
_PAGES = 10
_FEW_PAGES = 2
_PAUSE = 0.5

VARIABLES: Final = {
    "WEIR_PACKS": f"builtin,{PACK}",
    "WEIR_SEGMENT_ROWS": "50",
    "WEIR_COMPACT_AFTER": "1",
}
"""For workers that run collections too."""

FAILPOINTS: dict[str, tuple[str, ...]] = {
    "server": ("submit.inserted", "submit.committed", "submit.hinted", "cancel.committed"),
    "worker": (
        "hint.read",
        "claim.written",
        "claim.committed",
        "claim.started",
        "hint.acknowledged",
        "artifact.stored",
        "artifact.committed",
        "events.sent",
        "archive.committed",
        "finish.reported",
        "close.written",
        "finish.committed",
        "finish.sent",
        "segment.gathered",
        "file.drafted",
        "file.stored",
        "segment.written",
        "segment.committed",
        "run.written",
        "run.committed",
        "resolve.written",
        "resolve.committed",
        "compact.written",
        "compact.committed",
    ),
    "scheduler": (
        "lose.committed",
        "takeover.sealed",
        "close.written",
        "takeover.committed",
        "promote.committed",
        "rehint.noted",
        "fire.written",
        "fire.committed",
    ),
}
"""Which process dies where: a server or a scheduler itself, of a worker the one that does the work there."""


async def failpoints(asked: Asked) -> list[Report]:
    """Every failpoint, by kill -9."""
    async with opened(asked.folder, SHORT, asked.seed, variables=VARIABLES) as site:
        # What Redis has is then older than any difference of clocks: no attempt that dies leaves a gap.
        await asyncio.sleep(_AGE)
        return [await failpoint_round(site)]


async def failpoint_round(site: Site) -> Report:
    """Run with all failpoints armed, each for one kill, and start what died, until all were visited."""
    site.history = History(site.folder / "failpoints.jsonl")
    report, began = Report("failpoints"), time.time()
    visits = site.folder / "visits"
    plan = Plan(tasks=20, rate=10, longest=3, watchers=15, stay=2, listers=1, failing=0.3, cancelled=0.2)
    large = Feed(SyncMode.SYNC_MODE_FULL, random.Random(site.chance.random()))
    small = Feed(SyncMode.SYNC_MODE_INCREMENTAL, random.Random(site.chance.random()))
    keeping: list[asyncio.Task[None]] = []
    try:
        async with served([large, small]):
            ids = [(await collection_of(site.clients[0], feed)).id for feed in (large, small)]
            keeping = [asyncio.create_task(_keep(site, program, visits)) for program in site.programs]
            visited = await _until_visited(site, plan, visits, Collecting(large, small, *ids))
    finally:
        for each in keeping:
            each.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
    # As they were before: whole, and with nothing armed.
    await asyncio.gather(*(_restart(program) for program in site.programs))
    await judge(site, report, began)
    report.numbers["failpoints visited"] = f"{visited} of {sum(map(len, FAILPOINTS.values()))}"
    for role, names in FAILPOINTS.items():
        for name in names:
            report.demand(f"the {role} is killed at {name}", kept=(visits / role / name).exists())
    return report


@dataclass(frozen=True, slots=True)
class Collecting:
    """Two collections whose sources change each time that they are run."""

    large: Feed
    small: Feed
    large_id: str
    small_id: str

    async def once(self, load: Load) -> None:
        """Run them, the small one so that its dataset is to be compacted; drop what went to quarantine."""
        self.large.grow(_PAGES)
        self.small.grow(_FEW_PAGES)
        handle = await self._run(load, self.large_id)
        await self._run(load, self.small_id)
        action = QuarantineAction.QUARANTINE_ACTION_DISCARD
        every = f'dataset_id = "{handle.dataset_id}"'
        await _answered(
            load,
            "ResolveQuarantine",
            lambda: load.client().collections.resolve_quarantine(
                handle.dataset_id, filter=every, action=action
            ),
        )

    async def _run(self, load: Load, collection_id: str) -> AsyncRunHandle:
        handle = await _answered(load, "RunCollection", lambda: load.client().collections.run(collection_id))
        await handle.task.wait(_PATIENCE)
        return handle


async def _answered(load: Load, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
    """What a call answers, asked again while servers die."""
    async with asyncio.timeout(_PATIENCE):
        while (answer := await load.call(method, call())) is None:
            await asyncio.sleep(_PAUSE)
    return answer


async def _until_visited(site: Site, plan: Plan, visits: Path, collecting: Collecting) -> int:
    """Submit and watch until all have been visited; how many were."""
    until, number = time.monotonic() + _PATIENCE, 0
    while _count(visits) < sum(map(len, FAILPOINTS.values())) and time.monotonic() < until:
        number += 1
        load = Load(site, plan, f"visit-{number}")
        async with load.going():
            await asyncio.gather(load.submit_all(), load.tick(3), collecting.once(load))
            await site.quiet(_PATIENCE)
    return _count(visits)


def _count(visits: Path) -> int:
    return sum((visits / role / name).exists() for role, names in FAILPOINTS.items() for name in names)


async def _keep(site: Site, program: Program, visits: Path) -> None:
    role = program.command[0]
    folder = visits / role
    folder.mkdir(parents=True, exist_ok=True)
    armed = ",".join(f"{name}:kill" for name in FAILPOINTS[role])
    await program.kill()
    while True:
        await program.start(WEIR_FAILPOINTS=armed, WEIR_FAILPOINTS_ONCE=str(folder))
        await program.process.wait()
        site.history.did("failpoint", program.name)


async def _restart(program: Program) -> None:
    if program.lives:
        await program.kill()
    await program.start()

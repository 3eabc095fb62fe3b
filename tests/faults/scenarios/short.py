"""The crowd in small, short enough for every run of the tests."""

import asyncio
import time

from tests.faults.harm import Harm
from tests.faults.judging import Asked, judge
from tests.faults.load import Load, Plan
from tests.faults.report import Report
from tests.faults.site import SHORT, Site, Size, opened

SIZE = Size(workers=2, schedulers=1)
_PLAN = Plan(tasks=100, rate=20, longest=3, watchers=10, stay=1.5)
_PATIENCE = 60.0


async def short(asked: Asked) -> list[Report]:
    """100 tasks and 10 watchers under two kills of workers, a flush and the restart of a server."""
    async with opened(asked.folder, SHORT, asked.seed, SIZE) as site:
        return [await short_round(site)]


async def short_round(site: Site) -> Report:
    """The same at a site that is there."""
    report, began = Report("short"), time.time()
    harm, load = Harm(site), Load(site, _PLAN)
    async with load.going():
        await asyncio.gather(load.submit_all(), _harm(harm))
        await site.quiet(_PATIENCE)
    await judge(site, report, began)
    return report


async def _harm(harm: Harm) -> None:
    # A killed worker is up again before the next deed, so that each kill can hit a running task.
    for deed in (harm.kill_worker, harm.flush, harm.kill_worker, harm.restart_server):
        await asyncio.sleep(1)
        await deed()

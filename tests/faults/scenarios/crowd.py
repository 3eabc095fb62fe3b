"""Many tasks, many watchers, many kills."""

import asyncio
import time
from collections import Counter

from tests.faults.harm import Harm
from tests.faults.judging import QUIET, Asked, judge
from tests.faults.load import Load, Plan
from tests.faults.report import Report
from tests.faults.site import REAL, opened

_BETWEEN_KILLS = 5.0
_BETWEEN_DISASTERS = 12.0


async def crowd(asked: Asked) -> list[Report]:
    """Many tasks, 200 watchers: a worker killed every 5 s, two flushes, MariaDB and servers restarted."""
    report = Report("crowd")
    async with opened(asked.folder, REAL, asked.seed) as site:
        began = time.time()
        harm, load = Harm(site), Load(site, Plan(tasks=asked.tasks, watchers=200))
        async with load.going():
            enough = asyncio.Event()
            killing = asyncio.create_task(harm.every(_BETWEEN_KILLS, harm.kill_worker, enough))
            await asyncio.gather(load.submit_all(), _disasters(harm))
            quiet = await site.quiet(QUIET)
            enough.set()
            await killing
            report.demand("every task ends while the kills go on", kept=quiet)
        report.numbers["seconds until the last task ended"] = f"{time.time() - began:.0f}"
        await judge(site, report, began)
    return [report]


async def _disasters(harm: Harm) -> None:
    for deed in (harm.flush, harm.kill_server, harm.restart_database, harm.flush, harm.restart_server):
        await asyncio.sleep(_BETWEEN_DISASTERS)
        await deed()


async def repeats(asked: Asked) -> list[Report]:
    """Submits cancelled by their client at a random moment, and sent again with the same request id."""
    report = Report("repeats")
    plan = Plan(tasks=asked.tasks, rate=100, longest=0.0, watchers=0, listers=0, hasty=1.0, cancelled=0)
    async with opened(asked.folder, REAL, asked.seed) as site:
        began = time.time()
        load = Load(site, plan)
        async with load.going():
            await load.submit_all()
        await judge(site, report, began)
    calls = Counter(submit.request_id for submit in site.history.submits)
    cut = {request for request, count in calls.items() if count > 1}
    kept = sum(submit.request_id in cut and not submit.created for submit in site.history.submits)
    report.numbers["cancelled and sent again"] = f"{len(cut)}, of which {kept} had been stored"
    report.demand("some cancelled submits had been stored, and some had not", kept=0 < kept < len(cut))
    return [report]

"""Collections whose workers are killed: no record lost, none twice, no page asked for again without need."""

import asyncio
import math
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

import weir
from tests.faults.feeds import IN_FLIGHT, PAGE, Feed, Page, collection_of, served
from tests.faults.hunting import Hunt, frozen
from tests.faults.judging import QUIET, Asked, judge
from tests.faults.programs import Program
from tests.faults.report import Report
from tests.faults.site import SHORT, Site, Size, opened
from tests.tools.processes import descendants
from weir.types import Collection, Run, SyncMode, TaskState
from weir_core.datasets.models import segment
from weir_core.datasets.sweep import DatasetSweep

_KILLS: Final = 50
_MOST_ROUNDS: Final = 30
_PAGES: Final = 40
_SEGMENT_ROWS: Final = 50
_PATIENCE: Final = 60.0
# At most one record in ten is bad or was there at the cursor.
_SEGMENT_PAGES: Final = math.ceil(_SEGMENT_ROWS / (PAGE - 1))
# So long what a killed worker had sent may still be on its way; its successor starts later.
_ON_ITS_WAY: Final = 0.3
_MODES: Final = (SyncMode.SYNC_MODE_INCREMENTAL, SyncMode.SYNC_MODE_MERGE, SyncMode.SYNC_MODE_FULL)
SIZE: Final = Size(servers=1, workers=len(_MODES), schedulers=1, slots=1)
VARIABLES: Final = {"WEIR_PACKS": "builtin", "WEIR_SEGMENT_ROWS": str(_SEGMENT_ROWS)}


@dataclass
class Ground:
    """Collections, each with its source, and the runs of them: by id the round of growth that they read."""

    site: Site
    report: Report
    feeds: list[Feed]
    collections: list[Collection] = field(default_factory=list[Collection])
    runs: dict[str, tuple[Feed, int]] = field(default_factory=dict[str, tuple[Feed, int]])
    datasets: dict[str, str] = field(default_factory=dict[str, str])
    """Their ids, by the feed's name."""

    @property
    def client(self) -> weir.AsyncClient:
        """The client that does all that people do."""
        return self.site.clients[0]

    async def run(self, number: int) -> str:
        """Let a source grow, and start a run over it; its id."""
        feed = self.feeds[number]
        feed.grow(_PAGES)
        run_id = (await self.client.collections.run(self.collections[number].id)).id
        self.runs[run_id] = feed, feed.rounds
        return run_id

    async def ended(self, run_id: str) -> None:
        """Wait for the end of a run, and look at what it says and what its dataset shows."""
        task = await self.client.tasks.handle(run_id).wait(QUIET)
        run = (await self.client.collections.get_run(run_id)).run
        feed, number = self.runs[run_id]
        said = f"round {number} of {feed.name}"
        well = task.state == TaskState.TASK_STATE_SUCCEEDED
        self.report.demand(f"{said} succeeds: {task.failure.message}", kept=well)
        self.report.demand(f"{said} counts what it did: {run.counters}", kept=_counted(run, feed))
        self.datasets[feed.name] = run.dataset_id
        self.report.demand(
            f"{said}: the dataset shows what was sent", kept=_whole(await self.rows(feed), feed)
        )

    async def rows(self, feed: Feed) -> list[dict[str, Any]]:
        """The records that a feed's dataset shows."""
        table = await self.client.collections.read_arrow(self.datasets[feed.name])
        return table.to_pylist()


async def collect(asked: Asked) -> list[Report]:
    """50 kills of workers in the middle of runs, of three modes side by side; then a stale worker."""
    report = Report("collect")
    async with opened(asked.folder, SHORT, asked.seed, SIZE, variables=VARIABLES) as site:
        began = time.time()
        feeds = [Feed(mode, random.Random(site.chance.random())) for mode in _MODES]
        async with served(feeds):
            ground = Ground(site, report, feeds)
            ground.collections = [await collection_of(ground.client, feed) for feed in feeds]
            hunt = Hunt(site)
            async with hunt.going():
                while len(hits := await hunt.hits()) < _KILLS and feeds[0].rounds < _MOST_ROUNDS:
                    runs = [await ground.run(number) for number in range(len(feeds))]
                    await asyncio.gather(*map(ground.ended, runs))
            report.demand(f"{_KILLS} kills hit a run", kept=len(hits) >= _KILLS)
            await _stale(ground)
            await judge(site, report, began)
            _tell_kills(ground, hunt)
            _tell_asked_again(ground, [(kill.run_id, kill.at) for kill in hits])
            await _tell_records(ground)
            await _tell_files(ground)
    return [report]


def _counted(run: Run, feed: Feed) -> bool:
    told, bad = run.counters, feed.bad(fresh=True)
    # What a merge has written depends on where its segments ended.
    written = told.records_written == feed.fresh() - bad or feed.mode == SyncMode.SYNC_MODE_MERGE
    return written and told.records_quarantined == bad


def _whole(rows: list[dict[str, Any]], feed: Feed) -> bool:
    wanted = feed.shown()
    return len(rows) == len(wanted) and {row["id"]: row for row in rows} == wanted


async def _stale(ground: Ground) -> None:
    """Freeze a worker that has written a file, let another end the run, and wake it: it is refused."""
    site, report = ground.site, ground.report
    visits = site.folder / "visits" / "stale"
    visits.mkdir(parents=True)
    armed = {
        "WEIR_FAILPOINTS": "file.stored:stop@2,fence.refused:sleep:0",
        "WEIR_FAILPOINTS_ONCE": str(visits),
    }
    for worker in site.workers:
        await worker.kill()
    await asyncio.gather(*(worker.start(**armed) for worker in site.workers))
    run_id = await ground.run(0)
    worker, writing = await _first_frozen(site.workers)
    site.history.did("freeze worker", worker.name)
    family = [worker.process.pid, *descendants(worker.process.pid)]
    _signal(family, signal.SIGSTOP)
    await ground.ended(run_id)
    # It alone goes on, believing that it has the run: its worker would see first that the lease is lost.
    _signal([writing], signal.SIGCONT)
    refused = await _until((visits / "fence.refused").exists)
    _signal(family, signal.SIGCONT)
    report.numbers["stale second worker"] = "refused" if refused else "NOT REFUSED"
    report.demand("the stale worker's commit is refused", kept=refused)
    feed = ground.feeds[0]
    report.demand("nothing of the stale worker is shown", kept=_whole(await ground.rows(feed), feed))


async def _first_frozen(workers: Sequence[Program]) -> tuple[Program, int]:
    async with asyncio.timeout(_PATIENCE):
        while True:
            for worker in workers:
                if stopped := frozen(worker):
                    return worker, stopped[0]
            await asyncio.sleep(0.05)


async def _until(true: Callable[[], bool]) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE):
            while not true():
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def _tell_kills(ground: Ground, hunt: Hunt) -> None:
    ways = Counter(kill.way for kill in hunt.kills)
    told = ", ".join(f"{count} {way}" for way, count in sorted(ways.items()))
    ground.report.numbers["kills"] = f"{len(hunt.kills)}: {told}"
    ground.report.numbers["runs"] = f"{len(ground.runs)}, three at a time, each killed twice at most"


def _tell_asked_again(ground: Ground, kills: list[tuple[str, float]]) -> None:
    """Of each run and kill the pages that were asked for before it and after it."""
    counts: list[int] = []
    for run_id, (feed, number) in ground.runs.items():
        asked = [(at, page) for at, page in feed.asked if page.round == number]
        moments = sorted(at + _ON_ITS_WAY for killed, at in kills if killed == run_id)
        counts += _asked_again(asked, moments)
    report, feeds = ground.report, ground.feeds
    pages, troubled = (sum(feed.pages for feed in feeds), sum(feed.troubled for feed in feeds))
    faults = Counter[str]()
    for feed in feeds:
        faults += feed.faults
    most = max(counts, default=0)
    report.numbers["pages"] = f"{pages}, {troubled / pages:.0%} of them with " + ", ".join(
        f"{count} {kind}" for kind, count in sorted(faults.items())
    )
    report.numbers["pages asked again for a kill"] = (
        f"{sum(counts) / max(1, len(counts)):.1f} on average, {most} at most; a segment has {_SEGMENT_PAGES},"
        f" and {IN_FLIGHT} are asked for ahead"
    )
    report.demand("no kill costs more than a segment", kept=most <= _SEGMENT_PAGES + IN_FLIGHT)


def _asked_again(asked: list[tuple[float, Page]], moments: list[float]) -> Iterator[int]:
    for moment, end in pairwise([*moments, math.inf]):
        before = {page for at, page in asked if at <= moment}
        yield len(before & {page for at, page in asked if moment < at <= end})


async def _tell_records(ground: Ground) -> None:
    for feed in ground.feeds:
        rows = await ground.rows(feed)
        dataset_id = ground.datasets[feed.name]
        dataset = (await ground.client.collections.get_dataset(dataset_id)).dataset
        query = f'dataset_id = "{dataset_id}"'
        held = [each async for each in ground.client.collections.list_quarantine(filter=query)]
        wanted, twice = feed.shown(), len(rows) - len({row["id"] for row in rows})
        ground.report.numbers[f"{feed.name}, records"] = (
            f"{len(feed.records)} sent, {feed.bad()} of them bad; {len(wanted)} wanted, {len(rows)} there,"
            f" {twice} twice; {len(held)} in quarantine"
        )
        counted = (dataset.record_count, dataset.quarantine_count) == (len(rows), len(held))
        ground.report.demand(f"{feed.name}: what was sent is there, once", kept=_whole(rows, feed))
        ground.report.demand(f"{feed.name}: what is bad is in quarantine", kept=len(held) == feed.bad())
        ground.report.demand(f"{feed.name}: the dataset counts what it has", kept=counted)


async def _tell_files(ground: Ground) -> None:
    """Sweep as schedulers do, without waiting for things to be old; then each file has its row."""
    store, db = ground.site.runtime.store, ground.site.runtime.db
    sweep = DatasetSweep(db, store, replaced_after=timedelta(0), orphaned_after=timedelta(0))
    swept = 0
    while deleted := await sweep.sweep():
        swept += deleted
    files = {file.name for file in store.files("datasets")}
    async with db.read() as tx:
        named = set((await tx.execute(select(segment.c.path))).scalars())
    ground.report.numbers["files"] = f"{len(files)}, rows of the manifest {len(named)}, swept {swept}"
    ground.report.demand(
        "files are those of the manifest", kept=files == named and _drafts(ground.site) == []
    )


def _drafts(site: Site) -> list[Path]:
    return list((site.folder / "data").glob("**/.unfinished-*"))

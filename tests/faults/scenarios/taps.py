"""Real taps whose workers are killed in the middle of runs: they go on from their STATE, each record once."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import select

import weir
from tests.faults.feeds import served
from tests.faults.hunting import held
from tests.faults.judging import QUIET, Asked, judge
from tests.faults.programs import Program
from tests.faults.report import Report
from tests.faults.services import Service
from tests.faults.site import SHORT, Site, Size, free_port, opened
from tests.faults.tapped import (
    Shelf,
    Table,
    Tapped,
    Tenant,
    by_pages,
    by_rows,
    by_slices,
    by_windows,
    manifest_of_auth0,
)
from tests.tools.guard import ROOT
from weir.types import Connection, SyncMode, TaskState
from weir_core.collections.models import run
from weir_core.datasets.cursors import STATE

_ROUNDS: Final = 2
_KILLS: Final = 2
"""Of each run: what a third one would hit is held for an operator."""
_PAGES: Final = 8
_LOOK: Final = 0.05
_PATIENCE: Final = 600.0
_SHOWN: Final = 150


@dataclass
class Ground:
    """A tap's collection, and what became of it."""

    site: Site
    report: Report
    tapped: Tapped
    connection_id: str = ""
    collection_id: str = ""
    dataset_id: str = ""
    began_with: list[str] = field(default_factory=list[str])
    """The STATE that the attempt after a kill began with."""

    @property
    def client(self) -> weir.AsyncClient:
        """The client that does all that people do."""
        return self.site.clients[0]

    async def make(self) -> None:
        """Its connection and collection; the tap is installed by the first run, which may take its time."""
        tapped = self.tapped
        made = await self.client.collections.create_connection(
            name=_plain(tapped.name),
            connector=tapped.connector,
            settings=tapped.settings(),
            secrets=tapped.secrets,
            allow_private_addresses=True,
        )
        self.connection_id = made.connection.id
        answer = await self.client.collections.create_collection(
            name=_plain(tapped.name),
            connection_id=self.connection_id,
            stream=tapped.stream,
            mode=tapped.mode,
            cursor_field=tapped.cursor_field,
        )
        self.collection_id = answer.collection.id

    async def round(self) -> None:
        """Let the source grow, run, and kill the worker on the way."""
        tapped, collections = self.tapped, self.client.collections
        await tapped.source.grow(tapped.batch)
        connection = Connection(id=self.connection_id)
        connection.settings.update(tapped.settings())
        await collections.update_connection(connection=connection, update_mask=["settings"])
        run_id = (await collections.run(self.collection_id)).id
        for _ in range(_KILLS):
            await self._kill(run_id)
        ended = await self.client.tasks.handle(run_id).wait(QUIET)
        well = ended.state == TaskState.TASK_STATE_SUCCEEDED
        self.report.demand(f"{tapped.name}: a run succeeds: {ended.failure.message}", kept=well)
        self.dataset_id = (await collections.get_run(run_id)).run.dataset_id

    async def _kill(self, run_id: str) -> None:
        async with asyncio.timeout(_PATIENCE):
            await self._under_way(run_id)
            worker = await self._worker(run_id)
        if worker is None:
            return
        self.site.history.did("kill worker", worker.name, [worker.worker_id()])
        await worker.kill()
        self.began_with.append(_told(*await self._place(run_id)))
        await worker.start()

    async def _under_way(self, run_id: str) -> None:
        """Until this attempt has committed something; of a tap that can't, until it has asked for pages."""
        asked = self.tapped.asked
        before = asked() if asked else await self._commits(run_id)
        wanted = before + (_PAGES if asked else 1)
        while (asked() if asked else await self._commits(run_id)) < wanted:
            await asyncio.sleep(_LOOK)

    async def _worker(self, run_id: str) -> Program | None:
        for worker in self.site.workers:
            if worker.up and await held(self.site, worker) == run_id:
                return worker
        return None

    async def _commits(self, run_id: str) -> int:
        async with self.site.runtime.db.read() as tx:
            found = await tx.execute(select(run.c.segments).where(run.c.id == UUID(run_id)))
        return found.scalar_one()

    async def _place(self, run_id: str) -> tuple[dict[str, Any] | None, Any]:
        async with self.site.runtime.db.read() as tx:
            query = select(run.c.position, run.c.cursor_before).where(run.c.id == UUID(run_id))
            return tuple((await tx.execute(query)).one())

    async def tell(self) -> None:
        """What there is at the end."""
        name, source = self.tapped.name, self.tapped.source
        table = await self.client.collections.read_arrow(self.dataset_id)
        found = Counter(table.column("id").to_pylist())
        twice = sum(count > 1 for count in found.values())
        self.report.numbers[name] = (
            f"{source.count} sent, {found.total()} there, {twice} twice; {len(self.began_with)} kills"
        )
        for number, told in enumerate(self.began_with, 1):
            self.report.numbers[f"  after kill {number} of {name}"] = told
        there = sorted(found) == list(range(1, source.count + 1))
        self.report.demand(f"{name}: each record is there once", kept=there and not twice)
        kills = len(self.began_with) == _ROUNDS * _KILLS
        self.report.demand(f"{name}: {_ROUNDS * _KILLS} kills", kept=kills)
        went_on = any(told.startswith("{") for told in self.began_with)
        self.report.demand(f"{name}: goes on from a STATE", kept=went_on)


async def taps(asked: Asked) -> list[Report]:
    """Three taps, one of them in two modes, and a manifest; each of two runs is killed twice."""
    report = Report("taps")
    shelves, tenant = [Shelf(), Shelf()], Tenant()
    manifest = await asyncio.to_thread(manifest_of_auth0, asked.folder / "auth0")
    schemas = asked.folder / "schemas"
    schemas.mkdir()
    async with served([*shelves, tenant], "/{path:.*}"):
        (asked.folder / "source").mkdir()
        source = Service(
            "mariadb", asked.folder / "source/mariadb", port := free_port(random.Random(asked.seed))
        )
        tables = [Table(source, "orders"), Table(source, "items")]
        chosen = [
            by_windows(shelves[0], schemas),
            by_pages(shelves[1]),
            by_rows(tables[0], port, SyncMode.SYNC_MODE_INCREMENTAL),
            by_rows(tables[1], port, SyncMode.SYNC_MODE_FULL),
            by_slices(tenant, manifest),
        ]
        try:
            await source.start()
            await _run(asked, report, chosen)
        finally:
            await source.kill()
    return [report]


async def _run(asked: Asked, report: Report, chosen: list[Tapped]) -> None:
    variables = {
        "WEIR_PACKS": "builtin",
        "WEIR_SEGMENT_ROWS": "200",
        "WEIR_TAPS": ",".join(sorted({package for tapped in chosen for package in tapped.allowed})),
        "WEIR_TAP_FOLDER": str(ROOT / ".cache/taps"),
    }
    size = Size(servers=1, workers=len(chosen), schedulers=1, slots=1)
    async with opened(asked.folder, SHORT, asked.seed, size, variables=variables) as site:
        began = time.time()
        grounds = [Ground(site, report, tapped) for tapped in chosen]
        await asyncio.gather(*(_all(ground) for ground in grounds))
        await judge(site, report, began)
        for ground in grounds:
            await ground.tell()


async def _all(ground: Ground) -> None:
    await ground.tapped.source.grow(1)
    await ground.make()
    for _ in range(_ROUNDS):
        await ground.round()


def _told(position: dict[str, Any] | None, before: Any) -> str:
    at = (position or {}).get("at") or {}
    cursor = at.get("cursor") or before
    if not cursor:
        return "no STATE: from the start"
    state = orjson.dumps(orjson.loads(cursor.removeprefix(STATE))["state"]).decode()
    return state if len(state) <= _SHOWN else f"{state[:_SHOWN]}…"


def _plain(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")

"""How the parts of the installation are: probed again and again, each with a time limit of its own."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from weir_core.db import Database
from weir_core.errors import WeirError
from weir_core.fleet import repository as fleet
from weir_core.stores.contract import ObjectStore
from weir_core.system import repository
from weir_core.system.storage import StoreProbe
from weir_core.tasks import repository as tasks

DB: Final = "db"
REDIS: Final = "redis"
STORAGE: Final = "storage"
SCHEDULER: Final = "scheduler"

_PROBE_SECONDS: Final = 2.0
_SILENCE: Final = timedelta(seconds=15)
_LITTLE: Final = 1024**3
_NOTHING: Final = 64 * 1024**2


class PartState(IntEnum):
    """How a part is, numbered as in the contract; a greater one is worse."""

    OK = 1
    DEGRADED = 2
    DOWN = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A part that Weir needs, as it was at the newest probe."""

    name: str
    state: PartState
    since: datetime
    message: str = ""
    latency: timedelta = timedelta()
    version: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a probe found; one that raises found the part down."""

    state: PartState = PartState.OK
    message: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The installation at one moment."""

    state: PartState
    parts: list[Part]
    task_counts: dict[str, int]
    worker_count: int
    oldest_queued: timedelta
    free_bytes: int


class Health:
    """Looks after the parts; the newest finding of each is in `parts`."""

    def __init__(self, db: Database, redis: "Redis", store: ObjectStore, data_dir: Path) -> None:
        self._db = db
        self._redis = redis
        self._data_dir = data_dir
        self._store = StoreProbe(store) if store.remote else None
        self.parts: dict[str, Part] = {}
        self._probes: dict[str, Callable[[], Awaitable[Found]]] = {
            DB: self._probe_db,
            REDIS: self._probe_redis,
            STORAGE: self._probe_storage,
            SCHEDULER: self._probe_scheduler,
        }

    async def probe(self) -> None:
        """Look at all parts once."""
        found = await asyncio.gather(*(self._look(name) for name in self._probes))
        for part in found:
            before = self.parts.get(part.name)
            same = before is not None and before.state is part.state
            self.parts[part.name] = replace(part, since=before.since) if before and same else part

    async def status(self) -> Status:
        """The installation now; without numbers where the database does not answer."""
        await self.probe()
        counts: dict[str, int] = {}
        workers, oldest = 0, None
        try:
            async with asyncio.timeout(_PROBE_SECONDS), self._db.read() as tx:
                counts = {state.name: count for state, count in (await tasks.count_unended(tx)).items()}
                oldest = await tasks.oldest_queued(tx)
                workers = len(await fleet.active_workers(tx))
        except (WeirError, TimeoutError):
            counts = {}
        return Status(
            max(part.state for part in self.parts.values()),
            list(self.parts.values()),
            counts,
            workers,
            oldest or timedelta(),
            await asyncio.to_thread(self._free_bytes),
        )

    async def _look(self, name: str) -> Part:
        started = time.monotonic()
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                found = await self._probes[name]()
        except TimeoutError:
            found = Found(PartState.DOWN, f"no answer within {_PROBE_SECONDS:.0f} s")
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the part does not work
            # No text of a driver: it may hold addresses and names.
            text = error.message if isinstance(error, WeirError) else type(error).__name__
            found = Found(PartState.DOWN, text)
        taken = timedelta(seconds=time.monotonic() - started)
        return Part(name, found.state, datetime.now(UTC), found.message, taken, found.version)

    async def _probe_db(self) -> Found:
        async with self._db.read() as tx:
            return Found(version=await repository.version(tx))

    async def _probe_redis(self) -> Found:
        told: dict[str, Any] = await self._redis.info("server")
        name = "Valkey" if "valkey_version" in told else "Redis"
        return Found(version=f"{name} {told.get('valkey_version') or told.get('redis_version')}")

    async def _probe_storage(self) -> Found:
        if self._store is not None:
            fault = await self._store.fault()
            return Found(PartState.DOWN, fault) if fault else Found()
        free = await asyncio.to_thread(self._free_bytes)
        if free < _LITTLE:
            state = PartState.DOWN if free < _NOTHING else PartState.DEGRADED
            return Found(state, f"{free // 1024**2} MiB are free where data is stored; make room")
        return Found()

    async def _probe_scheduler(self) -> Found:
        async with self._db.read() as tx:
            if await fleet.scheduler_lives(tx, _SILENCE):
                return Found()
        return Found(
            PartState.DOWN, f"none gave a sign of life for {_SILENCE.seconds} s; start `weir scheduler`"
        )

    def _free_bytes(self) -> int:
        folder = self._data_dir.absolute()
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free

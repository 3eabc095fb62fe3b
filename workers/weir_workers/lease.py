"""The worker's sign of life, from a thread of its own: no handler can hold it up."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from weir_core.db import Database
from weir_core.errors import WeirError
from weir_core.fleet.service import FleetService

_log = logging.getLogger(__name__)


class Lease:
    """Renews a worker's lease until it is stopped or lost."""

    def __init__(
        self, url: str, worker_id: UUID, *, every: timedelta, lease: timedelta, lost: Callable[[], None]
    ) -> None:
        self._url = url
        self._worker_id = worker_id
        self._every = every.total_seconds()
        self._lease = lease
        self._lost = lost
        self._refused = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the lease runs out by itself unless the worker is set to STOPPED."""
        self._stop.set()

    def _run(self) -> None:
        asyncio.run(self._renew())

    async def _renew(self) -> None:
        db = Database(self._url, pool_size=1)
        fleet = FleetService(db, self._lease)
        renewed = time.monotonic()
        try:
            while not await asyncio.to_thread(self._stop.wait, self._every):
                if await self._once(fleet):
                    renewed = time.monotonic()
                elif self._refused or time.monotonic() - renewed > self._lease.total_seconds():
                    self._lost()
                    return
        finally:
            await db.close()

    async def _once(self, fleet: FleetService) -> bool:
        try:
            async with asyncio.timeout(self._every):
                kept = await fleet.renew(self._worker_id)
        except (WeirError, TimeoutError) as error:
            _log.warning("the lease could not be renewed: %s", error)
            return False
        self._refused = not kept
        return kept

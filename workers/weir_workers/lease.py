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
        self,
        url: str,
        worker_id: UUID,
        *,
        every: timedelta,
        lease: timedelta,
        renewed: Callable[[float], None],
        lost: Callable[[], None],
    ) -> None:
        self._url = url
        self._worker_id = worker_id
        self._every = every.total_seconds()
        self._lease = lease
        self._renewed = renewed
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
        end = time.monotonic() + self._lease.total_seconds()
        try:
            while not await asyncio.to_thread(self._stop.wait, self._left(end)):
                began = time.monotonic()
                if await self._once(fleet, self._left(end)):
                    end = began + self._lease.total_seconds()
                    self._renewed(end)
                elif self._refused or time.monotonic() >= end:
                    self._lost()
                    return
        finally:
            await db.close()

    def _left(self, end: float) -> float:
        """Seconds for the next step: all that there are, but no more than one interval."""
        return max(0.0, min(self._every, end - time.monotonic()))

    async def _once(self, fleet: FleetService, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                kept = await fleet.renew(self._worker_id)
        except (WeirError, TimeoutError) as error:
            _log.warning("the lease could not be renewed: %s", error)
            return False
        self._refused = not kept
        return kept

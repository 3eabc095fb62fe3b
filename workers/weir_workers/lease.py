"""The worker's sign of life, from a thread of its own: no handler can hold it up.

Who could not renew for a whole lease asks in Redis whether others can reach the
database. If so, or if Redis does not answer either, the worker is cut off: what
it holds is somebody else's by now. If not, the database is away for all, and
the worker goes on: nobody takes a lease before it had time to renew.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError

from weir_core.config import Settings
from weir_core.db import Database
from weir_core.errors import WeirError
from weir_core.fleet.service import FleetService
from weir_core.fleet.witness import Witness
from weir_core.redis import connect

_log = logging.getLogger(__name__)

_AGAIN: Final = 5
"""Tries in the time of one heartbeat, once a try has failed."""


class Lease:
    """Renews a worker's lease until it is stopped or lost."""

    def __init__(
        self,
        settings: Settings,
        worker_id: UUID,
        *,
        renewed: Callable[[float], None],
        lost: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._every = settings.heartbeat.total_seconds()
        self._length = settings.lease.total_seconds()
        self._renewed = renewed
        self._lost = lost
        self._good_until = 0.0
        self._refused = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin, with a lease just taken."""
        self._good_until = time.monotonic() + self._length
        self._thread.start()

    def stop(self) -> None:
        """End; the lease runs out by itself unless the worker is set to STOPPED."""
        self._stop.set()

    def holds(self) -> bool:
        """True while nobody can have taken what the worker holds."""
        return time.monotonic() < self._good_until

    def _run(self) -> None:
        asyncio.run(self._renew())

    async def _renew(self) -> None:
        db = Database(self._settings.database_url.get_secret_value(), pool_size=1)
        redis = connect(self._settings.redis_url.get_secret_value())
        fleet = FleetService(db, self._settings.lease)
        witness = Witness(redis, self._settings.redis_prefix)
        pause = self._every
        try:
            while not await asyncio.to_thread(self._stop.wait, pause):
                kept = await self._once(fleet)
                pause = self._every if kept else self._every / _AGAIN
                if self._refused or (not self.holds() and await self._cut_off(witness)):
                    self._lost()
                    return
        finally:
            await redis.aclose()
            await db.close()

    async def _once(self, fleet: FleetService) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._every):
                kept = await fleet.renew(self._worker_id)
        except (WeirError, TimeoutError) as error:
            _log.warning("the lease could not be renewed: %s", error)
            return False
        self._refused = not kept
        if kept:
            self._trust(began + self._length)
        return kept

    def _trust(self, until: float) -> None:
        self._good_until = until
        self._renewed(until)

    async def _cut_off(self, witness: Witness) -> bool:
        """True where others may have taken what the worker holds, as far as can be known."""
        try:
            async with asyncio.timeout(self._every):
                cut_off = await witness.heard()
        except (RedisError, OSError, TimeoutError):
            return True
        if not cut_off:
            self._trust(time.monotonic() + self._every)
        return cut_off

"""Tells silent workers from a silent database.

Leases run out by the database's clock, which goes on while nobody can renew. So
after the database was away, or stalled for a third of a lease, no worker is
lost for one whole lease; nor after the start, where no other scheduler has been
looking.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from weir_core.errors import WeirError

_log = logging.getLogger(__name__)

_EVERY: Final = 5
"""Beats in a third of a lease."""


class Pulse:
    """Feels the database all the time; `beat` answers whether another scheduler is there."""

    def __init__(self, beat: Callable[[], Awaitable[bool]], lease: float) -> None:
        self._beat = beat
        self._lease = lease
        self._longest = lease / 3
        self._felt = self._steady_since = 0.0

    async def run(self) -> None:
        """Feel it until cancelled."""
        while True:
            try:
                others = await self._beat()
            except WeirError as error:
                _log.warning("the database does not answer: %s", error)
            else:
                self._note(others=others)
            await asyncio.sleep(self._longest / _EVERY)

    def _note(self, *, others: bool) -> None:
        now = time.monotonic()
        first = self._felt == 0.0
        if (first and not others) or (not first and now - self._felt > self._longest):
            _log.info("no worker is lost for %g s: all have time to renew first", self._lease)
            self._steady_since = now + self._lease
        self._felt = now

    def steady(self) -> bool:
        """True where a lease that has run out means a silent worker."""
        now = time.monotonic()
        return self._felt > 0.0 and now - self._felt < self._longest and now >= self._steady_since

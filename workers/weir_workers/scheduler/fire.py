"""Fires schedules when they are due, beside the sweeps of tasks."""

import asyncio
import logging
from typing import Final

from weir_core.errors import WeirError
from weir_core.schedules.firing import Firing

_log = logging.getLogger(__name__)

# New and changed schedules are seen at least so often.
_LONGEST_SLEEP: Final = 1.0
# What another scheduler holds is not asked for all the time.
_SHORTEST_SLEEP: Final = 0.1


class Fires:
    """One look at what is due after the other, for ever."""

    def __init__(self, firing: Firing) -> None:
        self._firing = firing
        self._down = False

    async def run(self) -> None:
        """Fire until cancelled."""
        while True:
            seconds = await self._look()
            await asyncio.sleep(seconds)

    async def _look(self) -> float:
        """Fire what is due; the seconds until the next look."""
        try:
            if await self._firing.sweep():
                return _SHORTEST_SLEEP
            wait = await self._firing.until_next()
        except WeirError as error:
            if not self._down:
                _log.warning("schedules do not fire: %s", error)
            self._down = True
            return _LONGEST_SLEEP
        if self._down:
            _log.info("schedules fire again")
            self._down = False
        seconds = _LONGEST_SLEEP if wait is None else wait.total_seconds()
        return min(max(seconds, _SHORTEST_SLEEP), _LONGEST_SLEEP)

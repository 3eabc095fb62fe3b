"""The scheduler process: sweeps until it is told to stop. Any number may run."""

import asyncio
import logging
import signal
import socket
import time
from datetime import timedelta
from typing import Final

from weir_core.config import Settings, require
from weir_core.errors import WeirError
from weir_core.ids import new_id
from weir_core.runtime import Runtime
from weir_core.tasks.promotion import BATCH
from weir_workers.strays import kept_clear

_log = logging.getLogger(__name__)

_SELDOM: Final = timedelta(minutes=1).total_seconds()


async def run(settings: Settings) -> None:
    """Sweep until SIGTERM or SIGINT."""
    require(settings, "database_url", "redis_url", "master_key")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Runtime.open(settings) as runtime, kept_clear():
        sweeping = asyncio.create_task(Sweeps(runtime, settings).run())
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait([sweeping, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if sweeping.done():
            sweeping.result()
        sweeping.cancel()


class Sweeps:
    """One sweep after the other, for ever."""

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self._runtime = runtime
        self._every = settings.sweep.total_seconds()
        self._lease = settings.lease.total_seconds()
        self._id = new_id()
        self._host = socket.gethostname()
        self._steady_since = time.monotonic()
        self._seldom = 0.0
        self._files: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            began = time.monotonic()
            try:
                await self._sweep()
            except WeirError as error:
                # Who can't reach the database can't tell silent workers from its own deafness.
                self._steady_since = time.monotonic() + self._lease
                _log.warning("the sweep was broken off: %s", error)
            spent = time.monotonic() - began
            if spent > self._lease:
                self._steady_since = time.monotonic() + self._lease
            await asyncio.sleep(max(0.05, self._every - spent))

    async def _sweep(self) -> None:
        sweeper = self._runtime.sweeper
        await self._runtime.fleet.beat_scheduler(self._id, self._host)
        if time.monotonic() >= self._steady_since:
            await sweeper.lose_workers()
        await sweeper.take_over()
        await self._move_on()
        await sweeper.hint_again()
        if time.monotonic() - self._seldom > _SELDOM:
            self._seldom = time.monotonic()
            await sweeper.forget()
            while await sweeper.remove_expired() == BATCH:
                pass
            if self._files is None or self._files.done():
                self._files = asyncio.create_task(self._sweep_files())

    async def _move_on(self) -> None:
        promotion = self._runtime.promotion
        await self._runtime.stopping.carry_out()
        await promotion.overdue()
        await promotion.settle()
        await promotion.open_gates()
        # Many may come due at once: not one batch a sweep.
        while await promotion.due() == BATCH:
            pass

    async def _sweep_files(self) -> None:
        # Beside the other sweeps: many files take longer than a lost worker may wait.
        try:
            await self._runtime.collecting.sweep.sweep()
        except (WeirError, OSError) as error:
            _log.warning("the sweep of dataset files was broken off: %s", error)

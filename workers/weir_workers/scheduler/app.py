"""The scheduler process: sweeps and fires until it is told to stop. Any number may run."""

import asyncio
import logging
import signal
import socket
import time
from datetime import timedelta
from typing import Final

from redis.exceptions import RedisError

from weir_core.config import Settings, require
from weir_core.errors import WeirError
from weir_core.ids import new_id
from weir_core.readiness import tell_ready
from weir_core.runtime import Runtime
from weir_core.tasks.promotion import BATCH
from weir_workers.scheduler.fire import Fires
from weir_workers.scheduler.pulse import Pulse
from weir_workers.wards.strays import kept_clear

_log = logging.getLogger(__name__)

_SELDOM: Final = timedelta(minutes=1).total_seconds()


async def run(settings: Settings) -> None:
    """Sweep and fire until SIGTERM or SIGINT."""
    require(settings, "database_url", "redis_url", "master_key")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await work(settings, stop)


async def work(settings: Settings, stop: asyncio.Event) -> None:
    """Sweep and fire until told to stop."""
    async with Runtime.open(settings) as runtime, kept_clear():
        works = (Sweeps(runtime, settings).run(), Fires(runtime.scheduling.firing).run())
        working = [asyncio.create_task(each) for each in works]
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait([*working, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for each in working:
            each.cancel()
        for ended in await asyncio.gather(*working, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


class Sweeps:
    """One sweep after the other, for ever."""

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self._runtime = runtime
        self._every = settings.sweep.total_seconds()
        self._lease = settings.lease
        self._id = new_id()
        self._host = socket.gethostname()
        self._pulse = Pulse(self._beat, self._lease.total_seconds())
        self._seldom = 0.0
        self._files: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pulse.run())
            group.create_task(self._run())

    async def _beat(self) -> bool:
        return await self._runtime.fleet.beat_scheduler(self._id, self._host, others_within=self._lease / 3)

    async def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._sweep()
                tell_ready()
            except WeirError as error:
                _log.warning("the sweep was broken off: %s", error)
            await asyncio.sleep(max(0.05, self._every - (time.monotonic() - began)))

    async def _sweep(self) -> None:
        sweeper = self._runtime.sweeper
        steady = self._pulse.steady()
        if steady:
            await sweeper.lose_workers(self._pulse.steady)
        await self._tell_redis(steady=steady)
        await sweeper.take_over()
        await self._move_on()
        await sweeper.hint_again()
        if time.monotonic() - self._seldom > _SELDOM:
            self._seldom = time.monotonic()
            await sweeper.forget()
            while await sweeper.remove_expired() == BATCH:
                pass
            while await self._runtime.scheduling.firing.forget():
                pass
            while await self._runtime.collecting.trials.forget():
                pass
            if self._files is None or self._files.done():
                self._files = asyncio.create_task(self._sweep_files())

    async def _tell_redis(self, *, steady: bool) -> None:
        try:
            if steady:
                await self._runtime.witness.testify(self._lease / 3)
            await self._runtime.sweeper.note_age()
        except (RedisError, OSError) as error:
            _log.info("workers that can't renew are not told that others can: %s", error)

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
        try:
            await self._runtime.file_sweep.sweep()
        except (WeirError, OSError) as error:
            _log.warning("the sweep of files of tasks was broken off: %s", error)

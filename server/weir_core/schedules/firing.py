"""Fires what is due. Any number of schedulers may do it at once, and each may die or freeze at any line."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import Conflict, DependencyDown
from weir_core.failpoints import reach
from weir_core.principals import SYSTEM, Caller
from weir_core.schedules import fire_repository as fires
from weir_core.schedules import repository
from weir_core.schedules.starting import Starter
from weir_core.schedules.turn import Turn
from weir_core.tasks.service import TaskService
from weir_core.tasks.stopping import Stopping
from weir_core.tasks.submitting import Stored

_log = logging.getLogger(__name__)

_BATCH: Final = 100
_FORGOTTEN: Final = 1000
_AT_ONCE: Final = 8
_SET_ASIDE_SECONDS: Final = 30.0
_MOST_SET_ASIDE: Final = 1000


class Firing:
    """Looks after schedules, one transaction each."""

    def __init__(
        self, db: Database, tasks: TaskService, stopping: Stopping, starter: Starter, *, kept: timedelta
    ) -> None:
        self._db = db
        self._tasks = tasks
        self._stopping = stopping
        self._starter = starter
        self._kept = kept
        self._aside: dict[UUID, float] = {}

    async def sweep(self) -> bool:
        """Do what is to be done by now; True where there may be more of it. Raises DependencyDown."""
        async with self._db.read() as tx:
            due = await repository.due(tx, _BATCH + len(self._aside))
            released = await repository.released(tx, _BATCH)
            ended = await repository.unsettled(tx, _BATCH)
        wanted = self._without_troubled({*due, *released, *ended})
        # Others do the same at the same moment: who begins elsewhere is less in their way.
        random.shuffle(wanted)
        for group in _groups(wanted, _AT_ONCE):
            results = await asyncio.gather(*map(self._look, group), return_exceptions=True)
            for failed in results:
                if failed is not None:
                    raise failed
        await self._cancel_blockers()
        return len(due) >= _BATCH

    async def until_next(self) -> timedelta | None:
        """How long until a fire is due; None: none is to come. Raises DependencyDown."""
        async with self._db.read() as tx:
            return await repository.until_next(tx)

    async def forget(self) -> bool:
        """Remove a batch of fires that are as old as tasks get after their end; True: there may be more."""
        return await self._db.write(lambda tx: fires.remove_old(tx, self._kept, _FORGOTTEN)) == _FORGOTTEN

    async def _look(self, schedule_id: UUID) -> None:
        try:
            await self._turn(schedule_id)
        except Conflict as error:
            _log.debug("schedule %s is looked at again: %s", schedule_id, error)
        except DependencyDown:
            raise
        except Exception:  # noqa: BLE001
            # One schedule with a defect must not stop the others.
            if len(self._aside) < _MOST_SET_ASIDE:
                self._aside[schedule_id] = time.monotonic() + _SET_ASIDE_SECONDS
            _log.exception("schedule %s could not be fired", schedule_id)

    async def _turn(self, schedule_id: UUID) -> None:
        async def work(tx: AsyncConnection) -> list[Stored]:
            held = await repository.lock(tx, schedule_id, patient=False)
            made = [] if held is None else await Turn(tx, self._starter, *held).take()
            if made:
                reach("fire.written")
            return made

        made = await self._db.write(work)
        if made:
            reach("fire.committed")
        await self._tasks.started(*made)

    async def _cancel_blockers(self) -> None:
        async with self._db.read() as tx:
            waited_for = await repository.to_cancel(tx, _BATCH)
        weir = Caller(SYSTEM, {"*": frozenset({"*"})})
        for task_id, name in waited_for:
            await self._stopping.cancel(weir, task_id, f"schedule {name!r} fires again", None)

    def _without_troubled(self, wanted: set[UUID]) -> list[UUID]:
        now = time.monotonic()
        self._aside = {troubled: until for troubled, until in self._aside.items() if until > now}
        return [schedule_id for schedule_id in wanted if schedule_id not in self._aside]


def _groups(items: Sequence[UUID], size: int) -> list[list[UUID]]:
    rest = iter(items)
    return [group for _ in range(0, len(items), size) if (group := list(islice(rest, size)))]

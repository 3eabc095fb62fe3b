"""Cancels: of one task, of those that were submitted under it, of all that match a filter."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import NotFound, PermissionMissing
from weir_core.failpoints import reach
from weir_core.principals import Caller, Principal
from weir_core.signals import Signals
from weir_core.tasks import repository, waiting_repository
from weir_core.tasks.encoding import dump_cancellation
from weir_core.tasks.ending import Closed, end_waiting
from weir_core.tasks.models import Cancellation, Task, task
from weir_core.tasks.outcomes import cancelled
from weir_core.tasks.promotion import Promotion
from weir_core.tasks.states import TERMINAL, WAITING, CancelPhase, TaskState
from weir_core.tasks.waiting_repository import Stop

_BATCH: Final = 200


class Stopping:
    """Asks for tasks to be stopped."""

    def __init__(self, db: Database, signals: Signals, promotion: Promotion) -> None:
        self._db = db
        self._signals = signals
        self._promotion = promotion

    async def cancel(self, caller: Caller, task_id: UUID, reason: str, grace: timedelta | None) -> Task:
        """Ask for a task to be stopped, and those under it; ended already, it stays as it is.

        One that waits ends at once, unless its last worker was lost a moment ago.
        """

        async def work(tx: AsyncConnection) -> tuple[Task, Closed | None]:
            found = await repository.lock(tx, task_id)
            if found is None or not caller.holds("tasks.read", found.project):
                raise NotFound("task", task_id)
            if not caller.holds("tasks.cancel", found.project):
                raise PermissionMissing("tasks.cancel", found.project)
            return await _cancel(tx, found, Stop(task_id, reason, caller.principal, grace))

        found, closed = await self._db.write(work)
        reach("cancel.committed")
        found = await self._told(found, closed)
        await self.carry_out()
        return found

    async def cancel_many(
        self, caller: Caller, conditions: Sequence[Any], reason: str, *, validate_only: bool
    ) -> int:
        """Ask for all that match and may be cancelled to be stopped; how many those are."""
        projects = caller.projects("tasks.cancel")
        within = [*conditions] if projects is None else [*conditions, task.c.project.in_(projects)]
        async with self._db.read() as tx:
            count = await waiting_repository.count(tx, [*within, task.c.cancellation.is_(None)])
        if not validate_only:
            fresh = [*within, task.c.cancellation.is_(None)]
            await self._db.write(
                lambda tx: waiting_repository.ask_to_stop(tx, fresh, reason, caller.principal)
            )
            await self.carry_out()
        return count

    async def carry_out(self) -> int:
        """Carry out a batch of the cancels that were asked for; how many."""
        async with self._db.read() as tx:
            stops = await waiting_repository.stops(tx, _BATCH)
        for stop in stops:
            found, closed = await self._db.write(lambda tx, stop=stop: _carry_out(tx, stop))
            if found is not None:
                await self._told(found, closed)
        return len(stops)

    async def _told(self, found: Task, closed: Closed | None) -> Task:
        if closed is not None:
            await self._promotion.after(closed)
            return closed.task
        if found.state is TaskState.CANCELLING and found.worker_id is not None:
            await self._signals.wake_worker(found.worker_id)
        return found


async def stop_holder(tx: AsyncConnection, holder: UUID, requester: Principal, reason: str) -> None:
    """Note that a task is to be stopped, in a transaction that another one comes of."""
    await waiting_repository.ask_to_stop(tx, [task.c.id == holder], reason, requester)


async def _carry_out(tx: AsyncConnection, stop: Stop) -> tuple[Task | None, Closed | None]:
    await waiting_repository.drop_stop(tx, stop.task_id)
    found = await repository.lock(tx, stop.task_id)
    return (None, None) if found is None else await _cancel(tx, found, stop)


async def _cancel(tx: AsyncConnection, found: Task, stop: Stop) -> tuple[Task, Closed | None]:
    if found.state in TERMINAL or found.cancellation is not None:
        return found, None
    wanted = Cancellation(CancelPhase.REQUESTED, stop.reason, stop.requester, datetime.now(UTC), stop.grace)
    under = [task.c.parent_id == found.id]
    await waiting_repository.ask_to_stop(tx, under, stop.reason, stop.requester, stop.grace)
    if found.state in WAITING and found.attempt and await repository.may_still_run(tx, found):
        # CANCELLED is not said before nothing of it can run: the stop stays, for a later look.
        only = [task.c.id == found.id]
        await waiting_repository.ask_to_stop(tx, only, stop.reason, stop.requester, stop.grace)
        return found, None
    if found.state in WAITING:
        closed = await end_waiting(tx, found, cancelled(found, wanted))
        return closed.task, closed
    values = {"state": int(TaskState.CANCELLING), "cancellation": dump_cancellation(wanted)}
    await repository.change(tx, found.id, values)
    return replace(found, state=TaskState.CANCELLING, cancellation=wanted), None

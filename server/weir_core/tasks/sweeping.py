"""What a scheduler mends: lost hints, lost workers, tasks kept long enough. Any number may sweep at once."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import Conflict, DependencyDown
from weir_core.events import LiveEvents, Tail
from weir_core.failpoints import reach
from weir_core.fleet import repository as fleet
from weir_core.queue import Hint, Queue
from weir_core.tasks import repository, waiting_repository
from weir_core.tasks.ending import Closed, close_attempt
from weir_core.tasks.errors import Fenced
from weir_core.tasks.events import Event, EventKind, Numbering
from weir_core.tasks.models import Failure, Task
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.promotion import Promotion
from weir_core.tasks.states import CancelPhase, FailureKind

_log = logging.getLogger(__name__)

BATCH: Final = 500
_SILENCE: Final = timedelta(seconds=5)
_MEMORY: Final = timedelta(hours=1)


class Sweeper:
    """Moves on what no worker holds."""

    def __init__(self, db: Database, queue: Queue, live: LiveEvents, promotion: Promotion) -> None:
        self._db = db
        self._queue = queue
        self._live = live
        self._promotion = promotion

    async def hint_again(self) -> int:
        """Tell queues again of what waits in them for long; how many."""
        async with self._db.read() as tx:
            waiting = await waiting_repository.unhinted(tx, _SILENCE, BATCH)
        if not waiting:
            return 0
        await self._db.write(lambda tx: waiting_repository.note_hints(tx, [row.id for row in waiting]))
        reach("rehint.noted")
        await self._queue.hint([Hint(row.id, row.attempt, row.queue, row.pack, row.turn) for row in waiting])
        return len(waiting)

    async def lose_workers(self, steady: Callable[[], bool] = lambda: True) -> int:
        """Fence the workers whose lease has run out, unless by then it is no more `steady`; how many."""

        async def work(tx: AsyncConnection) -> int:
            lost = await fleet.lose_silent(tx)
            # The statement may have waited in a frozen database, where nobody could renew.
            if lost and not steady():
                raise DependencyDown("db")
            return lost

        lost = await self._db.write(work)
        if lost:
            reach("lose.committed")
            _log.warning("%d workers lost their lease", lost)
        return lost

    async def take_over(self) -> int:
        """Move on the tasks of workers that are gone; how many."""
        async with self._db.read() as tx:
            abandoned = await repository.abandoned(tx, BATCH)
        for task_id, attempt in abandoned:
            try:
                await self._take_over(task_id, attempt)
            except Fenced:
                _log.info("task %s has moved on meanwhile", task_id)
            except Conflict:
                _log.warning("task %s is locked by somebody: it is taken over later", task_id)
        return len(abandoned)

    async def note_age(self) -> None:
        """Let it be known how long Redis has kept its data; raises RedisError, OSError."""
        await self._live.note_age()

    async def forget(self) -> None:
        """Remove the rows of workers that ended long ago."""
        await self._db.write(lambda tx: fleet.forget_workers(tx, _MEMORY))

    async def remove_expired(self) -> int:
        """Remove a batch of ended tasks whose time to be kept is over; how many."""
        async with self._db.read() as tx:
            expired = await waiting_repository.expired(tx, BATCH)
        if expired:
            await self._db.write(lambda tx: repository.remove(tx, sorted(expired)))
        return len(expired)

    async def _take_over(self, task_id: UUID, attempt: int) -> None:
        async with self._db.read() as tx:
            found = await repository.get(tx, task_id)
        if found is None or found.attempt != attempt:
            return
        # The stream is sealed before the row is read for good: nothing can be added in between.
        tail = await self._seal(found)
        reach("takeover.sealed")

        async def work(tx: AsyncConnection) -> Closed:
            current = await repository.lock(tx, task_id)
            # A cancel that was asked for meanwhile has its own, longer wait.
            if current is None or current.attempt != attempt or current.state is not found.state:
                raise Fenced(f"attempt {attempt} of task {task_id} has moved on")
            events = _account(current, tail)
            lost = Ended(failure=_lost(current), unseen=_unseen(current))
            told = _told_cancel(current, events)
            return await close_attempt(tx, task_id, attempt, events, lost, told_cancel=told, fenced=False)

        closed = await self._db.write(work)
        reach("takeover.committed")
        _log.warning("task %s was taken from a lost worker: %s", task_id, closed.task.state.name)
        await self._promotion.after(closed)
        try:
            await self._live.empty(task_id, attempt)
        except (RedisError, OSError) as error:
            _log.info("the live stream of task %s was not emptied: %s", task_id, error)

    async def _seal(self, found: Task) -> Tail:
        try:
            began = found.start_time or found.create_time
            return await self._live.seal(found.id, found.attempt, found.last_seq, began)
        except (RedisError, OSError):
            return Tail([], whole=False)


def _account(current: Task, tail: Tail) -> list[Event]:
    """The events after the archive's end: what the stream had, or a gap over what may have been lost."""
    numbering = Numbering(current.last_seq, current.attempt)
    numbering.keep([event for event in tail.events if event.seq > current.last_seq])
    if not tail.whole and numbering.last_seq < current.reserved_seq:
        numbering.add_gap(current.reserved_seq, "lost live log")
    return numbering.events


def _told_cancel(current: Task, events: list[Event]) -> bool:
    asked = current.cancellation
    heard = asked is not None and asked.phase is not CancelPhase.REQUESTED
    return heard or any(event.kind is EventKind.CANCEL for event in events)


def _unseen(current: Task) -> str:
    return (
        f"not seen: worker {current.worker_id} is gone; its lease and {repository.CONFIRM.seconds} s have "
        "passed, within which its processes are killed on its own machine"
    )


def _lost(current: Task) -> Failure:
    return Failure(
        FailureKind.LOST_WORKER,
        f"worker {current.worker_id} gave no sign of life within its lease",
        code="lost_worker",
        detail={"kind": "lost_worker", "worker_id": str(current.worker_id), "reason": "lease expired"},
    )

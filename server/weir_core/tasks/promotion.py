"""Moves on what waits: tasks whose time has come, that a gate lets in, whose dependencies have ended.

Run by every sweeper, and at once by whoever has just ended a task that others
wait for; any number may do so at a time.
"""

import logging
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now
from weir_core.db import Database
from weir_core.events import LiveEvents
from weir_core.failpoints import reach
from weir_core.queue import Hint, Queue
from weir_core.tasks import gate_repository, hot_repository, repository, waiting_repository
from weir_core.tasks.admission import Admission, waiting_values
from weir_core.tasks.ending import Closed, end_waiting
from weir_core.tasks.events import Event, EventKind, Numbering, state_body
from weir_core.tasks.gates import Gate, this_minute
from weir_core.tasks.models import Failure, Task
from weir_core.tasks.outcomes import failed_waiting, past_deadline
from weir_core.tasks.states import WAITING, Condition, FailureKind, TaskState

_log = logging.getLogger(__name__)

BATCH: Final = 500
_GATES: Final = 200
_ROUNDS: Final = 20


class Promotion:
    """Makes PENDING tasks QUEUED, or ends them where they can't become it."""

    def __init__(self, db: Database, queue: Queue, live: LiveEvents) -> None:
        self._db = db
        self._queue = queue
        self._live = live

    async def due(self) -> int:
        """Queue the PENDING tasks whose time has come, or park them at a gate; how many."""
        async with self._db.read() as tx:
            ids = await waiting_repository.due(tx, BATCH)
        if ids:
            await self._admit(ids, parked_on=None)
        return len(ids)

    async def open_gates(self) -> int:
        """Let in who waits at gates with room; at how many."""
        async with self._db.read() as tx:
            waited_at = await gate_repository.with_waiting(tx, _GATES)
        with_room = [gate for gate in waited_at if gate.room(this_minute())]
        for gate in with_room:
            await self._let_in(gate)
        return len(with_room)

    async def overdue(self) -> int:
        """Fail what waits beyond its deadline; how many."""
        async with self._db.read() as tx:
            ids = await waiting_repository.overdue(tx, BATCH)
        for task_id in ids:
            closed = await self._db.write(lambda tx, task_id=task_id: _end_overdue(tx, task_id))
            if closed is not None:
                await self.after(closed)
        return len(ids)

    async def settle(self, task_ids: Iterable[UUID] = ()) -> int:
        """Look again at tasks of which something that they depend on has ended; how many."""
        ids = list(task_ids)
        if not ids:
            async with self._db.read() as tx:
                ids = await waiting_repository.told(tx, BATCH)
        for task_id in ids:
            await self._settle(task_id)
        return len(ids)

    async def after(self, *closed: Closed) -> None:
        """What follows once ends have committed: watchers are told, and those that waited for it go on."""
        await self.announce({each.task.id: each.events for each in closed})
        for name in sorted({name for each in closed for name in each.freed}):
            async with self._db.read() as tx:
                gate = (await gate_repository.get(tx, [name])).get(name)
            if gate is not None and gate.room(this_minute()):
                await self._let_in(gate)
        if any(each.needed for each in closed):
            await self.settle()

    async def announce(self, chunks: dict[UUID, list[Event]]) -> None:
        """Tell watchers; a lost notice costs them a second."""
        try:
            await self._live.announce(chunks)
        except (RedisError, OSError) as error:
            _log.info("watchers were not told: %s", error)

    async def _let_in(self, gate: Gate) -> None:
        for _ in range(_ROUNDS):
            most = min(gate.room(this_minute()), BATCH)
            async with self._db.read() as tx:
                ids = await waiting_repository.parked(tx, gate.name, most)
            if ids:
                await self._admit(ids, parked_on=gate.name)
            elif gate.waiting:
                await self._db.write(lambda tx: _recount(tx, gate.name))
            if len(ids) < BATCH:
                return

    async def _admit(self, ids: list[UUID], *, parked_on: str | None) -> None:
        """Take tasks through their gates in one transaction; those that moved meanwhile are left."""

        async def work(tx: AsyncConnection) -> tuple[list[Task], dict[UUID, list[Event]]]:
            found = await repository.lock_many(tx, ids)
            if parked_on is None:
                ready = await waiting_repository.due_among(tx, ids)
                found = [task for task in found if task.id in ready]
            found = [
                task for task in found if task.state is TaskState.PENDING and task.parked_on == parked_on
            ]
            found.sort(key=lambda task: (task.priority.turn, task.id))
            gates = await Admission.open(tx, found)
            moved = [gates.admit(gates.unpark(task)) for task in found]
            await gates.save()
            return await _store(tx, [task for task in moved if task.parked_on is None or not parked_on])

        let_in, chunks = await self._db.write(work)
        reach("promote.committed")
        await self._queue.hint([hint_of(task) for task in let_in])
        await self.announce(chunks)

    async def _settle(self, task_id: UUID) -> None:
        closed = await self._db.write(lambda tx: _settle(tx, task_id))
        if closed is not None:
            await self.after(closed)
        else:
            await self._admit([task_id], parked_on=None)


def hint_of(task: Task) -> Hint:
    """What a queue is told of a task that is QUEUED."""
    return Hint(task.id, task.attempt, task.queue, task.pack, task.priority.turn)


async def _store(tx: AsyncConnection, moved: list[Task]) -> tuple[list[Task], dict[UUID, list[Event]]]:
    """Store where admitted and parked tasks stand now; those that are QUEUED, and their new events."""
    chunks: dict[UUID, list[Event]] = {}
    for task in moved:
        values = waiting_values(task)
        if task.state is TaskState.QUEUED:
            numbering = Numbering(task.last_seq, task.attempt)
            numbering.add(EventKind.STATE, state_body(TaskState.PENDING, TaskState.QUEUED))
            values |= {"last_seq": numbering.last_seq, "hint_time": database_now()}
            chunks[task.id] = numbering.events
        await repository.change(tx, task.id, values)
    await hot_repository.insert_events(tx, chunks)
    return [task for task in moved if task.id in chunks], chunks


async def _settle(tx: AsyncConnection, task_id: UUID) -> Closed | None:
    """Fail a task that an end was against, or free it where all that it needs has ended."""
    tasks = await repository.lock_many(tx, [task_id])
    if not tasks or tasks[0].state is not TaskState.PENDING:
        await waiting_repository.drop_dependencies(tx, task_id)
        return None
    rows = await waiting_repository.dependencies(tx, task_id)
    ended = {row.needs_id: TaskState(row.outcome) for row in rows if row.outcome is not None}
    for row in rows:
        if row.needs_id in ended and not Condition(row.condition).met_by(ended[row.needs_id]):
            failure = _upstream(row.needs_id, ended[row.needs_id])
            return await end_waiting(tx, tasks[0], failed_waiting(tasks[0], failure))
    await waiting_repository.drop_dependencies(tx, task_id, list(ended))
    if len(ended) == len(rows) and not tasks[0].held:
        await waiting_repository.release(tx, tasks[0])
    return None


async def _end_overdue(tx: AsyncConnection, task_id: UUID) -> Closed | None:
    tasks = await repository.lock_many(tx, [task_id])
    if not tasks or tasks[0].state not in WAITING:
        return None
    return await end_waiting(tx, tasks[0], failed_waiting(tasks[0], past_deadline(tasks[0])))


async def _recount(tx: AsyncConnection, name: str) -> None:
    gates, _ = await gate_repository.lock(tx, [name])
    if name in gates:
        gates[name].waiting = len(await waiting_repository.parked(tx, name, BATCH))
        await gate_repository.save(tx, gates.values())


def _upstream(needs_id: UUID, state: TaskState) -> Failure:
    return Failure(
        FailureKind.UPSTREAM,
        f"task {needs_id}, which it needs the success of, ended {state.name}",
        code="upstream",
    )

"""All SQL about tasks, attempts and archived events."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, insert_new, micros, now_plus
from weir_core.fleet.models import WorkerState, worker
from weir_core.principals import creator_of
from weir_core.tasks.encoding import dump_failure, load_cancellation, load_failure, load_limits
from weir_core.tasks.errors import Fenced
from weir_core.tasks.events import RESERVE, Event, decode, encode
from weir_core.tasks.models import Attempt, Failure, Task, attempt, task, task_event
from weir_core.tasks.states import HELD, TERMINAL, TaskState

_CHUNKS = 16
_NEWEST_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Head:
    """What a watcher needs to know of a task: where its events are."""

    id: UUID
    state: TaskState
    attempt: int
    last_seq: int
    cancelled: bool


def _task(row: Row[Any], attempts: list[Attempt] | None = None) -> Task:
    return Task(
        id=row.id,
        project=row.project,
        type=row.type,
        type_version=row.type_version,
        pack=row.pack,
        queue=row.queue,
        state=TaskState(row.state),
        attempt=row.attempt,
        charged=row.charged,
        last_seq=row.last_seq,
        reserved_seq=row.reserved_seq,
        labels=row.labels,
        limits=load_limits(row.limits),
        creator=creator_of(row),
        create_time=row.create_time,
        start_after=row.start_after,
        schedule_id=row.schedule_id,
        fire_time=row.fire_time,
        worker_id=row.worker_id,
        input=getattr(row, "input", None),
        output=getattr(row, "output", None),
        failure=load_failure(row.failure),
        progress=row.progress,
        cancellation=load_cancellation(row.cancellation),
        start_time=row.start_time,
        end_time=row.end_time,
        attempts=attempts or [],
    )


_BASIC = [column for column in task.c if column.name not in {"input", "output"}]
_HELD = task.c.state.in_([int(state) for state in HELD])


async def insert_task(tx: AsyncConnection, values: dict[str, Any]) -> bool:
    """Store a new task; False where its request key is taken."""
    if values["request_key"] is not None:
        return await insert_new(tx, task, values)
    await tx.execute(insert(task), values)
    return True


async def by_request_key(tx: AsyncConnection, key: bytes) -> tuple[Task, bytes] | None:
    """The task that a request made, with the hash of that request's content."""
    row = (await tx.execute(select(task).where(task.c.request_key == key))).first()
    return (_task(row), row.request_content) if row else None


async def get(tx: AsyncConnection, task_id: UUID) -> Task | None:
    """A task with everything but its attempts."""
    row = (await tx.execute(select(task).where(task.c.id == task_id, task.c.is_delete.is_(False)))).first()
    return _task(row) if row else None


async def lock(tx: AsyncConnection, task_id: UUID) -> Task | None:
    """A task as it is now, kept as it is until the transaction ends."""
    await tx.execute(update(task).where(task.c.id == task_id).values(last_seq=task.c.last_seq))
    return await get(tx, task_id)


async def attempts_of(tx: AsyncConnection, task_id: UUID) -> list[Attempt]:
    """The newest 100 attempts, oldest first."""
    query = (
        select(attempt, worker.c.heartbeat_time)
        .outerjoin(worker, worker.c.id == attempt.c.worker_id)
        .where(attempt.c.task_id == task_id)
        .order_by(attempt.c.number.desc())
        .limit(_NEWEST_ATTEMPTS)
    )
    return [_attempt(row) for row in await tx.execute(query)][::-1]


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        number=row.number,
        worker_id=row.worker_id,
        type_version=row.type_version,
        start_time=row.start_time,
        end_time=row.end_time,
        heartbeat_time=row.heartbeat_time if row.end_time is None else None,
        retry_time=row.retry_time,
        failure=load_failure(row.failure),
    )


async def list_tasks(
    tx: AsyncConnection, conditions: list[Any], after: UUID | None, limit: int
) -> list[Task]:
    """Tasks, newest first, without input and output."""
    query = (
        select(*_BASIC)
        .where(task.c.is_delete.is_(False), *conditions)
        .order_by(task.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(task.c.id < after)
    return [_task(row) for row in await tx.execute(query)]


async def inputs_of(tx: AsyncConnection, task_ids: list[UUID]) -> dict[UUID, Task]:
    """Whole tasks by id."""
    rows = await tx.execute(select(task).where(task.c.id.in_(task_ids)))
    return {row.id: _task(row) for row in rows}


async def heads(tx: AsyncConnection, task_ids: list[UUID]) -> list[Head]:
    """Where the events of some tasks are."""
    columns = (task.c.id, task.c.state, task.c.attempt, task.c.last_seq, task.c.cancellation)
    rows = await tx.execute(select(*columns).where(task.c.id.in_(task_ids)))
    return [
        Head(row.id, TaskState(row.state), row.attempt, row.last_seq, row.cancellation is not None)
        for row in rows
    ]


async def claim(
    tx: AsyncConnection, task_ids: list[UUID], worker_id: UUID, claim_id: UUID, types: dict[str, int]
) -> list[Task]:
    """Take the tasks that are still QUEUED and that the worker can do, each with a new attempt."""
    able = or_(
        *(and_(task.c.type == name, task.c.type_version <= version) for name, version in types.items())
    )
    active = exists().where(worker.c.id == worker_id, worker.c.state == WorkerState.ACTIVE.value)
    # MySQL assigns from left to right, with what stands to the left changed already.
    await tx.execute(
        update(task)
        .where(task.c.id.in_(sorted(task_ids)), task.c.state == int(TaskState.QUEUED), able, active)
        .ordered_values(
            (task.c.reserved_seq, task.c.last_seq + 1 + RESERVE),
            (task.c.last_seq, task.c.last_seq + 1),
            (task.c.attempt, task.c.attempt + 1),
            (task.c.state, int(TaskState.RUNNING)),
            (task.c.worker_id, worker_id),
            (task.c.claim_id, claim_id),
            (task.c.start_time, database_now()),
        )
    )
    return [_task(row) for row in await tx.execute(select(task).where(task.c.claim_id == claim_id))]


async def insert_attempts(tx: AsyncConnection, tasks: list[Task]) -> None:
    """Note the attempts that a claim began."""
    rows = [
        {
            "task_id": claimed.id,
            "number": claimed.attempt,
            "worker_id": claimed.worker_id,
            "type_version": claimed.type_version,
            "start_time": claimed.start_time,
        }
        for claimed in tasks
    ]
    await tx.execute(insert(attempt), rows)


async def fence(tx: AsyncConnection, task_id: UUID, number: int, *, cancelling: bool = False) -> None:
    """The first statement of every write for an attempt: Fenced where it is not the newest one.

    Only with `cancelling` is the write accepted after a cancel was asked for.
    """
    states = HELD if cancelling else {TaskState.RUNNING}
    live = exists().where(
        worker.c.id == task.c.worker_id,
        worker.c.state.in_([WorkerState.ACTIVE.value, WorkerState.DRAINING.value]),
    )
    result = await tx.execute(
        update(task)
        .where(
            task.c.id == task_id, task.c.attempt == number, task.c.state.in_([int(s) for s in states]), live
        )
        .values(last_seq=task.c.last_seq)
    )
    if result.rowcount != 1:
        raise Fenced(f"attempt {number} of task {task_id} is not the newest one, or may not write any more")


async def change(tx: AsyncConnection, task_id: UUID, values: dict[str, Any]) -> None:
    """Change a task that the transaction holds."""
    await tx.execute(update(task).where(task.c.id == task_id).values(**values))


async def end_attempt(
    tx: AsyncConnection, task_id: UUID, number: int, failure: Failure | None, retry: timedelta | None
) -> None:
    """Note that an attempt has ended."""
    await tx.execute(
        update(attempt)
        .where(attempt.c.task_id == task_id, attempt.c.number == number)
        .values(
            end_time=database_now(),
            failure=dump_failure(failure),
            retry_time=None if retry is None else now_plus(retry),
        )
    )


async def insert_events(tx: AsyncConnection, chunks: dict[UUID, list[Event]]) -> None:
    """Archive events, one chunk a task."""
    rows = [
        {
            "task_id": task_id,
            "from_seq": events[0].first_seq,
            "to_seq": events[-1].seq,
            "events": encode(events),
        }
        for task_id, events in chunks.items()
        if events
    ]
    if rows:
        await tx.execute(insert(task_event), rows)


async def read_events(tx: AsyncConnection, task_id: UUID, from_seq: int) -> list[Event]:
    """Archived events from a number on, in order; some chunks at a time."""
    query = (
        select(task_event.c.events)
        .where(task_event.c.task_id == task_id, task_event.c.to_seq >= from_seq)
        .order_by(task_event.c.to_seq)
        .limit(_CHUNKS)
    )
    chunks = (await tx.execute(query)).scalars().all()
    return [event for chunk in chunks for event in decode(chunk) if event.seq >= from_seq]


async def read_events_back(tx: AsyncConnection, task_id: UUID, to_seq: int) -> list[Event]:
    """Archived events up to a number, newest first; some chunks at a time."""
    query = (
        select(task_event.c.events)
        .where(task_event.c.task_id == task_id, task_event.c.from_seq <= to_seq)
        .order_by(task_event.c.to_seq.desc())
        .limit(_CHUNKS)
    )
    chunks = (await tx.execute(query)).scalars().all()
    return [event for chunk in chunks for event in reversed(decode(chunk)) if event.first_seq <= to_seq]


async def due(tx: AsyncConnection, limit: int) -> list[Task]:
    """PENDING tasks whose time has come."""
    query = (
        select(*_BASIC)
        .where(task.c.state == int(TaskState.PENDING), task.c.due_time <= database_now())
        .order_by(task.c.due_time)
        .limit(limit)
    )
    return [_task(row) for row in await tx.execute(query)]


async def unhinted(tx: AsyncConnection, silence: timedelta, limit: int) -> list[tuple[UUID, int, str, str]]:
    """QUEUED tasks whose queue was not told of them lately: id, attempt, queue, pack."""
    query = (
        select(task.c.id, task.c.attempt, task.c.queue, task.c.pack)
        .where(task.c.state == int(TaskState.QUEUED), task.c.hint_time <= now_plus(-silence))
        .order_by(task.c.hint_time)
        .limit(limit)
    )
    return [(row.id, row.attempt, row.queue, row.pack) for row in await tx.execute(query)]


async def note_hints(tx: AsyncConnection, task_ids: list[UUID]) -> None:
    """Note that the queue was told of some tasks just now."""
    await tx.execute(update(task).where(task.c.id.in_(sorted(task_ids))).values(hint_time=database_now()))


async def abandoned(tx: AsyncConnection, limit: int) -> list[tuple[UUID, int]]:
    """Tasks held by workers that are lost or have stopped: id and attempt."""
    gone = select(worker.c.id).where(worker.c.state.in_([WorkerState.LOST.value, WorkerState.STOPPED.value]))
    query = (
        select(task.c.id, task.c.attempt)
        .where(task.c.worker_id.in_(gone), _HELD)
        .order_by(task.c.id)
        .limit(limit)
    )
    return [(row.id, row.attempt) for row in await tx.execute(query)]


async def cancelling(tx: AsyncConnection, worker_id: UUID) -> list[UUID]:
    """Tasks of a worker for which a cancel was asked."""
    query = select(task.c.id).where(task.c.worker_id == worker_id, task.c.state == int(TaskState.CANCELLING))
    return list((await tx.execute(query)).scalars())


async def count_unended(tx: AsyncConnection) -> dict[TaskState, int]:
    """Tasks that have not ended, by state."""
    ended = [int(state) for state in TERMINAL]
    query = select(task.c.state, func.count()).where(task.c.state.not_in(ended)).group_by(task.c.state)
    return {TaskState(state): count for state, count in await tx.execute(query)}


async def oldest_queued(tx: AsyncConnection) -> timedelta | None:
    """How long the oldest queued task has waited; None: none waits."""
    oldest = (
        select(task.c.due_time)
        .where(task.c.state == int(TaskState.QUEUED))
        .order_by(task.c.due_time)
        .limit(1)
    ).scalar_subquery()
    row = (await tx.execute(select(database_now() - oldest))).scalar()
    return None if row is None else timedelta(microseconds=max(0, row))


def new_row(values: dict[str, Any], due_time: datetime) -> dict[str, Any]:
    """The row of a task that nobody has touched yet."""
    return values | {
        "attempt": 0,
        "charged": 0,
        "due_time": micros(due_time),
        "hint_time": micros(due_time),
        "reserved_seq": 0,
        "is_delete": False,
    }

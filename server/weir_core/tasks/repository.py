"""All SQL about tasks, attempts and archived events."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, insert_new, micros, now_plus
from weir_core.errors import NotFound
from weir_core.failpoints import reach
from weir_core.files.models import file
from weir_core.fleet.models import WorkerState, worker
from weir_core.ids import first_id
from weir_core.principals import creator_of
from weir_core.tasks import list_indexes
from weir_core.tasks.encoding import (
    dump_failure,
    load_cancellation,
    load_concurrency,
    load_dependencies,
    load_failure,
    load_limits,
)
from weir_core.tasks.errors import Fenced
from weir_core.tasks.events import Event, decode
from weir_core.tasks.models import (
    NEVER,
    Attempt,
    Failure,
    Task,
    attempt,
    task,
    task_dependency,
    task_event,
    task_horizon,
    task_label,
    task_stop,
)
from weir_core.tasks.states import HELD, TERMINAL, Priority, TaskState

# Between a task's id and its time of creation.
_SLACK = timedelta(seconds=1)
_CHUNKS = 16
# Events that are enough for one read.
_ENOUGH = 500


@dataclass(frozen=True, slots=True)
class Head:
    """What a watcher needs to know of a task: where its events are."""

    id: UUID
    state: TaskState
    attempt: int
    last_seq: int


def task_of(row: Row[Any], attempts: list[Attempt] | None = None) -> Task:
    """The task in a row, whole or without its large columns."""
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
        priority=Priority(4 - row.turn),
        start_after=row.start_after,
        schedule_id=row.schedule_id,
        fire_time=row.fire_time,
        deadline=row.deadline,
        retention=None if row.retention is None else timedelta(seconds=row.retention),
        depends_on=load_dependencies(row.depends_on),
        concurrency=load_concurrency(row.concurrency),
        parent_id=row.parent_id,
        retry_of=row.retry_of,
        crashes=row.crashes,
        holds=row.holds,
        parked_on=row.parked_on,
        needed=bool(row.needed),
        expire_time=row.alarm_time if TaskState(row.state) in TERMINAL else None,
        checkpoint=getattr(row, "checkpoint", None),
        worker_id=row.worker_id,
        input=getattr(row, "input", None),
        output=getattr(row, "output", None),
        output_file_id=row.output_file_id,
        failure=load_failure(row.failure),
        progress=row.progress,
        cancellation=load_cancellation(row.cancellation),
        start_time=row.start_time,
        end_time=row.end_time,
        attempts=attempts or [],
    )


BASIC = [column for column in task.c if column.name not in {"input", "output", "checkpoint"}]
_CLAIMED = task.c.state.in_([int(state) for state in HELD])

CONFIRM: Final = timedelta(seconds=5)
"""How long after a lost lease it is certain that its worker's processes were killed on their own machine."""


async def set_labels(tx: AsyncConnection, task_id: UUID, labels: dict[str, str]) -> None:
    """Replace a task's labels."""
    await tx.execute(delete(task_label).where(task_label.c.task_id == task_id))
    rows = [{"name": name, "value": value, "task_id": task_id} for name, value in labels.items()]
    if rows:
        await tx.execute(insert(task_label), rows)


def has_label(name: str, value: str) -> ColumnElement[bool]:
    """True of tasks with that label."""
    return exists().where(
        task_label.c.name == name, task_label.c.value == value, task_label.c.task_id == task.c.id
    )


def never_retried() -> ColumnElement[bool]:
    """True of a task that none was submitted anew for."""
    again = task.alias("again")
    return ~exists().where(again.c.retry_of == task.c.id)


async def count(tx: AsyncConnection, conditions: list[Any], most: int) -> int:
    """How many tasks meet the conditions; `most` for that many or more."""
    found = select(task.c.id).where(task.c.is_delete.is_(False), *conditions).limit(most)
    return await tx.scalar(select(func.count()).select_from(found.subquery())) or 0


async def by_request_key(tx: AsyncConnection, key: bytes) -> tuple[Task, bytes] | None:
    """The task that a request made, with the hash of that request's content."""
    row = (await tx.execute(select(task).where(task.c.request_key == key))).first()
    return (task_of(row), row.request_content) if row else None


async def get(tx: AsyncConnection, task_id: UUID) -> Task | None:
    """A task with everything but its attempts."""
    row = (await tx.execute(select(task).where(task.c.id == task_id, task.c.is_delete.is_(False)))).first()
    return task_of(row) if row else None


async def lock(tx: AsyncConnection, task_id: UUID) -> Task | None:
    """A task as it is now, kept as it is until the transaction ends."""
    await tx.execute(update(task).where(task.c.id == task_id).values(last_seq=task.c.last_seq))
    return await get(tx, task_id)


def created_about(op: str, instant: datetime) -> ColumnElement[bool]:
    """What ids say of the time of creation: they begin with it, in milliseconds."""
    if op.startswith("<"):
        return task.c.id < first_id(instant + _SLACK)
    return task.c.id >= first_id(instant - _SLACK)


async def lock_many(tx: AsyncConnection, task_ids: list[UUID]) -> list[Task]:
    """Some tasks as they are now, by id, kept so until the transaction ends; without their inputs."""
    wanted = sorted(set(task_ids))
    await tx.execute(update(task).where(task.c.id.in_(wanted)).values(last_seq=task.c.last_seq))
    query = select(*BASIC).where(task.c.id.in_(wanted), task.c.is_delete.is_(False)).order_by(task.c.id)
    return [task_of(row) for row in await tx.execute(query)]


def attempt_of(row: Row[Any]) -> Attempt:
    """The attempt in a row, its worker's sign of life beside it."""
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
    query = select(*BASIC).where(task.c.is_delete.is_(False), *conditions)
    if after is None:
        query = list_indexes.for_first_page(tx, query, conditions)
    else:
        query = await list_indexes.for_further_page(tx, query.where(task.c.id < after), conditions)
    return [task_of(row) for row in await tx.execute(query.order_by(task.c.id.desc()).limit(limit))]


async def inputs_of(tx: AsyncConnection, task_ids: list[UUID]) -> dict[UUID, Task]:
    """Whole tasks by id."""
    rows = await tx.execute(select(task).where(task.c.id.in_(task_ids)))
    return {row.id: task_of(row) for row in rows}


async def heads(tx: AsyncConnection, task_ids: list[UUID]) -> list[Head]:
    """Where the events of some tasks are; those that were removed are left out."""
    columns = (task.c.id, task.c.state, task.c.attempt, task.c.last_seq)
    query = select(*columns).where(task.c.id.in_(task_ids), task.c.is_delete.is_(False))
    return [Head(row.id, TaskState(row.state), row.attempt, row.last_seq) for row in await tx.execute(query)]


async def head(tx: AsyncConnection, task_id: UUID) -> Head:
    """Where the events of a task are; NotFound."""
    found = await heads(tx, [task_id])
    if not found:
        raise NotFound("task", task_id)
    return found[0]


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
        reach("fence.refused")
        raise Fenced(f"attempt {number} of task {task_id} is not the newest one, or may not write any more")


async def change(tx: AsyncConnection, task_id: UUID, values: dict[str, Any]) -> None:
    """Change a task that the transaction holds."""
    changed = {"change_time": database_now()} if "state" in values or "labels" in values else {}
    await tx.execute(update(task).where(task.c.id == task_id).values(**values, **changed))


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


async def read_events(tx: AsyncConnection, task_id: UUID, from_seq: int) -> tuple[list[Event], bool]:
    """Archived events from a number on, in order, some chunks at a time; True where these were all."""
    query = (
        select(task_event.c.events)
        .where(task_event.c.task_id == task_id, task_event.c.to_seq >= from_seq)
        .order_by(task_event.c.to_seq)
        .limit(_CHUNKS)
    )
    chunks = (await tx.execute(query)).scalars().all()
    found: list[Event] = []
    for place, chunk in enumerate(chunks, start=1):
        found += [event for event in decode(chunk) if event.seq >= from_seq]
        if len(found) >= _ENOUGH:
            return found, place == len(chunks) < _CHUNKS
    return found, len(chunks) < _CHUNKS


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


async def abandoned(tx: AsyncConnection, limit: int) -> list[tuple[UUID, int]]:
    """Tasks held by workers that are lost or have stopped: id and attempt.

    One that is being cancelled is ended for good by this: it waits until nothing of it can run.
    """
    gone = worker.c.state.in_([WorkerState.LOST.value, WorkerState.STOPPED.value])
    certain = (worker.c.state == WorkerState.STOPPED.value) | (worker.c.lease_expire < now_plus(-CONFIRM))
    query = (
        select(task.c.id, task.c.attempt)
        .join(worker, worker.c.id == task.c.worker_id)
        .where(gone, _CLAIMED, (task.c.state == int(TaskState.RUNNING)) | certain)
        .order_by(task.c.id)
        .limit(limit)
    )
    return [(row.id, row.attempt) for row in await tx.execute(query)]


async def may_still_run(tx: AsyncConnection, found: Task) -> bool:
    """True where the newest attempt's worker was lost so lately that its processes may not have ended."""
    lost = exists().where(
        attempt.c.task_id == found.id,
        attempt.c.number == found.attempt,
        worker.c.id == attempt.c.worker_id,
        worker.c.state == WorkerState.LOST.value,
        worker.c.lease_expire >= now_plus(-CONFIRM),
    )
    return bool(await tx.scalar(select(lost)))


async def held_by(tx: AsyncConnection, worker_ids: list[UUID]) -> dict[UUID, list[UUID]]:
    """The tasks that each of some workers holds."""
    held: dict[UUID, list[UUID]] = {}
    query = select(task.c.worker_id, task.c.id).where(task.c.worker_id.in_(worker_ids), _CLAIMED)
    for row in await tx.execute(query.order_by(task.c.id)):
        held.setdefault(row.worker_id, []).append(row.id)
    return held


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


def new_row(values: dict[str, Any], due_time: datetime | None) -> dict[str, Any]:
    """The row of a task that nobody has touched yet; without a due time it waits for something else."""
    due = NEVER if due_time is None else micros(due_time)
    return values | {
        "attempt": 0,
        "charged": 0,
        "crashes": 0,
        "needed": False,
        "due_time": due,
        "hint_time": due,
        "change_time": micros(values["create_time"]),
        "reserved_seq": 0,
        "is_delete": False,
    }


async def remove(tx: AsyncConnection, task_ids: list[UUID]) -> None:
    """Remove ended tasks with all that belongs to them; how far back they had changed is noted.

    The content of their files is swept.
    """
    newest = select(func.max(task.c.change_time)).where(task.c.id.in_(task_ids))
    removed = (await tx.execute(newest)).scalar() or 0
    await insert_new(tx, task_horizon, {"id": 1, "removed_time": removed})
    await tx.execute(
        update(task_horizon).where(task_horizon.c.removed_time < removed).values(removed_time=removed)
    )
    for table, column in (
        (task_event, task_event.c.task_id),
        (attempt, attempt.c.task_id),
        (task_label, task_label.c.task_id),
        (task_dependency, task_dependency.c.task_id),
        (task_stop, task_stop.c.task_id),
        (file, file.c.task_id),
        (task, task.c.id),
    ):
        await tx.execute(delete(table).where(column.in_(task_ids)))

"""The SQL that each call and each attempt needs, prepared, for many tasks in one statement."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Column,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now
from weir_core.fleet.models import WorkerState, worker
from weir_core.prepared import Prepared, PreparedMany
from weir_core.tasks.events import RESERVE, Event, encode
from weir_core.tasks.gates import queue_gate
from weir_core.tasks.models import Attempt, Task, attempt, gate, task, task_event, task_label
from weir_core.tasks.repository import BASIC, attempt_of, task_of
from weir_core.tasks.states import TaskState

NEWEST_ATTEMPTS: Final = 100
_LIVE: Final = {WorkerState.ACTIVE, WorkerState.DRAINING}


def _each(name: str, column: Column[Any], count: int) -> list[BindParameter[Any]]:
    return [bindparam(f"{name}_{place}", type_=column.type) for place in range(count)]


def _by_id(name: str, column: Column[Any], count: int) -> Any:
    """The value that goes with a row's id."""
    pairs = zip(_each("id", task.c.id, count), _each(name, column, count), strict=True)
    return case(*((task.c.id == task_id, value) for task_id, value in pairs))


def _one_of(column: Column[Any], count: int) -> Any:
    return column.in_(_each("id", task.c.id, count))


_GET = PreparedMany(lambda count: select(task).where(_one_of(task.c.id, count), task.c.is_delete.is_(False)))
_ATTEMPTS = PreparedMany(
    lambda count: (
        select(attempt, worker.c.heartbeat_time)
        .join(task, task.c.id == attempt.c.task_id)
        .outerjoin(worker, worker.c.id == attempt.c.worker_id)
        .where(_one_of(attempt.c.task_id, count), attempt.c.number > task.c.attempt - NEWEST_ATTEMPTS)
        .order_by(attempt.c.task_id, attempt.c.number)
    )
)
_STORED = PreparedMany(lambda count: select(task.c.id).where(_one_of(task.c.id, count)))
_INSERT = Prepared(insert(task))
_INSERT_KEYED = Prepared(
    mysql_insert(task).on_duplicate_key_update({"id": task.c.id}),
    sqlite=sqlite_insert(task).on_conflict_do_nothing(),
)
_INSERT_LABELS = Prepared(insert(task_label))
_INSERT_ATTEMPT = Prepared(insert(attempt))
_INSERT_EVENTS = Prepared(insert(task_event))
_CLAIMED = Prepared(select(task).where(task.c.claim_id == bindparam("claim_id")))
_HOLD = PreparedMany(
    lambda count: update(task).where(_one_of(task.c.id, count)).values(last_seq=task.c.last_seq)
)
_HELD = PreparedMany(
    lambda count: (
        select(*BASIC, worker.c.state.label("worker_state"))
        .outerjoin(worker, worker.c.id == task.c.worker_id)
        .where(_one_of(task.c.id, count), task.c.is_delete.is_(False))
    )
)
_SUCCEED = PreparedMany(
    lambda count: (
        update(task)
        .where(_one_of(task.c.id, count))
        .values(
            state=int(TaskState.SUCCEEDED),
            last_seq=_by_id("last_seq", task.c.last_seq, count),
            output=_by_id("output", task.c.output, count),
            alarm_time=_by_id("alarm_time", task.c.alarm_time, count),
            end_time=bindparam("end_time", type_=task.c.end_time.type),
            change_time=database_now(),
            failure=None,
            failure_kind=None,
            fingerprint=None,
        )
    )
)
_END_ATTEMPTS = PreparedMany(
    # Of a task's attempts only the newest one can be open.
    lambda count: (
        update(attempt)
        .where(_one_of(attempt.c.task_id, count), attempt.c.end_time.is_(None))
        .values(end_time=database_now())
    )
)
_ARCHIVE = PreparedMany(
    lambda count: (
        update(task)
        .where(_one_of(task.c.id, count))
        .values(
            last_seq=_by_id("last_seq", task.c.last_seq, count),
            reserved_seq=_by_id("reserved_seq", task.c.reserved_seq, count),
            progress=func.coalesce(_by_id("progress", task.c.progress, count), task.c.progress),
        )
    )
)
_CLAIMS: dict[tuple[tuple[str, int], ...], PreparedMany] = {}
_NONE: Final[dict[str, Any]] = {column.name: None for column in task.c}
_NEW_ATTEMPT: Final[dict[str, Any]] = {column.name: None for column in attempt.c}


@dataclass(frozen=True, slots=True)
class Archived:
    """How far a running task's events are archived, and its newest progress; None: as it was."""

    task_id: UUID
    last_seq: int
    progress: dict[str, Any] | None


async def get_many(tx: AsyncConnection, task_ids: Sequence[UUID]) -> dict[UUID, Task]:
    """Tasks by id, with everything but their attempts."""
    prepared, values = _GET.sized(id=task_ids)
    return {row.id: task_of(row) for row in await prepared.rows(tx, **values)}


async def attempts_of(tx: AsyncConnection, task_ids: Sequence[UUID]) -> dict[UUID, list[Attempt]]:
    """The newest 100 attempts of each task, oldest first."""
    found: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    prepared, values = _ATTEMPTS.sized(id=task_ids)
    for row in await prepared.rows(tx, **values):
        found[row.task_id].append(attempt_of(row))
    return found


async def insert_tasks(tx: AsyncConnection, rows: list[dict[str, Any]]) -> set[UUID]:
    """Store new tasks with their labels; answers those whose request key was not taken."""
    stored = await _insert(tx, [_NONE | row for row in rows])
    labels = [
        {"name": name, "value": value, "task_id": row["id"]}
        for row in rows
        if row["id"] in stored
        for name, value in row["labels"].items()
    ]
    await _INSERT_LABELS.run_many(tx, labels)
    return stored


async def _insert(tx: AsyncConnection, rows: list[dict[str, Any]]) -> set[UUID]:
    ids = [row["id"] for row in rows]
    if all(row["request_key"] is None for row in rows):
        await _INSERT.run_many(tx, rows)
        return set(ids)
    await _INSERT_KEYED.run_many(tx, rows)
    prepared, values = _STORED.sized(id=ids)
    return {row.id for row in await prepared.rows(tx, **values)}


async def insert_events(tx: AsyncConnection, events: dict[UUID, list[Event]]) -> None:
    """Archive events of some tasks."""
    rows = [
        {"task_id": task_id, "from_seq": chunk[0].first_seq, "to_seq": chunk[-1].seq, "events": text}
        for task_id, added in events.items()
        for chunk, text in encode(added)
    ]
    await _INSERT_EVENTS.run_many(tx, rows)


async def claim(
    tx: AsyncConnection, task_ids: Sequence[UUID], worker_id: UUID, claim_id: UUID, types: dict[str, int]
) -> list[Task]:
    """Take the tasks that are still QUEUED and that the worker can do, each with a new attempt."""
    able = tuple(sorted(types.items()))
    if able not in _CLAIMS:
        _CLAIMS[able] = PreparedMany(lambda count: _claim(able, count))
    prepared, values = _CLAIMS[able].sized(id=sorted(task_ids))
    if not await prepared.run(tx, **values, worker=worker_id, claim=claim_id):
        return []
    return [task_of(row) for row in await _CLAIMED.rows(tx, claim_id=claim_id)]


def _claim(types: tuple[tuple[str, int], ...], count: int) -> Any:
    able = or_(*(and_(task.c.type == name, task.c.type_version <= version) for name, version in types))
    worker_id = bindparam("worker", type_=task.c.worker_id.type)
    active = exists().where(worker.c.id == worker_id, worker.c.state == WorkerState.ACTIVE.value)
    stopped = exists().where(gate.c.name == literal(queue_gate("")) + task.c.queue, gate.c.paused)
    # MySQL assigns from left to right, with what stands to the left changed already.
    return (
        update(task)
        .where(_one_of(task.c.id, count), task.c.state == int(TaskState.QUEUED), able, active, ~stopped)
        .ordered_values(
            (task.c.reserved_seq, task.c.last_seq + 1 + RESERVE),
            (task.c.last_seq, task.c.last_seq + 1),
            (task.c.attempt, task.c.attempt + 1),
            (task.c.state, int(TaskState.RUNNING)),
            (task.c.worker_id, worker_id),
            (task.c.claim_id, bindparam("claim", type_=task.c.claim_id.type)),
            (task.c.start_time, database_now()),
            (task.c.change_time, database_now()),
        )
    )


async def insert_attempts(tx: AsyncConnection, tasks: list[Task]) -> None:
    """Note the attempts that a claim began."""
    rows = [
        _NEW_ATTEMPT
        | {
            "task_id": claimed.id,
            "number": claimed.attempt,
            "worker_id": claimed.worker_id,
            "type_version": claimed.type_version,
            "start_time": claimed.start_time,
        }
        for claimed in tasks
    ]
    await _INSERT_ATTEMPT.run_many(tx, rows)


async def hold(tx: AsyncConnection, task_ids: Sequence[UUID]) -> dict[UUID, Task]:
    """Tasks of live workers as they are now, kept so until the transaction ends; without their inputs.

    The first statement of every write for attempts, as `fence` is for one: a task
    that is not among them, or at another attempt, takes none.
    """
    wanted = sorted(set(task_ids))
    prepared, values = _HOLD.sized(id=wanted)
    await prepared.run(tx, **values)
    prepared, values = _HELD.sized(id=wanted)
    rows = await prepared.rows(tx, **values)
    return {row.id: task_of(row) for row in rows if row.worker_state in _LIVE}


async def succeed(tx: AsyncConnection, ended: Sequence[Task]) -> None:
    """Store the end of tasks that the transaction holds, and that of their newest attempts."""
    ids = [each.id for each in ended]
    prepared, values = _END_ATTEMPTS.sized(id=ids)
    await prepared.run(tx, **values)
    prepared, values = _SUCCEED.sized(
        id=ids,
        last_seq=[each.last_seq for each in ended],
        output=[each.output for each in ended],
        alarm_time=[each.expire_time for each in ended],
    )
    await prepared.run(tx, **values, end_time=ended[0].end_time)


async def archive(tx: AsyncConnection, logs: Sequence[Archived]) -> None:
    """Note how far the events of tasks that the transaction holds are archived."""
    prepared, values = _ARCHIVE.sized(
        id=[each.task_id for each in logs],
        last_seq=[each.last_seq for each in logs],
        reserved_seq=[each.last_seq + RESERVE for each in logs],
        progress=[each.progress for each in logs],
    )
    await prepared.run(tx, **values)

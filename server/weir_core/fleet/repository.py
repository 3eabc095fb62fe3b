"""All SQL about workers, schedulers and task types."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, String, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, insert_new, now_plus
from weir_core.fleet.models import TaskType, Worker, WorkerState, scheduler, task_type, worker
from weir_core.prepared import Prepared, PreparedMany
from weir_core.tasks.encoding import dump_limits, load_limits
from weir_core.tasks.models import task
from weir_core.tasks.states import HELD, Priority

# The newest version of each name.
_newest = (
    select(task_type.c.name, func.max(task_type.c.version).label("version"))
    .group_by(task_type.c.name)
    .subquery()
)

_later = task_type.alias()
_NEWEST_OF = PreparedMany(
    lambda count: select(task_type).where(
        task_type.c.name.in_([bindparam(f"name_{place}", type_=String()) for place in range(count)]),
        task_type.c.version
        == select(func.max(_later.c.version)).where(_later.c.name == task_type.c.name).scalar_subquery(),
    )
)
_ACTIVE = Prepared(
    select(worker).where(worker.c.state == WorkerState.ACTIVE.value, worker.c.lease_expire >= database_now())
)


def _type(row: Row[Any]) -> TaskType:
    return TaskType(
        name=row.name,
        version=row.version,
        pack=row.pack,
        description=row.description,
        input_schema=row.input_schema,
        output_schema=row.output_schema,
        queue=row.queue,
        priority=Priority(row.priority),
        permission=row.permission,
        limits=load_limits(row.limits),
    )


def _worker(row: Row[Any]) -> Worker:
    return Worker(
        id=row.id,
        host=row.host,
        version=row.version,
        state=WorkerState(row.state),
        slots=row.slots,
        queues=row.queues,
        types=row.types,
        start_time=row.start_time,
        heartbeat_time=row.heartbeat_time,
        drain_time=row.drain_time,
    )


async def newest_type(tx: AsyncConnection, name: str) -> TaskType | None:
    """The newest version of a task type."""
    return (await newest_types(tx, [name])).get(name)


async def newest_types(tx: AsyncConnection, names: Sequence[str]) -> dict[str, TaskType]:
    """The newest versions of some task types."""
    prepared, values = _NEWEST_OF.sized(name=names)
    return {row.name: _type(row) for row in await prepared.rows(tx, **values)}


async def list_types(
    tx: AsyncConnection, conditions: list[Any], after: str | None, limit: int
) -> list[TaskType]:
    """The newest version of each task type, by name."""
    query = (
        select(task_type)
        .join(_newest, (task_type.c.name == _newest.c.name) & (task_type.c.version == _newest.c.version))
        .where(*conditions)
        .order_by(task_type.c.name)
        .limit(limit)
    )
    if after is not None:
        query = query.where(task_type.c.name > after)
    return [_type(row) for row in await tx.execute(query)]


async def save_type(tx: AsyncConnection, kind: TaskType) -> TaskType:
    """Store a version of a task type where it is not known; answer what is stored."""
    values: dict[str, Any] = {
        "name": kind.name,
        "version": kind.version,
        "pack": kind.pack,
        "description": kind.description,
        "input_schema": kind.input_schema,
        "output_schema": kind.output_schema,
        "queue": kind.queue,
        "priority": int(kind.priority),
        "permission": kind.permission,
        "limits": dump_limits(kind.limits),
    }
    same = (task_type.c.name == kind.name, task_type.c.version == kind.version)
    # Another worker may bring the same at the same moment.
    await insert_new(tx, task_type, values | {"update_time": datetime.now(UTC)})
    stored = (await tx.execute(select(task_type).where(*same))).one()
    # What is not part of the contract with callers follows the newest worker.
    loose = {key: values[key] for key in ("description", "queue", "priority", "limits", "pack")}
    await tx.execute(update(task_type).where(*same).values(**loose, update_time=database_now()))
    return _type(stored)


async def insert_worker(tx: AsyncConnection, values: dict[str, Any], lease: timedelta) -> None:
    """Store a worker that has started."""
    row = values | {"state": WorkerState.ACTIVE.value}
    times: dict[str, Any] = {
        "heartbeat_time": database_now(),
        "start_time": database_now(),
        "lease_expire": now_plus(lease),
    }
    await tx.execute(insert(worker).values(**row, **times))


async def renew(tx: AsyncConnection, worker_id: UUID, lease: timedelta) -> bool:
    """Renew a worker's lease; False where it was lost."""
    holds = worker.c.state.in_([WorkerState.ACTIVE.value, WorkerState.DRAINING.value])
    result = await tx.execute(
        update(worker)
        .where(worker.c.id == worker_id, holds)
        .values(lease_expire=now_plus(lease), heartbeat_time=database_now())
    )
    return result.rowcount == 1


async def set_state(tx: AsyncConnection, worker_id: UUID, state: WorkerState) -> None:
    """Set a worker's state, unless it was lost."""
    await tx.execute(
        update(worker)
        .where(worker.c.id == worker_id, worker.c.state != WorkerState.LOST.value)
        .values(state=state.value)
    )


async def lose_silent(tx: AsyncConnection) -> int:
    """Set the workers whose lease has run out to LOST; how many."""
    holds = worker.c.state.in_([WorkerState.ACTIVE.value, WorkerState.DRAINING.value])
    result = await tx.execute(
        update(worker)
        .where(holds, worker.c.lease_expire < database_now())
        .values(state=WorkerState.LOST.value)
    )
    return result.rowcount


async def get_worker(tx: AsyncConnection, worker_id: UUID) -> Worker | None:
    """One worker."""
    row = (await tx.execute(select(worker).where(worker.c.id == worker_id))).first()
    return _worker(row) if row else None


async def active_workers(tx: AsyncConnection) -> list[Worker]:
    """Workers whose lease is good."""
    return [_worker(row) for row in await _ACTIVE.rows(tx)]


async def list_workers(
    tx: AsyncConnection, conditions: list[Any], after: UUID | None, limit: int
) -> list[Worker]:
    """Workers that live or were lost lately, the newest first."""
    query = (
        select(worker)
        .where(worker.c.state != WorkerState.STOPPED.value, *conditions)
        .order_by(worker.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(worker.c.id < after)
    return [_worker(row) for row in await tx.execute(query)]


async def order_drain(tx: AsyncConnection, worker_id: UUID, grace: timedelta | None) -> bool:
    """Tell a live worker to take no more; False where there is no such one."""
    drain_time: Any = None if grace is None else now_plus(grace)
    return await _order(tx, worker_id, WorkerState.DRAINING, drain_time)


async def order_work(tx: AsyncConnection, worker_id: UUID) -> bool:
    """Tell a live worker to take tasks again; False where there is no such one."""
    return await _order(tx, worker_id, WorkerState.ACTIVE, None)


async def _order(tx: AsyncConnection, worker_id: UUID, state: WorkerState, drain_time: Any) -> bool:
    lives = worker.c.state.in_([WorkerState.ACTIVE.value, WorkerState.DRAINING.value])
    result = await tx.execute(
        update(worker).where(worker.c.id == worker_id, lives).values(state=state.value, drain_time=drain_time)
    )
    return result.rowcount == 1


async def forget_workers(tx: AsyncConnection, older_than: timedelta) -> None:
    """Remove workers that ended long ago, once nothing is left to be taken over from them."""
    ended = worker.c.state.in_([WorkerState.LOST.value, WorkerState.STOPPED.value])
    holding = exists().where(task.c.worker_id == worker.c.id, task.c.state.in_([int(s) for s in HELD]))
    old = worker.c.lease_expire < now_plus(-older_than)
    await tx.execute(delete(worker).where(ended, old, ~holding))


async def beat_scheduler(tx: AsyncConnection, scheduler_id: UUID, host: str) -> None:
    """Note that a scheduler lives, and forget those that don't."""
    alive = update(scheduler).where(scheduler.c.id == scheduler_id).values(heartbeat_time=database_now())
    if (await tx.execute(alive)).rowcount == 0:
        await tx.execute(insert(scheduler).values(id=scheduler_id, host=host, heartbeat_time=database_now()))
    await tx.execute(delete(scheduler).where(scheduler.c.heartbeat_time < now_plus(timedelta(hours=-1))))


async def scheduler_lives(tx: AsyncConnection, within: timedelta, *, besides: UUID | None = None) -> bool:
    """True where any scheduler, or any other than one, gave a sign of life lately."""
    query = select(scheduler.c.id).where(scheduler.c.heartbeat_time >= now_plus(-within)).limit(1)
    if besides is not None:
        query = query.where(scheduler.c.id != besides)
    return (await tx.execute(query)).first() is not None

"""All SQL about tasks that wait: for a time, at a gate, for other tasks, to be stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, delete, func, insert, literal, not_, null, or_, select, update
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, micros, now_plus
from weir_core.ids import instant_of
from weir_core.principals import Principal, creator_of, creator_values
from weir_core.tasks.gates import queue_gate
from weir_core.tasks.models import Dependency, Task, gate, task, task_dependency, task_stop
from weir_core.tasks.states import HELD, TERMINAL, WAITING, TaskState

_ENDED = [int(state) for state in TERMINAL]
_WAITS = task.c.state.in_([int(state) for state in WAITING])


@dataclass(frozen=True, slots=True)
class Stop:
    """A cancel that was asked for and is not carried out yet."""

    task_id: UUID
    reason: str
    requester: Principal
    grace: timedelta | None


async def due(tx: AsyncConnection, limit: int) -> list[UUID]:
    """PENDING tasks whose time has come, the longest due first."""
    query = (
        select(task.c.id)
        .where(task.c.state == int(TaskState.PENDING), task.c.due_time <= database_now())
        .order_by(task.c.due_time)
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def due_among(tx: AsyncConnection, task_ids: list[UUID]) -> set[UUID]:
    """Those of some tasks whose time has come."""
    query = select(task.c.id).where(task.c.id.in_(task_ids), task.c.due_time <= database_now())
    return set((await tx.execute(query)).scalars())


async def release(tx: AsyncConnection, waiting: Task) -> None:
    """A task waits for nothing any more but its time."""
    later = waiting.start_after is not None and waiting.start_after > datetime.now(UTC)
    due: Any = micros(waiting.start_after) if later and waiting.start_after else database_now()
    await tx.execute(update(task).where(task.c.id == waiting.id).values(due_time=due))


async def parked(tx: AsyncConnection, name: str, limit: int) -> list[UUID]:
    """Tasks that wait at a gate, the most urgent and then the oldest first."""
    query = select(task.c.id).where(task.c.parked_on == name).order_by(task.c.turn, task.c.id).limit(limit)
    return list((await tx.execute(query)).scalars())


async def ahead(tx: AsyncConnection, waiting: Task) -> int:
    """How many queued tasks of the same queue come before one; counted to 10,000."""
    turn = waiting.priority.turn
    before = or_(task.c.turn < turn, and_(task.c.turn == turn, task.c.id < waiting.id))
    some = (
        select(task.c.id)
        .where(task.c.state == int(TaskState.QUEUED), task.c.queue == waiting.queue, before)
        .limit(10_000)
        .subquery()
    )
    return (await tx.execute(select(func.count()).select_from(some))).scalar_one()


async def queue_names(tx: AsyncConnection) -> set[str]:
    """Queues in which a task ever was, or that were given limits."""
    names = set((await tx.execute(select(task.c.queue).distinct())).scalars())
    prefix = queue_gate("")
    gates = await tx.execute(select(gate.c.name).where(gate.c.name.startswith(prefix, autoescape=True)))
    return names | {name.removeprefix(prefix) for name in gates.scalars()}


async def queue_counts(tx: AsyncConnection, queue: str) -> tuple[int, int, datetime | None]:
    """Tasks QUEUED and held in a queue, each counted to 100,000, and when the oldest QUEUED one was made."""
    counts: list[int] = []
    for states in ([TaskState.QUEUED], sorted(HELD)):
        some = (
            select(task.c.id)
            .where(task.c.queue == queue, task.c.state.in_([int(state) for state in states]))
            .limit(100_000)
            .subquery()
        )
        counts.append((await tx.execute(select(func.count()).select_from(some))).scalar_one())
    oldest = (
        select(func.min(task.c.id))
        .where(task.c.queue == queue, task.c.state == int(TaskState.QUEUED))
        .group_by(task.c.turn)
    )
    found = [first for first in (await tx.execute(oldest)).scalars() if first is not None]
    return counts[0], counts[1], instant_of(min(found)) if found else None


async def unhinted(tx: AsyncConnection, silence: timedelta, limit: int) -> Sequence[Any]:
    """QUEUED tasks whose queue was not told of them lately, but for those of paused queues."""
    stopped = select(gate.c.name).where(gate.c.paused)
    query = (
        select(task.c.id, task.c.attempt, task.c.queue, task.c.pack, task.c.turn)
        .where(
            task.c.state == int(TaskState.QUEUED),
            task.c.hint_time <= now_plus(-silence),
            (literal(queue_gate("")) + task.c.queue).not_in(stopped),
        )
        .order_by(task.c.hint_time)
        .limit(limit)
    )
    return (await tx.execute(query)).all()


async def note_hints(tx: AsyncConnection, task_ids: Sequence[UUID]) -> None:
    """Note that the queue was told of some tasks just now."""
    await tx.execute(update(task).where(task.c.id.in_(sorted(task_ids))).values(hint_time=database_now()))


async def overdue(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Tasks that wait beyond their deadline."""
    query = select(task.c.id).where(task.c.alarm_time <= database_now(), _WAITS).limit(limit)
    return list((await tx.execute(query)).scalars())


async def expired(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Ended tasks whose time to be kept is over."""
    query = (
        select(task.c.id)
        .where(task.c.alarm_time <= database_now(), task.c.state.in_(_ENDED))
        .order_by(task.c.alarm_time)
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def insert_dependencies(
    tx: AsyncConnection, task_id: UUID, wanted: list[Dependency], outcomes: dict[UUID, TaskState]
) -> None:
    """Note what a new task waits for; the needed tasks are held by the transaction."""
    rows = [
        {
            "task_id": task_id,
            "needs_id": each.task_id,
            "condition": int(each.condition),
            "outcome": int(outcomes[each.task_id]) if each.task_id in outcomes else None,
        }
        for each in wanted
    ]
    await tx.execute(insert(task_dependency), rows)
    needed = sorted(each.task_id for each in wanted)
    await tx.execute(update(task).where(task.c.id.in_(needed)).values(needed=True))


async def note_outcome(tx: AsyncConnection, needs_id: UUID, state: TaskState) -> None:
    """Tell those that depend on a task how it has ended."""
    await tx.execute(
        update(task_dependency).where(task_dependency.c.needs_id == needs_id).values(outcome=int(state))
    )


async def told(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Tasks of which something that they depend on has ended."""
    query = (
        select(task_dependency.c.task_id)
        .where(task_dependency.c.outcome.is_not(None))
        .group_by(task_dependency.c.task_id)
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def dependencies(tx: AsyncConnection, task_id: UUID) -> list[Row[Any]]:
    """What a task still waits for: `needs_id`, `condition`, `outcome`."""
    query = select(task_dependency).where(task_dependency.c.task_id == task_id)
    return list(await tx.execute(query))


async def drop_dependencies(tx: AsyncConnection, task_id: UUID, needs: list[UUID] | None = None) -> None:
    """A task waits no more for some others, or for none."""
    query = delete(task_dependency).where(task_dependency.c.task_id == task_id)
    await tx.execute(query if needs is None else query.where(task_dependency.c.needs_id.in_(needs)))


async def ask_to_stop(
    tx: AsyncConnection,
    conditions: Sequence[Any],
    reason: str,
    requester: Principal,
    grace: timedelta | None = None,
) -> None:
    """Note a cancel for all tasks that match and have not ended; one that stands already is kept."""
    seconds = None if grace is None else int(grace.total_seconds())
    values: dict[str, Any] = {"reason": reason, "grace": seconds, **creator_values(requester)}
    columns = [task_stop.c[name] for name in values]
    chosen = select(
        task.c.id,
        *(
            (null() if value is None else literal(value, column.type)).label(column.name)
            for column, value in zip(columns, values.values(), strict=True)
        ),
    ).where(task.c.state.not_in(_ENDED), task.c.is_delete.is_(False), *conditions)
    names = [task_stop.c.task_id, *columns]
    if tx.dialect.name == "sqlite":
        statement: Any = sqlite_insert(task_stop).from_select(names, chosen).on_conflict_do_nothing()
    else:
        statement = (
            mysql_insert(task_stop)
            .from_select(names, chosen)
            .on_duplicate_key_update({"task_id": task_stop.c.task_id})
        )
    await tx.execute(statement)


async def stops(tx: AsyncConnection, limit: int) -> list[Stop]:
    """Cancels that are not carried out yet."""
    rows = await tx.execute(select(task_stop).order_by(task_stop.c.task_id).limit(limit))
    return [
        Stop(
            row.task_id,
            row.reason,
            creator_of(row),
            None if row.grace is None else timedelta(seconds=row.grace),
        )
        for row in rows
    ]


async def drop_stop(tx: AsyncConnection, task_id: UUID) -> None:
    """A cancel was carried out."""
    await tx.execute(delete(task_stop).where(task_stop.c.task_id == task_id))


async def count(tx: AsyncConnection, conditions: Sequence[Any]) -> int:
    """How many tasks match and have not ended."""
    query = select(func.count()).select_from(task).where(not_(task.c.state.in_(_ENDED)), *conditions)
    return (await tx.execute(query)).scalar_one()

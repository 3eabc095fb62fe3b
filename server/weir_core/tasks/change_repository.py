"""All SQL about what has changed among all tasks, by the time of change."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Text, and_, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now
from weir_core.tasks.models import Task, task, task_horizon
from weir_core.tasks.repository import BASIC, task_of
from weir_core.tasks.states import TaskState


@dataclass(frozen=True, slots=True)
class Look:
    """What a watch of many tasks needs to know of one."""

    id: UUID
    project: str
    type: str
    queue: str
    parent_id: UUID | None
    schedule_id: UUID | None
    labels_text: str
    state: TaskState
    attempt: int
    change_time: int

    @property
    def labels(self) -> dict[str, str]:
        """The task's labels."""
        return orjson.loads(self.labels_text)


_COLUMNS = (
    task.c.id,
    task.c.project,
    task.c.type,
    task.c.queue,
    task.c.parent_id,
    task.c.schedule_id,
    type_coerce(task.c.labels, Text).label("labels_text"),
    task.c.state,
    task.c.attempt,
    task.c.change_time,
)


async def now(tx: AsyncConnection) -> int:
    """Now by the database's clock, in microseconds since 1970."""
    return (await tx.execute(select(database_now()))).scalar_one()


async def looks(tx: AsyncConnection, task_ids: list[UUID]) -> list[Look]:
    """Some tasks."""
    return [_look(row) for row in await tx.execute(select(*_COLUMNS).where(task.c.id.in_(task_ids)))]


async def changed(
    tx: AsyncConnection, since: int, after: UUID | None, until: int | None, limit: int
) -> list[Look]:
    """Tasks that changed from an instant on, by time of change; at that instant only those after an id."""
    query = select(*_COLUMNS).where(task.c.change_time >= since, task.c.is_delete.is_(False))
    if after is not None:
        query = query.where(
            or_(task.c.change_time > since, and_(task.c.change_time == since, task.c.id > after))
        )
    if until is not None:
        query = query.where(task.c.change_time <= until)
    rows = await tx.execute(query.order_by(task.c.change_time, task.c.id).limit(limit))
    return [_look(row) for row in rows]


async def basics(tx: AsyncConnection, task_ids: list[UUID]) -> list[Task]:
    """Some tasks without input and output, by id."""
    query = select(*BASIC).where(task.c.id.in_(task_ids), task.c.is_delete.is_(False)).order_by(task.c.id)
    return [task_of(row) for row in await tx.execute(query)]


async def in_state(
    tx: AsyncConnection, state: TaskState, conditions: list[Any], after: UUID | None, limit: int
) -> list[Task]:
    """Tasks in a state that match, oldest first, without input and output."""
    query = select(*BASIC).where(task.c.state == int(state), task.c.is_delete.is_(False), *conditions)
    if after is not None:
        query = query.where(task.c.id > after)
    return [task_of(row) for row in await tx.execute(query.order_by(task.c.id).limit(limit))]


async def removed_through(tx: AsyncConnection) -> int:
    """The newest change of a task that was removed; 0 where none was."""
    return (await tx.execute(select(task_horizon.c.removed_time))).scalar() or 0


def _look(row: Any) -> Look:
    return Look(
        id=row.id,
        project=row.project,
        type=row.type,
        queue=row.queue,
        parent_id=row.parent_id,
        schedule_id=row.schedule_id,
        labels_text=row.labels_text,
        state=TaskState(row.state),
        attempt=row.attempt,
        change_time=row.change_time,
    )

"""All SQL about the fires of schedules. Who writes one holds the row of its schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import insert_new
from weir_core.idempotency import RequestKey
from weir_core.schedules.models import Fire, FireResult, fire, trigger_request
from weir_core.tasks.encoding import load_failure
from weir_core.tasks.models import Failure, task
from weir_core.tasks.states import TERMINAL, TaskState

_TERMINAL = [int(state) for state in TERMINAL]
_ENDS: Final = 500


@dataclass(frozen=True, slots=True)
class End:
    """A fire whose task has ended, and how."""

    fire_id: UUID
    task_id: UUID
    state: TaskState
    failure: Failure | None


async def insert_fire(tx: AsyncConnection, schedule_id: UUID, made: Fire) -> bool:
    """Note a fire; False where its fire time has made a task already."""
    fired = made.result is FireResult.FIRED
    values: dict[str, Any] = {
        "id": made.id,
        "schedule_id": schedule_id,
        "fire_time": made.fire_time,
        "fired_time": made.fire_time if fired else None,
        "action_time": made.action_time,
        "result": int(made.result),
        "task_id": made.task_id,
        "message": made.message,
        "times": made.count,
        "open": fired,
    }
    return await insert_new(tx, fire, values)


async def newest(tx: AsyncConnection, schedule_id: UUID, limit: int) -> list[Fire]:
    """The fires that were acted on last, newest first."""
    query = select(fire).where(fire.c.schedule_id == schedule_id).order_by(fire.c.id.desc()).limit(limit)
    return [_fire(row) for row in await tx.execute(query)]


async def extend(tx: AsyncConnection, found: Fire, count: int, action_time: datetime) -> None:
    """Let a fire stand for more fire times than before."""
    statement = update(fire).where(fire.c.id == found.id)
    await tx.execute(statement.values(times=found.count + count, action_time=action_time))


async def fired_at(tx: AsyncConnection, schedule_id: UUID, times: Sequence[datetime]) -> dict[datetime, Fire]:
    """The fires that made a task for some fire times."""
    query = select(fire).where(fire.c.schedule_id == schedule_id, fire.c.fired_time.in_(times))
    return {row.fired_time: _fire(row) for row in await tx.execute(query)}


async def last_fired(tx: AsyncConnection, schedule_id: UUID, before: datetime) -> datetime | None:
    """The newest fire time before an instant that made a task."""
    query = select(func.max(fire.c.fired_time)).where(
        fire.c.schedule_id == schedule_id, fire.c.fired_time < before
    )
    return (await tx.execute(query)).scalar()


async def going(tx: AsyncConnection, schedule_id: UUID) -> UUID | None:
    """A task of an earlier fire that has not ended."""
    query = (
        select(task.c.id)
        .join(fire, fire.c.task_id == task.c.id)
        .where(fire.c.open, fire.c.schedule_id == schedule_id, task.c.state.not_in(_TERMINAL))
        .limit(1)
    )
    return (await tx.execute(query)).scalar()


async def ends(tx: AsyncConnection, schedule_id: UUID) -> list[End]:
    """Fires whose tasks have ended without being accounted for, in the order of those ends."""
    query = (
        select(fire.c.id, fire.c.task_id, task.c.state, task.c.failure)
        .join(task, task.c.id == fire.c.task_id)
        .where(fire.c.open, fire.c.schedule_id == schedule_id, task.c.state.in_(_TERMINAL))
        .order_by(task.c.end_time, fire.c.id)
        .limit(_ENDS)
    )
    return [
        End(row.id, row.task_id, TaskState(row.state), load_failure(row.failure))
        for row in await tx.execute(query)
    ]


async def close_all(tx: AsyncConnection, schedule_id: UUID) -> None:
    """Leave the ends of tasks out of account that have come by now."""
    ended = select(task.c.id).where(task.c.id == fire.c.task_id, task.c.state.in_(_TERMINAL)).exists()
    statement = update(fire).where(fire.c.open, fire.c.schedule_id == schedule_id, ended)
    await tx.execute(statement.values(open=False))


async def remove_old(tx: AsyncConnection, kept: timedelta, limit: int) -> int:
    """Remove fires that were acted on so long ago and whose tasks have ended; how many."""
    # Ids sort by the time at which they were made.
    oldest = UUID(int=int((datetime.now(UTC) - kept).timestamp() * 1000) << 80)
    query = select(fire.c.id).where(fire.c.id < oldest, fire.c.open.is_(False)).order_by(fire.c.id)
    found = list((await tx.execute(query.limit(limit))).scalars())
    if found:
        await tx.execute(delete(fire).where(fire.c.id.in_(found)))
    return len(found)


async def close(tx: AsyncConnection, fire_ids: list[UUID]) -> None:
    """Note that the ends of some fires' tasks are accounted for."""
    await tx.execute(update(fire).where(fire.c.id.in_(fire_ids)).values(open=False))


async def note_request(tx: AsyncConnection, key: RequestKey | None, fire_id: UUID | None) -> None:
    """Keep what a request was answered with; RequestIdReused where it had other content before."""
    if key is not None:
        await insert_new(tx, trigger_request, {"key": key.key, "content": key.content, "fire_id": fire_id})
        await of_request(tx, key)


async def of_request(tx: AsyncConnection, key: RequestKey | None) -> Fire | None:
    """The fire that a request was answered with; RequestIdReused where its content was another."""
    if key is None:
        return None
    query = select(trigger_request).where(trigger_request.c.key == key.key)
    row = (await tx.execute(query)).first()
    if row is None:
        return None
    key.check(row.content)
    found = (await tx.execute(select(fire).where(fire.c.id == row.fire_id))).first()
    return _fire(found) if found else None


def _fire(row: Row[Any]) -> Fire:
    return Fire(
        id=row.id,
        fire_time=row.fire_time,
        action_time=row.action_time,
        result=FireResult(row.result),
        task_id=row.task_id,
        message=row.message,
        count=row.times,
    )

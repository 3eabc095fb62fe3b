"""All SQL about schedules."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections.repository import by_name
from weir_core.columns import EPOCH, database_now, insert_new
from weir_core.idempotency import RequestKey, request_values
from weir_core.principals import Principal, creator_of, creator_values
from weir_core.schedules.encoding import dump_template, dump_timing, load_template, load_timing
from weir_core.schedules.models import (
    MissedPolicy,
    NewSchedule,
    OverlapPolicy,
    Schedule,
    fire,
    schedule,
)
from weir_core.tasks.models import task
from weir_core.tasks.states import TERMINAL, TaskState

_TERMINAL = [int(state) for state in TERMINAL]


async def insert_schedule(
    tx: AsyncConnection, made: Schedule, start: dict[str, Any], key: RequestKey | None
) -> bool:
    """Store a schedule, with its first fire; False where its name or the request id is taken."""
    values: dict[str, Any] = {
        "id": made.id,
        "project": made.wanted.project,
        "failures": 0,
        "revision": made.revision,
        "create_time": made.create_time,
        "update_time": made.update_time,
        "is_delete": False,
        "live": True,
    }
    values |= start | _wanted_values(made.wanted) | creator_values(made.creator) | request_values(key)
    return await insert_new(tx, schedule, values | creator_values(made.run_as, "run_as"))


async def get(tx: AsyncConnection, schedule_id: UUID) -> Schedule | None:
    """A schedule, without its fires."""
    row = (await tx.execute(select(schedule).where(schedule.c.id == schedule_id, schedule.c.live))).first()
    return _schedule(row) if row else None


async def project_of(tx: AsyncConnection, schedule_id: UUID) -> str | None:
    """The project of a schedule, a deleted one included."""
    return (await tx.execute(select(schedule.c.project).where(schedule.c.id == schedule_id))).scalar()


async def of_request(tx: AsyncConnection, key: RequestKey) -> Schedule | None:
    """The schedule that a request made before; RequestIdReused where its content was another."""
    row = (await tx.execute(select(schedule).where(schedule.c.request_key == key.key))).first()
    if row is None:
        return None
    key.check(row.request_content)
    return _schedule(row)


async def list_schedules(
    tx: AsyncConnection,
    projects: list[str] | None,
    conditions: Iterable[ColumnElement[bool]],
    after: tuple[str, UUID] | None,
    limit: int,
) -> list[Schedule]:
    """Schedules by name."""
    query = by_name(select(schedule).where(schedule.c.live, *conditions), schedule, projects, after)
    return [_schedule(row) for row in await tx.execute(query.limit(limit))]


async def name_taken(tx: AsyncConnection, found: Schedule, name: str) -> bool:
    """True where another schedule of the project has the name."""
    query = select(schedule.c.id).where(
        schedule.c.project == found.wanted.project, schedule.c.name == name, schedule.c.live
    )
    return (await tx.execute(query)).scalar() not in {None, found.id}


async def lock(
    tx: AsyncConnection, schedule_id: UUID, *, patient: bool = True
) -> tuple[Schedule, datetime] | None:
    """A schedule as it is now, kept so until the transaction ends, and the database's time.

    None where it is gone; without `patient` also where another transaction holds it.
    """
    query = (
        select(schedule, database_now().label("now"))
        .where(schedule.c.id == schedule_id, schedule.c.live)
        .with_for_update(skip_locked=not patient)
    )
    row = (await tx.execute(query)).first()
    return (_schedule(row), EPOCH + timedelta(microseconds=row.now)) if row else None


async def save(
    tx: AsyncConnection, found: Schedule, wanted: NewSchedule, run_as: Principal, values: dict[str, Any]
) -> bool:
    """Store a schedule that a caller changed; False where it was changed or fired meanwhile."""
    changed = _wanted_values(wanted) | creator_values(run_as, "run_as") | values
    return await change(
        tx, found, changed | {"revision": found.revision + 1, "update_time": datetime.now(UTC)}
    )


async def change(tx: AsyncConnection, found: Schedule, values: dict[str, Any]) -> bool:
    """Compare and set: False where the schedule is not as it was found."""
    statement = update(schedule).where(
        schedule.c.id == found.id,
        schedule.c.live,
        schedule.c.revision == found.revision,
        schedule.c.paused == found.wanted.paused,
        schedule.c.next_fire.is_not_distinct_from(found.next_fire),
    )
    return (await tx.execute(statement.values(**values))).rowcount == 1


async def now(tx: AsyncConnection) -> datetime:
    """The database's time."""
    return EPOCH + timedelta(microseconds=(await tx.execute(select(database_now()))).scalar_one())


async def due(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Schedules with a fire to be acted on, the longest waiting first."""
    query = select(schedule.c.id).where(schedule.c.due_time <= database_now())
    return list((await tx.execute(query.order_by(schedule.c.due_time).limit(limit))).scalars())


async def released(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Schedules that hold a fire back for a task that has ended."""
    query = (
        select(schedule.c.id)
        .outerjoin(task, task.c.id == schedule.c.held_by)
        .where(schedule.c.held_by.is_not(None), or_(task.c.id.is_(None), task.c.state.in_(_TERMINAL)))
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def unsettled(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Schedules to which the end of a task matters before their next fire."""
    query = (
        select(fire.c.schedule_id)
        .join(task, task.c.id == fire.c.task_id)
        .join(schedule, schedule.c.id == fire.c.schedule_id)
        .where(fire.c.open, task.c.state.in_(_TERMINAL), schedule.c.live, schedule.c.paused.is_(False))
        .where(or_(schedule.c.pause_after_failures > 0, schedule.c.due_time.is_(None)))
        .distinct()
        .limit(limit)
    )
    return list((await tx.execute(query)).scalars())


async def to_cancel(tx: AsyncConnection, limit: int) -> list[tuple[UUID, str]]:
    """Tasks that a held fire waits for and that its policy stops, each with its schedule's name."""
    going = task.c.state.not_in([*_TERMINAL, int(TaskState.CANCELLING)])
    query = (
        select(task.c.id, schedule.c.name)
        .join(schedule, and_(schedule.c.held_by == task.c.id, task.c.schedule_id == schedule.c.id))
        .where(schedule.c.held_by.is_not(None), going)
        .where(schedule.c.overlap == int(OverlapPolicy.CANCEL_RUNNING))
        .limit(limit)
    )
    return [(row.id, row.name) for row in await tx.execute(query)]


async def until_next(tx: AsyncConnection) -> timedelta | None:
    """How long until the next fire is to be acted on; None: there is none."""
    wait = (await tx.execute(select(func.min(schedule.c.due_time) - database_now()))).scalar()
    return None if wait is None else timedelta(microseconds=int(wait))


def _wanted_values(wanted: NewSchedule) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "description": wanted.description,
        "timing": dump_timing(wanted.timing),
        "spec": wanted.spec,
        "template": dump_template(wanted.template),
        "missed": int(wanted.missed),
        "max_catch_up": wanted.max_catch_up,
        "overlap": int(wanted.overlap),
        "pause_after_failures": wanted.pause_after_failures,
        "paused": wanted.paused,
        "pause_reason": wanted.pause_reason,
        "labels": wanted.labels,
    }


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        id=row.id,
        wanted=_wanted(row),
        next_fire=row.next_fire,
        held_fire=row.held_fire,
        held_by=row.held_by,
        failures=row.failures,
        revision=row.revision,
        creator=creator_of(row),
        run_as=creator_of(row, "run_as"),
        create_time=row.create_time,
        update_time=row.update_time,
    )


def _wanted(row: Row[Any]) -> NewSchedule:
    return NewSchedule(
        project=row.project,
        name=row.name,
        description=row.description,
        timing=load_timing(row.timing),
        spec=row.spec,
        template=load_template(row.template),
        missed=MissedPolicy(row.missed),
        max_catch_up=row.max_catch_up,
        overlap=OverlapPolicy(row.overlap),
        pause_after_failures=row.pause_after_failures,
        paused=bool(row.paused),
        pause_reason=row.pause_reason,
        labels=row.labels,
    )

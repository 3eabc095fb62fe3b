"""Schedules, as callers use them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections.connections import demand, name_key
from weir_core.collections.runs import RUN_TASK
from weir_core.db import Database
from weir_core.errors import Conflict, EtagMismatch, InvalidArgument, NameTaken, NotFound, Violation
from weir_core.filtering import Filterable, bool_value, id_value, parse, time_value, to_sql
from weir_core.fleet.models import TaskType
from weir_core.idempotency import RequestKey, request_key
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.schedules import fire_repository as fires
from weir_core.schedules import repository
from weir_core.schedules.encoding import dump_template
from weir_core.schedules.models import NewSchedule, OverlapPolicy, Schedule, schedule
from weir_core.schedules.preview import preview
from weir_core.schedules.starting import Starter
from weir_core.schedules.times import Timing, fire_times, next_fire
from weir_core.schedules.turn import stopped, upcoming
from weir_core.schedules.validation import check_fires, check_instant, check_timing

FILTERS: Final = {
    "project": Filterable(schedule.c.project),
    "name": Filterable(schedule.c.name),
    "paused": Filterable(schedule.c.paused, bool_value),
    "creator.id": Filterable(schedule.c.creator_id, id_value),
    "run_as.id": Filterable(schedule.c.run_as_id, id_value),
    "create_time": Filterable(schedule.c.create_time, time_value, ("<", "<=", ">", ">=")),
}

_WRITE: Final = "schedules.write"
_READ: Final = "schedules.read"
_NEXT_FIRES: Final = 5
_RECENT_FIRES: Final = 20
_TRIES: Final = 4

Change = Callable[[Schedule], Awaitable[tuple[NewSchedule, TaskType]]]


class ScheduleService:
    """Create, read, change and delete schedules."""

    def __init__(self, db: Database, starter: Starter) -> None:
        self._db = db
        self._starter = starter

    async def create(
        self, caller: Caller, new: NewSchedule, kind: TaskType, content: Any, request_id: str = ""
    ) -> Schedule:
        """Store a schedule; it fires from now on, in the caller's name."""
        key = request_key(caller.principal, "CreateSchedule", request_id, content)
        demand(caller, _WRITE, new.project)
        if made := await self._of_request(key):
            return made
        now = await self._now()
        made = _first(caller, new, now)
        await self._check(caller, made, kind, now)
        start = stopped() if new.paused else upcoming(made, now)

        if not await self._db.write(lambda tx: repository.insert_schedule(tx, made, start, key)):
            if other := await self._of_request(key):
                return other
            raise NameTaken("schedule", new.name)
        return await self._stored(made)

    async def get(self, caller: Caller, schedule_id: UUID) -> Schedule:
        """A schedule with its next and newest fires; NotFound where the caller may not see it."""
        async with self._db.read() as tx:
            found = await repository.get(tx, schedule_id)
            if found is None or not caller.holds(_READ, found.wanted.project):
                raise NotFound("schedule", schedule_id)
            recent = await fires.newest(tx, schedule_id, _RECENT_FIRES)
        return replace(_with_next(found), recent_fires=recent)

    async def list_schedules(self, caller: Caller, page: Page, filter_text: str) -> list[Schedule]:
        """Schedules by name; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), FILTERS)
        projects = caller.projects(_READ)
        async with self._db.read() as tx:
            found = await repository.list_schedules(tx, projects, conditions, name_key(page), page.size + 1)
        return [_with_next(each) for each in found]

    async def update(self, caller: Caller, schedule_id: UUID, etag: str, change: Change) -> Schedule:
        """Change a schedule by a function of what it is; it fires in the caller's name from then on."""
        for _ in range(_TRIES):
            found, now = await self._to_change(caller, schedule_id, etag)
            new, kind = await change(found)
            changed = replace(found, wanted=new if new.paused else replace(new, pause_reason=""))
            await self._check(caller, changed, kind, now, before=found)
            if await self._save(caller, found, changed, now):
                return await self._stored(changed)
        raise Conflict("the schedule is changed by others all the time; call again")

    async def delete(self, caller: Caller, schedule_id: UUID, etag: str = "") -> None:
        """End a schedule; what was deleted before stays so."""

        async def work(tx: AsyncConnection) -> None:
            locked = await repository.lock(tx, schedule_id)
            project = await repository.project_of(tx, schedule_id)
            if project is None or not caller.holds(_WRITE, project):
                raise NotFound("schedule", schedule_id)
            if locked is None:
                return
            _match(locked[0], etag)
            await repository.change(tx, locked[0], stopped() | {"is_delete": True, "live": None})

        await self._db.write(work)

    async def preview(
        self, timing: Timing, start: datetime | None, count: int
    ) -> tuple[list[datetime], list[str]]:
        """When a timing would fire, and what may surprise about it."""
        check_timing(timing, "timing")
        check_instant("start_time", start)
        return preview(timing, start or await self._now(), count)

    async def _stored(self, saved: Schedule) -> Schedule:
        async with self._db.read() as tx:
            found = await repository.get(tx, saved.id)
        return _with_next(found or saved)

    async def _now(self) -> datetime:
        async with self._db.read() as tx:
            return await repository.now(tx)

    async def _of_request(self, key: RequestKey | None) -> Schedule | None:
        if key is None:
            return None
        async with self._db.read() as tx:
            found = await repository.of_request(tx, key)
        return found and _with_next(found)

    async def _to_change(self, caller: Caller, schedule_id: UUID, etag: str) -> tuple[Schedule, datetime]:
        async with self._db.read() as tx:
            found = await repository.get(tx, schedule_id)
            if found is None or not caller.holds(_WRITE, found.wanted.project):
                raise NotFound("schedule", schedule_id)
            _match(found, etag)
            return found, await repository.now(tx)

    async def _check(
        self,
        caller: Caller,
        changed: Schedule,
        kind: TaskType,
        now: datetime,
        *,
        before: Schedule | None = None,
    ) -> None:
        """Refuse what the caller may not have done in its name, and what can't work."""
        new = changed.wanted
        if new.template.type == RUN_TASK and new.overlap is OverlapPolicy.ALLOW:
            raise InvalidArgument.at(
                "schedule.overlap",
                "a collection has one run at a time; choose SKIP, QUEUE_ONE or CANCEL_RUNNING",
            )
        if new.template.type == RUN_TASK and new.template.concurrency is not None:
            raise InvalidArgument.at(
                "schedule.task.concurrency", "a collection has one run at a time by itself; leave it unset"
            )
        check_timing(new.timing, "schedule.timing")
        if before is None or new.timing != before.wanted.timing:
            check_fires(new.timing, now, changed.create_time, "schedule.timing")
        demand(caller, "tasks.submit", new.project)
        if kind.permission:
            demand(caller, kind.permission, new.project)
        same = before is not None and dump_template(new.template) == dump_template(before.wanted.template)
        if same and new.paused:
            # What does not work any more must not be in the way of its pause.
            return
        sample = next_fire(new.timing, now, changed.create_time) or now
        try:
            await self._starter.check(caller, new.template, kind, sample)
        except InvalidArgument as error:
            raise _in_schedule(error) from None

    async def _save(self, caller: Caller, found: Schedule, changed: Schedule, now: datetime) -> bool:
        async def work(tx: AsyncConnection) -> bool:
            locked = await repository.lock(tx, found.id)
            if locked is None or locked[0].revision != found.revision:
                return False
            if await repository.name_taken(tx, found, changed.wanted.name):
                raise NameTaken("schedule", changed.wanted.name)
            values = await _moved(tx, locked[0], changed, now)
            return await repository.save(tx, locked[0], changed.wanted, caller.principal, values)

        try:
            return await self._db.write(work)
        except IntegrityError:
            raise NameTaken("schedule", changed.wanted.name) from None


async def _moved(tx: AsyncConnection, found: Schedule, changed: Schedule, now: datetime) -> dict[str, Any]:
    """What a change does to the next fire: a pause drops it, a new timing or the pause's end sets it anew."""
    if changed.wanted.paused:
        return stopped()
    resumed = found.wanted.paused
    if resumed:
        # What failed before or during the pause is no reason for another one.
        await fires.close_all(tx, found.id)
    if resumed or changed.wanted.timing != found.wanted.timing:
        return upcoming(changed, now) | ({"failures": 0} if resumed else {})
    return {}


def _match(found: Schedule, etag: str) -> None:
    if etag and etag != found.etag:
        raise EtagMismatch("schedule", found.id)


def _first(caller: Caller, new: NewSchedule, now: datetime) -> Schedule:
    return Schedule(
        id=new_id(),
        wanted=new if new.paused else replace(new, pause_reason=""),
        next_fire=None,
        held_fire=None,
        held_by=None,
        failures=0,
        revision=1,
        creator=caller.principal,
        run_as=caller.principal,
        create_time=now,
        update_time=now,
    )


def _with_next(found: Schedule) -> Schedule:
    if found.next_fire is None:
        return found
    following = fire_times(found.wanted.timing, found.next_fire, found.create_time)
    return replace(found, next_fires=[found.next_fire, *islice(following, _NEXT_FIRES - 1)])


def _in_schedule(error: InvalidArgument) -> InvalidArgument:
    """The same error, of a task that stands in a schedule."""
    moved = [
        Violation(each.field.replace("spec.", "schedule.task.", 1), each.description)
        for each in error.violations
    ]
    return type(error)(*moved, **error.metadata)

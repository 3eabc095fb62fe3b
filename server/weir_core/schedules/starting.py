"""A fire's task: in whose name it is made, of what, and what stands in its way.

All of it is read in the transaction that makes the task, so that it is true when that commits.

A `collection.run` goes the way of RunCollection: with a run of its own, and one
at a time for a collection, whoever started it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections.repository import lock_collection
from weir_core.collections.runs import RUN_TASK, insert_new_run, live_run
from weir_core.db import Database
from weir_core.errors import (
    Conflict,
    DeadlineReached,
    DependencyDown,
    Draining,
    NotFound,
    PermissionMissing,
    StateConflict,
    WeirError,
)
from weir_core.fleet.models import TaskType
from weir_core.fleet.repository import newest_type
from weir_core.ids import new_id, parse_id
from weir_core.principals import Caller
from weir_core.schedules import fire_repository as fires
from weir_core.schedules.models import Fire, FireResult, Schedule
from weir_core.tasks.service import Request, TaskService
from weir_core.tasks.submitting import NewTask, Stored, store_one
from weir_core.users.acting import acting_as

_FIRE_TIME: Final = "{fire_time}"
_LAST_FIRE_TIME: Final = "{last_fire_time}"
_LONGEST_MESSAGE: Final = 500
# These pass: the fire is tried again.
_PASSING: Final = (DependencyDown, Conflict, Draining, DeadlineReached)


@dataclass(frozen=True, slots=True)
class Ready:
    """What the fires of a schedule are made with."""

    schedule: Schedule
    caller: Caller
    kind: TaskType


class Starter:
    """Makes the tasks of fires."""

    def __init__(self, db: Database, tasks: TaskService) -> None:
        self._db = db
        self._tasks = tasks

    async def ready(self, tx: AsyncConnection, found: Schedule) -> Ready | str:
        """What the schedule's fires need, or why none can be made."""
        caller = await acting_as(tx, found.run_as)
        if caller is None:
            return f"the user {found.run_as.name!r}, in whose name it fires, was disabled or deleted"
        kind = await newest_type(tx, found.wanted.template.type)
        return Ready(found, caller, kind) if kind else f"there is no task type {found.wanted.template.type!r}"

    async def check(self, caller: Caller, new: NewTask, kind: TaskType, fire: datetime) -> None:
        """Refuse what the caller could not submit itself, by what a fire at that time would be."""
        filled = _filled(new, fire, fire)
        await self._tasks.prepare(caller, Request(filled, kind))
        if new.type == RUN_TASK:
            async with self._db.read() as tx:
                await _collection(tx, caller, filled)

    async def blocker(self, tx: AsyncConnection, ready: Ready | str, schedule: Schedule) -> UUID | None:
        """A task that has not ended, of an earlier fire or a run of the same collection."""
        if (going := await fires.going(tx, schedule.id)) is not None:
            return going
        if isinstance(ready, str) or schedule.wanted.template.type != RUN_TASK:
            return None
        try:
            row = await _collection(tx, ready.caller, schedule.wanted.template)
        except WeirError:
            # The fire itself will tell.
            return None
        run = await live_run(tx, row)
        return run and run.id

    async def shoot(
        self, tx: AsyncConnection, ready: Ready | str, schedule_id: UUID, time: datetime, now: datetime
    ) -> tuple[Fire, Stored | None]:
        """Make the task of a fire time that has none, or note why it can't be made."""
        noted = Fire(new_id(), time, now, FireResult.REFUSED)
        made = None
        try:
            if isinstance(ready, str):
                raise StateConflict(ready)
            made = await self._start(tx, ready, time)
            noted = _noted(noted, made)
        except _PASSING:
            raise
        except WeirError as error:
            noted = replace(noted, message=error.message[:_LONGEST_MESSAGE])
        if not await fires.insert_fire(tx, schedule_id, noted):
            raise Conflict("another scheduler made the task of this fire time")
        return noted, made

    async def _start(self, tx: AsyncConnection, ready: Ready, time: datetime) -> Stored:
        schedule, caller = ready.schedule, ready.caller
        asked = _LAST_FIRE_TIME in str(schedule.wanted.template.input)
        last = await fires.last_fired(tx, schedule.id, time) if asked else None
        new = replace(_filled(schedule.wanted.template, time, last), schedule_id=schedule.id, fire_time=time)
        made = await self._tasks.prepare(caller, Request(new, ready.kind))
        return await (
            _start_run(tx, caller, new, ready.kind) if new.type == RUN_TASK else store_one(tx, made)
        )


def _noted(fire: Fire, made: Stored) -> Fire:
    if made.created:
        return replace(fire, result=FireResult.FIRED, task_id=made.task.id)
    text = f"task {made.task.id} holds the concurrency key, and the policy is to join it"
    return replace(fire, result=FireResult.OVERLAP, message=text)


async def _start_run(tx: AsyncConnection, caller: Caller, new: NewTask, kind: TaskType) -> Stored:
    row = await _collection(tx, caller, new)
    if (run := await live_run(tx, row)) is not None:
        raise StateConflict(f"run {run.id} of the collection goes on; there is one at a time")
    full = bool(new.input.get("full"))
    wanted = {"collection_id": str(row.id), "full": full}
    return await insert_new_run(tx, caller, row, replace(new, input=wanted), kind, anew=full)


async def _collection(tx: AsyncConnection, caller: Caller, new: NewTask) -> Row[Any]:
    """The collection that a task's input names, held until the transaction ends."""
    field = "spec.input.collection_id"
    collection_id = parse_id(field, str(new.input.get("collection_id", "")))
    row = await lock_collection(tx, collection_id)
    if row is None or row.project != new.project:
        raise NotFound("collection", collection_id)
    if not caller.holds("collections.run", row.project):
        raise PermissionMissing("collections.run", row.project)
    return row


def _filled(new: NewTask, time: datetime, last: datetime | None) -> NewTask:
    """What to submit, with the times put into the strings of its input."""
    texts = {_FIRE_TIME: _text(time), _LAST_FIRE_TIME: _text(last)}
    return replace(new, input=_fill(new.input, texts))


def _text(time: datetime | None) -> str:
    return "" if time is None else time.isoformat().replace("+00:00", "Z")


def _fill(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, str):
        for mark, text in texts.items():
            value = value.replace(mark, text)
        return value
    if isinstance(value, dict):
        return {key: _fill(each, texts) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_fill(each, texts) for each in cast("list[Any]", value)]
    return value

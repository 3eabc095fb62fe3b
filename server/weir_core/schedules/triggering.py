"""Fires on request: now, or for the fire times of a past span."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import MICROSECOND
from weir_core.db import Database
from weir_core.errors import InvalidArgument, NotFound
from weir_core.idempotency import RequestKey, request_key
from weir_core.principals import Caller
from weir_core.schedules import fire_repository as fires
from weir_core.schedules import repository
from weir_core.schedules.models import Fire, Schedule
from weir_core.schedules.starting import Ready, Starter
from weir_core.schedules.times import fire_times
from weir_core.schedules.validation import check_instant
from weir_core.tasks.service import TaskService
from weir_core.tasks.submitting import Stored

_WRITE: Final = "schedules.write"
_MOST: Final = 1000
# Fires of one transaction.
_PORTION: Final = 50


@dataclass(frozen=True, slots=True)
class Span:
    """From the first instant to before the last one."""

    start: datetime
    end: datetime


class Trigger:
    """Lets schedules fire, whatever their overlap policies say."""

    def __init__(self, db: Database, tasks: TaskService, starter: Starter) -> None:
        self._db = db
        self._tasks = tasks
        self._starter = starter

    async def trigger(
        self, caller: Caller, schedule_id: UUID, span: Span | None, request_id: str = ""
    ) -> list[Fire]:
        """What came of each fire time, oldest first; one that made a task before makes no other."""
        content = [str(schedule_id), span and [span.start.isoformat(), span.end.isoformat()]]
        key = request_key(caller.principal, "TriggerSchedule", request_id, content)
        async with self._db.read() as tx:
            found, now = await repository.get(tx, schedule_id), await repository.now(tx)
        if found is None or not caller.holds(_WRITE, found.wanted.project):
            raise NotFound("schedule", schedule_id)
        if span is None:
            return [await self._now(found.id, key)]
        times = _times(found, span, now)
        portions = [times[at : at + _PORTION] for at in range(0, len(times), _PORTION)] or [[]]
        return [fire for portion in portions for fire in await self._all(found.id, portion, key)]

    async def _now(self, schedule_id: UUID, key: RequestKey | None) -> Fire:
        async def work(tx: AsyncConnection) -> tuple[Fire, Stored | None]:
            ready, now = await self._lock(tx, schedule_id)
            if before := await fires.of_request(tx, key):
                return before, None
            while await fires.fired_at(tx, schedule_id, [now]):
                now += MICROSECOND
            fire, made = await self._starter.shoot(tx, ready, schedule_id, now, now)
            await fires.note_request(tx, key, fire.id)
            return fire, made

        fire, made = await self._db.write(work)
        if made is not None:
            await self._tasks.started(made)
        return fire

    async def _all(self, schedule_id: UUID, times: Sequence[datetime], key: RequestKey | None) -> list[Fire]:
        async def work(tx: AsyncConnection) -> list[tuple[Fire, Stored | None]]:
            ready, now = await self._lock(tx, schedule_id)
            await fires.of_request(tx, key)
            await fires.note_request(tx, key, None)
            there = await fires.fired_at(tx, schedule_id, times)
            return [
                (there[time], None)
                if time in there
                else await self._starter.shoot(tx, ready, schedule_id, time, now)
                for time in times
            ]

        results = await self._db.write(work)
        await self._tasks.started(*(made for _, made in results if made is not None))
        return [fire for fire, _ in results]

    async def _lock(self, tx: AsyncConnection, schedule_id: UUID) -> tuple[Ready | str, datetime]:
        locked = await repository.lock(tx, schedule_id)
        if locked is None:
            raise NotFound("schedule", schedule_id)
        schedule, now = locked
        return await self._starter.ready(tx, schedule), now


def _times(found: Schedule, span: Span, now: datetime) -> list[datetime]:
    check_instant("range.start_time", span.start)
    if span.end > now:
        raise InvalidArgument.at("range.end_time", f"must not be in the future; now it is {now.isoformat()}")
    following = fire_times(found.wanted.timing, span.start - MICROSECOND, found.create_time)
    times = list(islice(takewhile(lambda time: time < span.end, following), _MOST + 1))
    if len(times) > _MOST:
        raise InvalidArgument.at("range", f"holds more than {_MOST:,} fire times; take a shorter one")
    return times

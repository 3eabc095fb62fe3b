"""One look at one schedule, in one transaction that holds its row.

First the ends of earlier tasks are accounted for, which may pause it; then a
fire that was held back is let go; then the fire times that have come are fired
or dropped, as the policies say. The row is written by a compare-and-set.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice, pairwise
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import MICROSECOND, micros
from weir_core.errors import Conflict
from weir_core.ids import new_id
from weir_core.schedules import fire_repository as fires
from weir_core.schedules import repository
from weir_core.schedules.fire_repository import End
from weir_core.schedules.models import Fire, FireResult, OverlapPolicy, Schedule
from weir_core.schedules.policies import Due, choose
from weir_core.schedules.starting import Ready, Starter
from weir_core.schedules.times import due_time, fire_times
from weir_core.tasks.states import TaskState
from weir_core.tasks.submitting import Stored

# What one transaction does at most; the rest follows in the next.
_MOST_FIRES: Final = 50
_MOST_LOOKED_AT: Final = 10_000


@dataclass(slots=True)
class Turn:
    """A schedule that the transaction holds, and what changes about it."""

    tx: AsyncConnection
    starter: Starter
    schedule: Schedule
    now: datetime
    made: list[Stored] = field(default_factory=list[Stored])
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    held: datetime | None = None
    ready: Ready | str | None = None

    async def take(self) -> list[Stored]:
        """Do what there is to do; the tasks that were made."""
        if self.schedule.wanted.paused:
            return []
        self.held = self.schedule.held_fire
        if not await self._settle():
            await self._release()
            await self._fire_what_came()
        if self.values and not await repository.change(self.tx, self.schedule, self.values):
            raise Conflict("another scheduler was first")
        return self.made

    async def _settle(self) -> bool:
        """Account for tasks that ended; True where that pauses the schedule."""
        ended = await fires.ends(self.tx, self.schedule.id)
        if not ended:
            return False
        await fires.close(self.tx, [end.fire_id for end in ended])
        failures, limit = self.schedule.failures, self.schedule.wanted.pause_after_failures
        for end in ended:
            failures = _in_a_row(failures, end.state)
            if limit and failures >= limit:
                await self._pause(failures, end)
                return True
        self.values["failures"] = failures
        return False

    async def _pause(self, failures: int, last: End) -> None:
        if self.held is not None:
            await self._note(self.held, FireResult.OVERLAP, "held back until the schedule was paused")
        said = f": {last.failure.message}" if last.failure else ""
        reason = f"{failures} tasks failed in a row, at last task {last.task_id}{said}"
        self.values |= stopped() | {
            "paused": True,
            "pause_reason": reason[:500],
            "failures": failures,
            "revision": self.schedule.revision + 1,
            "update_time": self.now,
        }

    async def _release(self) -> None:
        """Let a fire go that was held back, where nothing stands in its way any more."""
        if self.held is None:
            return
        blocker = await self._blocker()
        if blocker is None:
            time, self.held = self.held, None
            await self._shoot(time)
        self.values |= {"held_fire": self.held, "held_by": blocker}

    async def _fire_what_came(self) -> None:
        wanted = self.schedule.wanted
        come = list(islice(come_by(self.schedule, self.now), _MOST_LOOKED_AT))
        if not come:
            return
        more = len(come) == _MOST_LOOKED_AT
        choice = choose(come, self.now, wanted.missed, wanted.max_catch_up, more=more)
        if choice.dropped:
            await self._miss(choice.dropped)
        fired = choice.fired[:_MOST_FIRES]
        for time in fired:
            await self._fire(time)
        self.values |= upcoming(self.schedule, (choice.dropped + fired)[-1])

    async def _miss(self, times: list[datetime]) -> None:
        """Note missed fire times, in one entry for all in a row."""
        newest = await fires.newest(self.tx, self.schedule.id, 1)
        if newest and newest[0].result is FireResult.MISSED:
            await fires.extend(self.tx, newest[0], len(times), self.now)
            return
        text = f"missed, and dropped by the policy {self.schedule.wanted.missed.name}"
        await self._note(times[0], FireResult.MISSED, text, len(times))

    async def _fire(self, time: datetime) -> None:
        """Fire for a time, unless an earlier task stands in the way."""
        overlap = self.schedule.wanted.overlap
        blocker = None if overlap is OverlapPolicy.ALLOW else await self._blocker()
        if blocker is None and self.held is None:
            await self._shoot(time)
        elif self.held is not None:
            await self._note(time, FireResult.OVERLAP, "an earlier fire is still held back")
        elif overlap is OverlapPolicy.SKIP:
            await self._note(time, FireResult.OVERLAP, f"task {blocker} has not ended")
        else:
            self.held = time
            self.values |= {"held_fire": time, "held_by": blocker}

    async def _shoot(self, time: datetime) -> None:
        if await fires.fired_at(self.tx, self.schedule.id, [time]):
            # Somebody triggered it.
            return
        ready = await self._ready()
        _, made = await self.starter.shoot(self.tx, ready, self.schedule.id, time, self.now)
        if made is not None:
            self.made.append(made)

    async def _blocker(self) -> UUID | None:
        return await self.starter.blocker(self.tx, await self._ready(), self.schedule)

    async def _ready(self) -> Ready | str:
        # Most looks at a schedule find that another scheduler was here before.
        if self.ready is None:
            self.ready = await self.starter.ready(self.tx, self.schedule)
        return self.ready

    async def _note(self, time: datetime, result: FireResult, text: str, count: int = 1) -> None:
        noted = Fire(new_id(), time, self.now, result, message=text, count=count)
        await fires.insert_fire(self.tx, self.schedule.id, noted)


def come_by(schedule: Schedule, now: datetime) -> Iterator[Due]:
    """The fire times that are to be acted on by an instant, oldest first."""
    if schedule.next_fire is None:
        return
    for due in _with_due(schedule, schedule.next_fire - MICROSECOND):
        if due.due > now:
            return
        yield due


def upcoming(schedule: Schedule, after: datetime) -> dict[str, Any]:
    """The columns that say when a schedule fires next, after an instant."""
    following = next(_with_due(schedule, after), None)
    if following is None:
        return {"next_fire": None, "due_time": None}
    return {"next_fire": following.fire, "due_time": micros(following.due)}


def stopped() -> dict[str, Any]:
    """The columns of a schedule that does not fire."""
    return {"next_fire": None, "due_time": None, "held_fire": None, "held_by": None}


def _with_due(schedule: Schedule, after: datetime) -> Iterator[Due]:
    timing = schedule.wanted.timing
    times: Iterable[datetime | None] = fire_times(timing, after, schedule.create_time)
    for fire, following in pairwise(chain(times, [None])):
        assert fire is not None
        yield Due(fire, due_time(timing, schedule.id, fire, following))


def _in_a_row(failures: int, state: TaskState) -> int:
    match state:
        case TaskState.FAILED:
            return failures + 1
        case TaskState.CANCELLED:
            return failures
        case _:
            return 0

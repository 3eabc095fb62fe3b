"""Five bugs, planted into running processes from outside, that the validator must find.

Each is there while a file of its name lies in the folder `WEIR_PLANTED`. The
product knows nothing of it: what changes are its functions, in processes that
the harness started with `tests/faults/planting` on their path.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from weir_core.events import LiveEvents
from weir_core.schedules import fire_repository as fires
from weir_core.schedules import repository as schedules
from weir_core.tasks import execution, hot_repository, repository
from weir_core.tasks.ending import Closed
from weir_core.tasks.models import task
from weir_core.tasks.service import TaskService
from weir_core.tasks.submitting import Stored

NO_FENCE: Final = "no-fence"
"""What an old attempt reports is taken for the newest one's."""
ACKNOWLEDGED_FIRST: Final = "acknowledged-first"
"""A submit is answered with OK, and stored a moment later."""
NO_UNIQUE_FIRE: Final = "no-unique-fire"
"""Two schedulers may fire one time of a schedule."""
OFFSET_PAGING: Final = "offset-paging"
"""A list's next page begins after a number of entries, not after the last one."""
NOTICE_BEFORE_COMMIT: Final = "notice-before-commit"
"""Watchers are told of an end before the transaction that makes it commits."""

FOUND_BY: Final = {
    NO_FENCE: "V3",
    ACKNOWLEDGED_FIRST: "V1",
    NO_UNIQUE_FIRE: "V8",
    OFFSET_PAGING: "V7",
    NOTICE_BEFORE_COMMIT: "V4",
}
"""The check that must find it; others may as well."""

_LATER_SECONDS: Final = 1.0
_WINDOW_SECONDS: Final = 0.3

Call = Callable[..., Awaitable[Any]]
_lives: list[LiveEvents] = []
_later: set[asyncio.Task[None]] = set()
_offsets: dict[UUID, int] = {}


def planted(name: str) -> bool:
    """True while the bug is wanted."""
    return (Path(os.environ["WEIR_PLANTED"]) / name).exists()


def plant() -> None:
    """Put all five in, asleep."""
    _around(repository, "fence", _unless(NO_FENCE, nothing))
    _around(hot_repository, "hold", _holding_for_anybody)
    _around(execution, "close_attempt", _closing_the_newest)
    _around(execution, "close_succeeded", _succeeding_for_the_newest)
    _around(TaskService, "_store", _storing_later)
    _around(repository, "list_tasks", _listing_by_offset)
    _around(LiveEvents, "__init__", _remembering)
    _around(execution, "close_attempt", _telling_first)
    _around(execution, "close_succeeded", _telling_first)
    _around(schedules, "lock", _unless(NO_UNIQUE_FIRE, _reading_at_leisure))
    _around(schedules, "change", _passing_anyway)
    _around(fires, "insert_fire", _passing_anyway)
    _around(fires, "fired_at", _unless(NO_UNIQUE_FIRE, _none_found))


def _around(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    setattr(owner, name, make(getattr(owner, name)))


def _unless(name: str, other: Call) -> Callable[[Call], Call]:
    def make(call: Call) -> Call:
        async def called(*given: Any, **named: Any) -> Any:
            return await (other if planted(name) else call)(*given, **named)

        return called

    return make


async def nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def _holding_for_anybody(hold: Call) -> Call:
    async def held(tx: Any, task_ids: Sequence[UUID]) -> Any:
        found = await hold(tx, task_ids)
        if planted(NO_FENCE):
            rows = await tx.execute(select(*repository.BASIC).where(task.c.id.in_(task_ids)))
            found = {row.id: repository.task_of(row) for row in rows}
        return found

    return held


def _closing_the_newest(close: Call) -> Call:
    async def closed(tx: Any, task_id: UUID, attempt: int, *given: Any, **named: Any) -> Any:
        return await close(tx, task_id, await _newest(tx, task_id, attempt), *given, **named)

    return closed


def _succeeding_for_the_newest(succeed: Call) -> Call:
    async def succeeded(tx: Any, ends: Sequence[Any]) -> Any:
        return await succeed(
            tx, [replace(one, attempt=await _newest(tx, one.task_id, one.attempt)) for one in ends]
        )

    return succeeded


async def _newest(tx: Any, task_id: UUID, attempt: int) -> int:
    if not planted(NO_FENCE):
        return attempt
    return (await tx.execute(select(task.c.attempt).where(task.c.id == task_id))).scalar() or attempt


def _storing_later(store: Call) -> Call:
    async def at_last(service: TaskService, wanted: Any) -> None:
        await asyncio.sleep(_LATER_SECONDS)
        await store(service, wanted)

    async def stored(service: TaskService, wanted: Any) -> Any:
        if not planted(ACKNOWLEDGED_FIRST):
            return await store(service, wanted)
        doing = asyncio.create_task(at_last(service, wanted))
        _later.add(doing)
        doing.add_done_callback(_later.discard)
        return [Stored(made.task) for made in wanted]

    return stored


def _listing_by_offset(listing: Call) -> Call:
    async def listed(tx: Any, conditions: list[Any], after: UUID | None, limit: int) -> Any:
        if not planted(OFFSET_PAGING) or (after is not None and after not in _offsets):
            return await listing(tx, conditions, after, limit)
        offset = 0 if after is None else _offsets[after]
        query = select(*repository.BASIC).where(task.c.is_delete.is_(False), *conditions)
        rows = await tx.execute(query.order_by(task.c.id.desc()).offset(offset).limit(limit))
        found = [repository.task_of(row) for row in rows]
        # One more than the page holds is asked for; the token names the last one on it.
        if len(found) == limit:
            _offsets[found[-2].id] = offset + limit - 1
        return found

    return listed


def _remembering(make: Callable[..., None]) -> Callable[..., None]:
    def made(live: LiveEvents, *given: Any, **named: Any) -> None:
        make(live, *given, **named)
        _lives.append(live)

    return made


def _telling_first(close: Call) -> Call:
    async def told(*given: Any, **named: Any) -> Any:
        result = await close(*given, **named)
        closed = [one for one in _results(result) if isinstance(one, Closed)]
        if closed and planted(NOTICE_BEFORE_COMMIT):
            # What went before has been told already: the end is news by itself.
            await _lives[0].announce({one.task.id: one.events[-1:] for one in closed})
            await asyncio.sleep(_WINDOW_SECONDS)
        return result

    return told


def _results(result: Any) -> list[Any]:
    return result if isinstance(result, list) else [result]


async def _reading_at_leisure(tx: Any, schedule_id: UUID, **_: Any) -> Any:
    found = await schedules.get(tx, schedule_id)
    await asyncio.sleep(_WINDOW_SECONDS)
    return None if found is None else (found, await schedules.now(tx))


async def _none_found(*_: Any) -> dict[Any, Any]:
    return {}


def _passing_anyway(call: Call) -> Call:
    async def passed(*given: Any) -> bool:
        return await call(*given) or planted(NO_UNIQUE_FIRE)

    return passed

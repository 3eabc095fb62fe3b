"""Reads back for a watcher of many tasks: what there is now, and what has changed since it last looked."""

from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from weir_core.columns import MICROSECOND
from weir_core.db import Database
from weir_core.errors import PositionExpired, QuotaExceeded
from weir_core.principals import Caller
from weir_core.tasks import change_repository
from weir_core.tasks.change_repository import Look
from weir_core.tasks.models import Task, task
from weir_core.tasks.news import Batch, Following
from weir_core.tasks.states import TERMINAL, TaskState

# How long after its time of change a transaction may commit: it has 15 s in all, and clocks may differ.
SLACK: Final = timedelta(seconds=30) // MICROSECOND

_PAGE: Final = 500
_LARGEST_SNAPSHOT: Final = 100_000
_UNENDED: Final = [state for state in TaskState if state is not TaskState.NONE and state not in TERMINAL]


class ChangeReader:
    """Reads tasks in pages, by state or by time of change."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def changed(self, since: int, until: int | None) -> AsyncGenerator[list[Look]]:
        """The tasks that changed from an instant on, in pages."""
        after: UUID | None = None
        while True:
            async with self._db.read() as tx:
                page = await change_repository.changed(tx, since, after, until, _PAGE)
            if page:
                yield page
                since, after = page[-1].change_time, page[-1].id
            if len(page) < _PAGE:
                return

    async def snapshot(self, following: Following, caller: Callable[[], Caller]) -> AsyncGenerator[Batch]:
        """The tasks that have not ended, and how many; QuotaExceeded for too many."""
        count = 0
        for state in (state for state in _UNENDED if following.wanted.takes(state)):
            async for tasks in self._in_state(state, following.wanted.conditions, caller):
                count += len(tasks)
                if count > _LARGEST_SNAPSHOT:
                    raise QuotaExceeded(
                        "filter", f"fits more than {_LARGEST_SNAPSHOT:,} unended tasks; narrow it"
                    )
                following.give(tasks)
                yield Batch(tasks)
        yield Batch(since=following.since, snapshot_count=count)

    async def catch_up(self, following: Following, caller: Callable[[], Caller]) -> AsyncGenerator[Batch]:
        """The tasks that changed since, as they are now; PositionExpired where one may be missing."""
        following.catch_up()
        async for page in self.changed(following.since, None):
            rights = caller()
            fit = [
                look.id
                for look in page
                if following.wanted.fits(look) and rights.holds("tasks.read", look.project)
            ]
            tasks = await self.basics(fit)
            await self._check_removed(following)
            following.give(tasks)
            following.since = max(following.since, page[-1].change_time - SLACK)
            yield Batch(tasks, since=following.since)
        await self._check_removed(following)

    async def basics(self, task_ids: list[UUID]) -> list[Task]:
        """Some tasks as they are now."""
        if not task_ids:
            return []
        async with self._db.read() as tx:
            return await change_repository.basics(tx, task_ids)

    async def _in_state(
        self, state: TaskState, conditions: list[Any], caller: Callable[[], Caller]
    ) -> AsyncGenerator[list[Task]]:
        after: UUID | None = None
        while True:
            projects = caller().projects("tasks.read")
            readable = [] if projects is None else [task.c.project.in_(projects)]
            async with self._db.read() as tx:
                tasks = await change_repository.in_state(tx, state, [*conditions, *readable], after, _PAGE)
            if tasks:
                yield tasks
                after = tasks[-1].id
            if len(tasks) < _PAGE:
                return

    async def _check_removed(self, following: Following) -> None:
        """After a read: what had been removed by then is counted."""
        async with self._db.read() as tx:
            if await change_repository.removed_through(tx) > following.since:
                raise PositionExpired("a task was removed that had changed since; take a snapshot anew")

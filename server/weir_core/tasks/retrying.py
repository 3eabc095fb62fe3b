"""Ended tasks submitted anew, all that match a filter: what RetryTasks counts, and what its task does."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import (
    Conflict,
    DependencyDown,
    NotFound,
    PermissionMissing,
    StateConflict,
    WeirError,
)
from weir_core.filtering import parse, to_sql
from weir_core.principals import Caller
from weir_core.tasks import repository
from weir_core.tasks.models import Task, task
from weir_core.tasks.service import FILTERS, Submitted, TaskService
from weir_core.tasks.states import TaskState
from weir_core.tasks.submitting import NewTask
from weir_core.users.acting import acting_as

RETRY_TASK: Final = "tasks.retry"
"""The type of the task that does it."""
_AT_ONCE: Final = 100
_ENDED_BADLY: Final = (int(TaskState.FAILED), int(TaskState.CANCELLED))
# Counting goes through all that match: beyond that many the number is not worth the time.
_COUNTED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one ended task: the new one, or what stood against it."""

    old_id: UUID
    new: Submitted | WeirError


class Retrying:
    """Finds what ended badly, and submits it anew."""

    def __init__(self, db: Database, tasks: TaskService) -> None:
        self._db = db
        self._tasks = tasks

    async def count(self, caller: Caller, project: str, filter_text: str) -> int:
        """Tasks that would be submitted anew; 1,000,000 for more."""
        _check(caller, project)
        wanted = _wanted(project, filter_text)
        async with self._db.read() as tx:
            return await repository.count(tx, wanted, _COUNTED)

    async def run(
        self, bulk_id: UUID, filter_text: str, after: UUID | None, most: int = _AT_ONCE
    ) -> AsyncGenerator[list[Retried]]:
        """Submit anew what was made before the task `bulk_id`, newest first, in portions of `most` at most.

        In the name of who submitted that task, with the rights that one has at each portion. Repeated, from
        any place, it makes no task twice.
        """
        last = after or bulk_id
        while True:
            async with self._db.read() as tx:
                bulk = await repository.get(tx, bulk_id)
                if bulk is None:
                    raise NotFound("task", bulk_id)
                caller = await _acting(tx, bulk)
                basic = await repository.list_tasks(
                    tx, _wanted(bulk.project, filter_text), last, min(most, _AT_ONCE)
                )
                whole = await repository.inputs_of(tx, [each.id for each in basic])
            if not basic:
                return
            found = [whole[each.id] for each in basic if each.id in whole]
            if found:
                yield [Retried(old.id, await self._retry(caller, bulk, old)) for old in found]
            last = basic[-1].id

    async def _retry(self, caller: Caller, bulk: Task, old: Task) -> Submitted | WeirError:
        try:
            kind = await self._tasks.newest_type(old.type)
            # The old task's own id makes the repeat of a portion safe.
            return await self._tasks.submit(
                caller, anew(old), kind, str(old.id), method=f"RetryTasks {bulk.id}"
            )
        except (DependencyDown, Conflict):
            raise
        except WeirError as error:
            return error


def anew(old: Task) -> NewTask:
    """What an ended task asked for, without what lies behind it."""
    return NewTask(
        old.project,
        old.type,
        old.input or {},
        queue=old.queue,
        priority=old.priority,
        labels=old.labels,
        limits=old.limits,
        concurrency=old.concurrency,
        retention=old.retention,
        retry_of=old.id,
    )


async def _acting(tx: AsyncConnection, bulk: Task) -> Caller:
    caller = await acting_as(tx, bulk.creator)
    if caller is None:
        raise StateConflict(f"who submitted task {bulk.id} was disabled or deleted", state="DISABLED")
    _check(caller, bulk.project)
    return caller


def _check(caller: Caller, project: str) -> None:
    for permission in ("tasks.read", "tasks.submit"):
        if not caller.holds(permission, project):
            raise PermissionMissing(permission, project)


def _wanted(project: str, filter_text: str) -> list[Any]:
    return [
        *to_sql(parse(filter_text), FILTERS),
        task.c.project == project,
        task.c.state.in_(_ENDED_BADLY),
        repository.never_retried(),
    ]

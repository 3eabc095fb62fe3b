"""Tasks as callers use them: submit, read, list. Commit first, notify second."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.batching import Batcher
from weir_core.db import TRIES, Database
from weir_core.errors import InvalidArgument, NotFound, PermissionMissing, StateConflict, WeirError
from weir_core.failpoints import reach
from weir_core.filtering import (
    FieldOf,
    Filterable,
    enum_value,
    id_value,
    parse,
    time_value,
    to_sql,
)
from weir_core.fleet.models import TaskType
from weir_core.idempotency import request_key
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.queue import Queue
from weir_core.tasks import references, repository
from weir_core.tasks.models import HELD, Task, task
from weir_core.tasks.promotion import Promotion, hint_of
from weir_core.tasks.reading import Reading
from weir_core.tasks.references import Vault
from weir_core.tasks.states import TERMINAL, FailureKind, TaskState
from weir_core.tasks.submitting import Made, NewTask, Stored, first_event, make, store, store_one
from weir_core.tasks.validation import check_input
from weir_core.users.projects import Projects

INNER: Final = {"connection.check": "CheckConnection", "collection.preview": "PreviewCollection"}
"""Task types that nobody submits, by the call that makes such tasks."""

_TIMES: Final = ("<", "<=", ">", ">=")


def _held(text: str) -> str:
    if text != "true":
        raise ValueError("can only be asked for as true")
    return HELD


FILTERS: Final = {
    "project": Filterable(task.c.project),
    "type": Filterable(task.c.type),
    "queue": Filterable(task.c.queue),
    "state": Filterable(task.c.state, enum_value(TaskState)),
    "held": Filterable(task.c.parked_on, _held, ("=",)),
    "parent_task_id": Filterable(task.c.parent_id, id_value),
    "retry_of_task_id": Filterable(task.c.retry_of, id_value),
    "creator.id": Filterable(task.c.creator_id, id_value),
    "schedule_id": Filterable(task.c.schedule_id, id_value),
    "failure.kind": Filterable(task.c.failure_kind, enum_value(FailureKind)),
    "failure.fingerprint": Filterable(task.c.fingerprint),
    "create_time": Filterable(task.c.create_time, time_value, _TIMES, repository.created_about),
    "labels": FieldOf(repository.has_label),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One submit: what, of which type, under which request id."""

    new: NewTask
    kind: TaskType
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task, whether this call made it, and what may surprise."""

    task: Task
    created: bool
    warnings: list[str]


class _Unwanted(Exception):
    """Rolls a transaction back that was only to be tried."""


class TaskService:
    """Submit, read and list tasks."""

    def __init__(
        self,
        db: Database,
        queue: Queue,
        promotion: Promotion,
        projects: Projects,
        vault: Vault,
        *,
        retention: timedelta,
    ) -> None:
        self._db = db
        self._vault = vault
        self._queue = queue
        self._promotion = promotion
        self._projects = projects
        self._retention = retention
        self._reading = Reading(db)
        self._stores = Batcher(self._store)

    async def newest_type(self, name: str) -> TaskType:
        """The task type that a submit is checked by."""
        kind = await self._reading.newest_type(name)
        if kind is None:
            raise InvalidArgument.at(
                "spec.type", f"no worker has brought a task type {name!r}; see ListTaskTypes"
            )
        return kind

    async def submit(
        self,
        caller: Caller,
        new: NewTask,
        kind: TaskType,
        request_id: str = "",
        *,
        method: str = "SubmitTask",
        validate_only: bool = False,
    ) -> Submitted:
        """Store a task. It is run, whatever process or machine dies after this has returned."""
        made = await self.prepare(caller, Request(new, kind, request_id), method)

        async def work(tx: AsyncConnection) -> Stored:
            return await store_one(tx, made)

        async def attempt(tx: AsyncConnection) -> None:
            await store_one(tx, made)
            raise _Unwanted

        if validate_only:
            try:
                await self._db.write(attempt)
            except _Unwanted:
                warnings = await self._warnings({(kind.name, kind.version)})
                return Submitted(made.task, created=False, warnings=list(warnings.values()))
        if made.stands_alone:
            stored = await self._stores.ask(made)
        else:
            stored = await self._db.write(work)
            reach("submit.committed")
            await self.started(stored)
            reach("submit.hinted")
        if isinstance(stored, WeirError):
            raise stored
        warnings = await self._warnings({(kind.name, kind.version)}) if stored.created else {}
        return Submitted(stored.task, stored.created, list(warnings.values()))

    async def submit_many(self, caller: Caller, requests: list[Request]) -> list[Submitted | WeirError]:
        """Store tasks, each with a result of its own: one bad task does not stop the others."""
        results: dict[int, Submitted | WeirError] = {}
        made: dict[int, Made] = {}
        for place, request in enumerate(requests):
            try:
                made[place] = await self.prepare(caller, request)
            except WeirError as error:
                results[place] = error

        async def work(tx: AsyncConnection) -> list[Stored | WeirError]:
            return await store(tx, list(made.values()))

        stored = await self._db.write(work) if made else []
        await self.started(*(each for each in stored if isinstance(each, Stored)))
        warnings = await self._warnings({(each.task.type, each.task.type_version) for each in made.values()})
        for place, each in zip(made, stored, strict=True):
            if isinstance(each, WeirError):
                results[place] = each
            else:
                warning = warnings.get(each.task.type) if each.created else None
                results[place] = Submitted(each.task, each.created, [warning] if warning else [])
        return [results[place] for place in range(len(requests))]

    async def started(self, *stored: Stored) -> None:
        """Tell queues and watchers of tasks that have been stored, and look at what ended meanwhile."""
        new = [each.task for each in stored if each.created]
        await self._queue.hint([hint_of(task) for task in new if task.state is TaskState.QUEUED])
        await self._promotion.announce({task.id: [first_event(task)] for task in new})
        if waiting := [task.id for task in new if task.depends_on and task.state is TaskState.PENDING]:
            await self._promotion.settle(waiting)

    async def get(self, caller: Caller, task_id: UUID, *, full: bool = True) -> Task:
        """A task; NotFound where the caller may not read it."""
        found = await self._reading.task(task_id, full=full)
        if found is None or not caller.holds("tasks.read", found.project):
            raise NotFound("task", task_id)
        return found

    async def get_ended(self, caller: Caller, task_id: UUID) -> Task:
        """A task that has ended; StateConflict for one that has not."""
        found = await self.get(caller, task_id)
        if found.state not in TERMINAL:
            raise StateConflict(
                f"task {task_id} has not ended; cancel it, or wait for its end",
                state=found.state.name,
                allowed=", ".join(sorted(state.name for state in TERMINAL)),
            )
        return found

    async def list_tasks(
        self, caller: Caller, page: Page, filter_text: str, *, full: bool = False
    ) -> list[Task]:
        """Tasks, newest first; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), FILTERS)
        projects = caller.projects("tasks.read")
        if projects is not None:
            conditions.append(task.c.project.in_(projects))
        after = UUID(page.key[0]) if page.key else None
        async with self._db.read() as tx:
            tasks = await repository.list_tasks(tx, conditions, after, page.size + 1)
            if not full:
                return tasks
            whole = await repository.inputs_of(tx, [found.id for found in tasks])
            return [whole[found.id] for found in tasks if found.id in whole]

    async def prepare(self, caller: Caller, request: Request, method: str = "SubmitTask") -> Made:
        """A task that is ready to be stored; refuses what the caller may not submit and what does not fit."""
        new, kind = request.new, request.kind
        if kind.name in INNER:
            raise InvalidArgument.at(
                "spec.type", f"{kind.name!r} is for Weir itself; call {INNER[kind.name]}"
            )
        if not caller.holds("tasks.submit", new.project):
            raise PermissionMissing("tasks.submit", new.project)
        if kind.permission and not caller.holds(kind.permission, new.project):
            raise PermissionMissing(kind.permission, new.project)
        if new.project == "system":
            raise InvalidArgument.at("project", "'system' holds the tasks of upkeep and takes no others")
        await self._projects.require(new.project)
        if used := check_input(kind.name, kind.version, kind.input_schema, new.input):
            await references.check(self._vault, caller, new.project, used)
        key = request_key(caller.principal, method, request.request_id, new.content)
        return make(caller, new, kind, key, self._retention)

    async def _warnings(self, kinds: set[tuple[str, int]]) -> dict[str, str]:
        return {
            name: f"no live worker serves {name} version {version}; the task waits until one starts"
            for name, version in await self._reading.unserved(kinds)
        }

    async def _store(self, wanted: Sequence[Made]) -> list[Stored | WeirError]:
        async def work(tx: AsyncConnection) -> list[Stored | WeirError]:
            return await store(tx, list(wanted))

        results = await self._db.write(work, tries=1 if len(wanted) > 1 else TRIES)
        reach("submit.committed")
        await self.started(*(each for each in results if isinstance(each, Stored)))
        reach("submit.hinted")
        return results

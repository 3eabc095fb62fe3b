"""Tasks as callers and workers use them. Commit first, notify second."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import InvalidArgument, NotFound, PermissionMissing
from weir_core.events import LiveEvents
from weir_core.filtering import Filterable, enum_value, id_value, parse, time_value, to_sql
from weir_core.fleet import repository as fleet
from weir_core.fleet.models import TaskType
from weir_core.idempotency import RequestKey, request_key, request_values
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import Caller, creator_values
from weir_core.queue import Hint, Queue
from weir_core.signals import Signals
from weir_core.tasks import repository
from weir_core.tasks.encoding import dump_cancellation, dump_limits
from weir_core.tasks.events import Event, EventKind, Numbering, state_body
from weir_core.tasks.models import Cancellation, Limits, Task, task
from weir_core.tasks.states import TERMINAL, WAITING, CancelPhase, TaskState
from weir_core.tasks.validation import check_input
from weir_core.users.projects import Projects

_log = logging.getLogger(__name__)

FILTERS: Final = {
    "project": Filterable(task.c.project),
    "type": Filterable(task.c.type),
    "queue": Filterable(task.c.queue),
    "state": Filterable(task.c.state, enum_value(TaskState)),
    "creator.id": Filterable(task.c.creator_id, id_value),
    "schedule_id": Filterable(task.c.schedule_id, id_value),
    "create_time": Filterable(task.c.create_time, time_value, ("<", "<=", ">", ">=")),
}


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a caller asks for; None: as the type says."""

    project: str
    type: str
    input: dict[str, Any]
    queue: str = ""
    labels: dict[str, str] | None = None
    start_after: datetime | None = None
    limits: Limits | None = None
    """The caller's limits, laid over those of the type already."""
    schedule_id: UUID | None = None
    fire_time: datetime | None = None
    content: Any = None
    """What the caller sent, as JSON, to tell a repeat from another request."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task, whether this call made it, and what may surprise."""

    task: Task
    created: bool
    warnings: list[str]


class TaskService:
    """Submit, read, list and cancel tasks."""

    def __init__(
        self, db: Database, queue: Queue, live: LiveEvents, signals: Signals, projects: Projects
    ) -> None:
        self._db = db
        self._projects = projects
        self._queue = queue
        self._live = live
        self._signals = signals

    async def newest_type(self, name: str) -> TaskType:
        """The task type that a submit is checked by."""
        async with self._db.read() as tx:
            kind = await fleet.newest_type(tx, name)
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
        validate_only: bool = False,
    ) -> Submitted:
        """Store a task. It is run, whatever process or machine dies after this has returned."""
        await self.check(caller, new, kind)
        key = request_key(caller.principal, "SubmitTask", request_id, new.content)
        made = _make(caller, new, kind, key)
        if validate_only:
            return Submitted(made.task, created=False, warnings=await self._warnings(kind))

        async def work(tx: AsyncConnection) -> bool:
            return await insert(tx, made)

        if not await self._db.write(work):
            assert key is not None
            return await self._repeated(key)
        await self.started(made)
        return Submitted(made.task, created=True, warnings=await self._warnings(kind))

    async def started(self, made: "Made") -> None:
        """Tell queue and watchers of a task that has been stored."""
        if made.task.state is TaskState.QUEUED:
            await self._queue.hint([Hint(made.task.id, 0, made.task.queue, made.task.pack)])

    async def get(self, caller: Caller, task_id: UUID, *, full: bool = True) -> Task:
        """A task; NotFound where the caller may not read it."""
        async with self._db.read() as tx:
            found = await repository.get(tx, task_id)
            if found is None or not caller.holds("tasks.read", found.project):
                raise NotFound("task", task_id)
            return replace(found, attempts=await repository.attempts_of(tx, task_id)) if full else found

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

    async def cancel(self, caller: Caller, task_id: UUID, reason: str, grace: timedelta | None) -> Task:
        """Ask for a task to be stopped; ended already, it stays as it is."""

        async def work(tx: AsyncConnection) -> tuple[Task, list[Event]]:
            found = await repository.lock(tx, task_id)
            if found is None or not caller.holds("tasks.read", found.project):
                raise NotFound("task", task_id)
            if not caller.holds("tasks.cancel", found.project):
                raise PermissionMissing("tasks.cancel", found.project)
            if found.state in TERMINAL or found.cancellation is not None:
                return found, []
            wanted = Cancellation(CancelPhase.REQUESTED, reason, caller.principal, datetime.now(UTC), grace)
            if found.state in WAITING:
                return await cancel_waiting(tx, found, wanted)
            values = {"state": int(TaskState.CANCELLING), "cancellation": dump_cancellation(wanted)}
            await repository.change(tx, task_id, values)
            return replace(found, state=TaskState.CANCELLING, cancellation=wanted), []

        found, events = await self._db.write(work)
        if events:
            await self.announce(task_id, events)
        elif found.state is TaskState.CANCELLING and found.worker_id is not None:
            await self._signals.wake_worker(found.worker_id)
        return found

    async def announce(self, task_id: UUID, events: list[Event]) -> None:
        """Tell watchers; a lost notice costs them a second."""
        try:
            await self._live.announce(task_id, events)
        except (RedisError, OSError) as error:
            _log.info("watchers were not told of task %s: %s", task_id, error)

    async def check(self, caller: Caller, new: NewTask, kind: TaskType) -> None:
        """Refuse what the caller may not submit, and what does not fit the type."""
        if not caller.holds("tasks.submit", new.project):
            raise PermissionMissing("tasks.submit", new.project)
        if kind.permission and not caller.holds(kind.permission, new.project):
            raise PermissionMissing(kind.permission, new.project)
        if new.project == "system":
            raise InvalidArgument.at("project", "'system' holds the tasks of upkeep and takes no others")
        await self._projects.require(new.project)
        check_input(kind.name, kind.version, kind.input_schema, new.input)

    async def _repeated(self, key: RequestKey) -> Submitted:
        async with self._db.read() as tx:
            found = await repository.by_request_key(tx, key.key)
        assert found is not None
        key.check(found[1])
        return Submitted(found[0], created=False, warnings=[])

    async def _warnings(self, kind: TaskType) -> list[str]:
        async with self._db.read() as tx:
            workers = await fleet.active_workers(tx)
        if any(worker.types.get(kind.name, 0) >= kind.version for worker in workers):
            return []
        return [f"no live worker serves {kind.name} version {kind.version}; the task waits until one starts"]


@dataclass(frozen=True, slots=True)
class Made:
    """A task that is ready to be stored."""

    task: Task
    row: dict[str, Any]
    events: list[Event]


def _make(caller: Caller, new: NewTask, kind: TaskType, key: RequestKey | None) -> Made:
    now = datetime.now(UTC)
    state = TaskState.PENDING if new.start_after and new.start_after > now else TaskState.QUEUED
    numbering = Numbering(0, 0)
    numbering.add(EventKind.STATE, state_body(TaskState.NONE, state))
    made = Task(
        id=new_id(),
        project=new.project,
        type=kind.name,
        type_version=kind.version,
        pack=kind.pack,
        queue=new.queue or kind.queue,
        state=state,
        attempt=0,
        charged=0,
        last_seq=1,
        reserved_seq=0,
        labels=new.labels or {},
        limits=new.limits or kind.limits,
        creator=caller.principal,
        create_time=now,
        start_after=new.start_after,
        schedule_id=new.schedule_id,
        fire_time=new.fire_time,
        input=new.input,
    )
    return Made(made, _row(made, key), numbering.events)


def prepare(caller: Caller, new: NewTask, kind: TaskType) -> Made:
    """A task that another domain stores in a transaction of its own, with `insert`."""
    return _make(caller, new, kind, None)


async def insert(tx: AsyncConnection, made: Made) -> bool:
    """Store a task and its first event; False where its request key is taken."""
    if not await repository.insert_task(tx, made.row):
        return False
    await repository.insert_events(tx, {made.task.id: made.events})
    return True


async def cancel_waiting(tx: AsyncConnection, found: Task, wanted: Cancellation) -> tuple[Task, list[Event]]:
    """End a task that no worker holds."""
    numbering = Numbering(found.last_seq, found.attempt)
    confirmed = replace(wanted, phase=CancelPhase.CONFIRMED, confirm_time=datetime.now(UTC))
    for step in (wanted, confirmed):
        numbering.add(EventKind.CANCEL, dump_cancellation(step))
    outcome = {
        "output": None,
        "failure": None,
        "attempts": found.attempt,
        "total_seconds": _age(found),
        "run_seconds": 0,
    }
    numbering.add(EventKind.STATE, state_body(found.state, TaskState.CANCELLED, wanted.reason, outcome))
    ended = replace(
        found,
        state=TaskState.CANCELLED,
        cancellation=confirmed,
        last_seq=numbering.last_seq,
        end_time=datetime.now(UTC),
    )
    values = {
        "state": int(ended.state),
        "cancellation": dump_cancellation(confirmed),
        "last_seq": ended.last_seq,
        "end_time": ended.end_time,
    }
    await repository.change(tx, found.id, values)
    await repository.insert_events(tx, {found.id: numbering.events})
    return ended, numbering.events


def _age(found: Task) -> float:
    return (datetime.now(UTC) - found.create_time).total_seconds()


def _row(made: Task, key: RequestKey | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": made.id,
        "project": made.project,
        "type": made.type,
        "type_version": made.type_version,
        "pack": made.pack,
        "queue": made.queue,
        "state": int(made.state),
        "last_seq": made.last_seq,
        "input": made.input,
        "labels": made.labels,
        "limits": dump_limits(made.limits),
        "start_after": made.start_after,
        "schedule_id": made.schedule_id,
        "fire_time": made.fire_time,
        "create_time": made.create_time,
        **creator_values(made.creator),
        **request_values(key),
    }
    waits_until = made.start_after if made.state is TaskState.PENDING else None
    return repository.new_row(values, waits_until or made.create_time)

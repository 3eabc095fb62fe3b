"""Changes of tasks that wait, and tasks submitted anew from ended ones."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import micros
from weir_core.db import Database
from weir_core.errors import EtagMismatch, InvalidArgument, NotFound, PermissionMissing, StateConflict
from weir_core.principals import Caller
from weir_core.tasks import hot_repository, repository, waiting_repository
from weir_core.tasks.admission import leave
from weir_core.tasks.events import EventKind, Numbering, state_body
from weir_core.tasks.models import HELD, NEVER, Task
from weir_core.tasks.promotion import Promotion
from weir_core.tasks.states import TERMINAL, WAITING, Priority, TaskState

CHANGEABLE: Final = ("spec.priority", "spec.start_after", "spec.deadline", "spec.labels", "held")


@dataclass(frozen=True, slots=True)
class Revision:
    """What a waiting task is to become; only what `fields` names is read."""

    fields: frozenset[str]
    priority: Priority = Priority.NORMAL
    start_after: datetime | None = None
    deadline: datetime | None = None
    labels: dict[str, str] | None = None
    held: bool = False
    etag: str = ""


class Revising:
    """Changes what waits."""

    def __init__(self, db: Database, promotion: Promotion) -> None:
        self._db = db
        self._promotion = promotion

    async def update(self, caller: Caller, task_id: UUID, wanted: Revision) -> Task:
        """Change a task that no worker holds; StateConflict once one does."""

        async def work(tx: AsyncConnection) -> Task:
            found = await repository.lock(tx, task_id)
            if found is None or not caller.holds("tasks.read", found.project):
                raise NotFound("task", task_id)
            if not caller.holds("tasks.submit", found.project):
                raise PermissionMissing("tasks.submit", found.project)
            _check(found, wanted)
            return await _change(tx, found, wanted)

        changed = await self._db.write(work)
        if changed.state is TaskState.PENDING:
            await self._promotion.due()
        async with self._db.read() as tx:
            found = await repository.get(tx, task_id)
        return found or changed


def etag_of(task: Task) -> str:
    """The version of what callers may change."""
    content = [
        int(task.priority),
        task.start_after and micros(task.start_after),
        task.deadline and micros(task.deadline),
        task.labels,
        task.held,
    ]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _check(found: Task, wanted: Revision) -> None:
    if wanted.etag and wanted.etag != etag_of(found):
        raise EtagMismatch("task", found.id)
    if found.state not in WAITING:
        doing = "has ended" if found.state in TERMINAL else "runs"
        raise StateConflict(
            f"task {found.id} {doing}; only a task that waits can be changed",
            state=found.state.name,
            allowed="PENDING, QUEUED",
        )
    if "held" in wanted.fields and wanted.held and not found.held:
        raise InvalidArgument.at("task.held", "can only be set to false, which releases the task")
    if "spec.deadline" in wanted.fields and wanted.deadline and wanted.deadline <= found.create_time:
        raise InvalidArgument.at("task.spec.deadline", "must come after the task's creation")


async def _change(tx: AsyncConnection, found: Task, wanted: Revision) -> Task:
    made = {field: change for field, change in _CHANGES.items() if field in wanted.fields}
    changed = found
    for change in made.values():
        changed = change(changed, wanted)
    values: dict[str, Any] = {
        "turn": changed.priority.turn,
        "start_after": changed.start_after,
        "deadline": changed.deadline,
        "alarm_time": changed.deadline,
    }
    if changed.labels != found.labels:
        values["labels"] = changed.labels
    await repository.change(tx, found.id, values)
    if "spec.labels" in made:
        await repository.set_labels(tx, found.id, changed.labels)
    return await _replace_in_line(
        tx, found, changed, released=found.held and not wanted.held and "held" in made
    )


async def _replace_in_line(tx: AsyncConnection, found: Task, changed: Task, *, released: bool) -> Task:
    """Where the change moves the task in line, it goes through its gates anew."""
    if released:
        await repository.change(tx, found.id, {"parked_on": None, "crashes": 0})
        await waiting_repository.release(tx, changed)
        return replace(changed, parked_on=None)
    if found.held or changed.start_after == found.start_after:
        return await _hint_anew(tx, found, changed)
    moved, _ = await leave(tx, changed, ended=False)
    numbering = Numbering(found.last_seq, found.attempt)
    if found.state is TaskState.QUEUED:
        numbering.add(
            EventKind.STATE, state_body(TaskState.QUEUED, TaskState.PENDING, "its start was changed")
        )
        await hot_repository.insert_events(tx, {found.id: numbering.events})
    values = {
        "state": int(TaskState.PENDING),
        "last_seq": numbering.last_seq,
        "holds": moved.holds,
        "parked_on": None,
        "due_time": NEVER,
    }
    await repository.change(tx, found.id, values)
    if not await waiting_repository.dependencies(tx, found.id):
        await waiting_repository.release(tx, changed)
    return replace(moved, state=TaskState.PENDING, last_seq=numbering.last_seq)


async def _hint_anew(tx: AsyncConnection, found: Task, changed: Task) -> Task:
    """A queued task of another class is told to the stream of that class by the next sweep."""
    if changed.priority is not found.priority and found.state is TaskState.QUEUED:
        await repository.change(tx, found.id, {"hint_time": 0})
    return changed


def _priority(task: Task, wanted: Revision) -> Task:
    return replace(task, priority=wanted.priority)


def _start(task: Task, wanted: Revision) -> Task:
    return replace(task, start_after=wanted.start_after)


def _deadline(task: Task, wanted: Revision) -> Task:
    return replace(task, deadline=wanted.deadline)


def _labels(task: Task, wanted: Revision) -> Task:
    return replace(task, labels=wanted.labels or {})


def _held(task: Task, wanted: Revision) -> Task:
    return replace(task, parked_on=HELD if wanted.held else None) if task.held else task


_CHANGES: Final[dict[str, Callable[[Task, Revision], Task]]] = {
    "spec.priority": _priority,
    "spec.start_after": _start,
    "spec.deadline": _deadline,
    "spec.labels": _labels,
    "held": _held,
}

"""What a running task asks for: a checkpoint kept, a child made, how its children ended."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import NotFound, PermissionMissing, RequestIdReused, StateConflict
from weir_core.tasks import references, repository
from weir_core.tasks.models import Task
from weir_core.tasks.references import Vault
from weir_core.tasks.service import Request, TaskService
from weir_core.tasks.states import TERMINAL, Priority
from weir_core.tasks.submitting import NewTask, Stored, store_one
from weir_core.tasks.validation import check_labels, check_queue
from weir_core.users.acting import acting_as

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class NewChild:
    """What a running task wants made; `key` names it among the children of that task."""

    key: str
    type: str
    input: dict[str, Any]
    queue: str = ""
    priority: Priority | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])


class Asking:
    """Answers the attempts that workers hold."""

    def __init__(self, db: Database, tasks: TaskService, vault: Vault) -> None:
        self._db = db
        self._tasks = tasks
        self._vault = vault

    async def secrets(self, task: Task) -> dict[str, str]:
        """The secrets that the task's input refers to, by reference; InvalidArgument where one is gone."""
        return await references.values(self._vault, task)

    async def checkpoint(self, task: Task, value: Any) -> None:
        """Keep what the next attempt goes on from; Fenced, also once a cancel was asked for."""

        async def work(tx: AsyncConnection) -> None:
            await repository.fence(tx, task.id, task.attempt)
            await repository.change(tx, task.id, {"checkpoint": value})

        await self._db.write(work)

    async def submit(self, parent: Task, child: NewChild) -> UUID:
        """Make a child in the name of who submitted its parent, with the rights of now; Fenced.

        The child that an earlier attempt made under the same key is found, and not made again.
        """
        check_queue("queue", child.queue)
        check_labels("labels", child.labels)
        kind = await self._tasks.newest_type(child.type)
        async with self._db.read() as tx:
            caller = await acting_as(tx, parent.creator)
        if caller is None:
            raise StateConflict(f"who submitted task {parent.id} was disabled or deleted", state="DISABLED")
        if not caller.holds("tasks.read", parent.project):
            raise PermissionMissing("tasks.read", parent.project)
        new = NewTask(
            parent.project,
            child.type,
            child.input,
            queue=child.queue,
            priority=child.priority,
            labels=child.labels,
            parent_id=parent.id,
            content=[child.type, child.input, child.queue, child.priority, child.labels],
        )
        made = await self._tasks.prepare(caller, Request(new, kind, child.key), f"child of {parent.id}")

        async def work(tx: AsyncConnection) -> Stored:
            await repository.fence(tx, parent.id, parent.attempt)
            return await store_one(tx, made)

        try:
            stored = await self._db.write(work)
        except RequestIdReused:
            raise StateConflict(
                f"key {child.key!r} is that of another child; take a new one for a new child", state="TAKEN"
            ) from None
        await self._tasks.started(stored)
        return stored.task.id

    async def child(self, parent: Task, child_id: UUID) -> Task:
        """A child with its output; NotFound for what is no child of the task."""
        async with self._db.read() as tx:
            found = await repository.get(tx, child_id)
        if found is None or found.parent_id != parent.id:
            raise NotFound("task", child_id)
        return found

    async def gone_or_ended(self, task_ids: Collection[UUID]) -> set[UUID]:
        """Those of the tasks that no longer go on."""
        wanted = list(task_ids)
        going: set[UUID] = set()
        async with self._db.read() as tx:
            for start in range(0, len(wanted), _AT_ONCE):
                heads = await repository.heads(tx, wanted[start : start + _AT_ONCE])
                going |= {head.id for head in heads if head.state not in TERMINAL}
        return set(wanted) - going

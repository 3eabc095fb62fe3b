"""Connections and collections are tried before they are saved, or again: for callers.

A try is a short task of a worker that the call waits for. Of what it is to do and
what it found nothing stays (see `trials`); how a stored connection did is kept with
it. Who does not come for the answer has the task stopped.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository
from weir_core.collections.collecting import Collecting
from weir_core.collections.connections import demand, demand_source, secrets_of
from weir_core.collections.models import (
    Collection,
    Connection,
    ConnectionCheck,
    Counters,
    NewCollection,
    NewConnection,
    Plan,
    SyncMode,
)
from weir_core.collections.trials import (
    CHECK_TASK,
    PREVIEW_TASK,
    CheckAsked,
    Checked,
    PreviewAsked,
    Previewed,
)
from weir_core.datasets import repository as datasets
from weir_core.datasets.models import ColumnInfo, Dataset
from weir_core.datasets.values import SchemaPolicy
from weir_core.db import Database
from weir_core.errors import DeadlineReached, InvalidArgument, NotFound, StateConflict
from weir_core.fleet.models import TaskType
from weir_core.ids import new_id
from weir_core.principals import Caller, Principal
from weir_core.secrets import SecretBox
from weir_core.tasks import repository as task_rows
from weir_core.tasks.models import Failure
from weir_core.tasks.reading import Reading
from weir_core.tasks.service import TaskService
from weir_core.tasks.states import TERMINAL
from weir_core.tasks.stopping import Stopping, stop_holder
from weir_core.tasks.submitting import NewTask, Stored, make, store_one
from weir_core.tasks.watching import WatchHub
from weir_core.users.permissions import DEFAULT_PROJECT

WAIT: Final = timedelta(seconds=25)
"""A call waits so long for the worker; the server's own limit for a call is a little longer."""

_RETENTION: Final = timedelta(hours=1)
_COUNT: Final = 20

Found = TypeVar("Found", Checked, Previewed)


class SourceFailed(StateConflict):
    """The source could not be read; the metadata says how."""

    def __init__(self, failure: Failure) -> None:
        detail = failure.detail if failure.detail.get("kind") == "http" else {}
        super().__init__(
            f"the source can't be read: {failure.message}",
            kind=failure.kind.name,
            code=failure.code,
            host=str(detail.get("host", "")),
            http_status=str(detail.get("status") or ""),
        )
        self.failure = failure


class Trying:
    """Tries connections and collections."""

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        collecting: Collecting,
        *,
        tasks: TaskService,
        stopping: Stopping,
        hub: WatchHub,
        wait: timedelta = WAIT,
    ) -> None:
        self._db = db
        self._box = box
        self._connections = collecting.connections
        self._collections = collecting.collections
        self._trials = collecting.trials
        self._tasks = tasks
        self._stopping = stopping
        self._hub = hub
        self._reading = Reading(db)
        self._wait = wait

    async def check(self, caller: Caller, target: UUID | NewConnection, *, discover: bool) -> Checked:
        """Try a stored or an unsaved connection. A failed try is an answer.

        StateConflict where no worker lives that could try; DeadlineReached where none answers.
        """
        if isinstance(target, UUID):
            source = await self._connections.get_connection(caller, target, "connections.use")
            demand_source(source.connector, "connection_id")
            project, asked = source.project, await self._check_of(source, discover=discover)
        else:
            new = replace(target, project=target.project or DEFAULT_PROJECT)
            demand(caller, "connections.use", new.project)
            demand(caller, "connections.write", new.project)
            if new.allow_private_addresses:
                demand(caller, "connections.private", new.project)
            demand_source(new.connector, "connection.connector")
            await self._connections.check_new(new)
            project = new.project
            asked = CheckAsked(
                new.connector, new.settings, new.secrets, new.allow_private_addresses, discover
            )
        found = await self._try(caller, CHECK_TASK, project, asked, Checked)
        if isinstance(found, Failure):
            return Checked(ConnectionCheck(found, timedelta(0), datetime.now(UTC)))
        return found

    async def preview(self, caller: Caller, target: UUID | NewCollection, count: int = 0) -> Previewed:
        """Read the first records of a stored or an unsaved collection as a run would; none is kept.

        SourceFailed where they can't be read; StateConflict and DeadlineReached as for `check`.
        """
        if isinstance(target, UUID):
            stored = await self._collections.get_collection(caller, target, "collections.run")
            project, warnings = stored.project, list[str]()
            plan = await self._plan(stored, stored.dataset_id)
        else:
            new = replace(
                target, project=target.project or DEFAULT_PROJECT, dataset=target.dataset or target.name
            )
            for permission in ("collections.run", "collections.write", "connections.use"):
                demand(caller, permission, new.project)
            await self._collections.check_new(new)
            project = new.project
            known, warnings = await self._dataset_of(new)
            plan = await self._plan(new, known.id if known else None)
        asked = PreviewAsked(plan, count or _COUNT)
        found = await self._try(caller, PREVIEW_TASK, project, asked, Previewed)
        if isinstance(found, Failure):
            raise SourceFailed(found)
        if found.failure is not None:
            raise SourceFailed(found.failure)
        return replace(found, warnings=[*warnings, *found.warnings])

    async def _try(
        self,
        caller: Caller,
        name: str,
        project: str,
        asked: CheckAsked | PreviewAsked,
        kind: type[Found],
    ) -> Found | Failure:
        """The worker's answer, or why its task failed."""
        served = await self._served(name)

        async def work(tx: AsyncConnection) -> Stored:
            new = NewTask(project, name, {}, deadline=datetime.now(UTC) + self._wait)
            stored = await store_one(tx, make(caller, new, served, None, _RETENTION))
            await self._trials.ask(tx, stored.task.id, asked)
            return stored

        stored = await self._db.write(work)
        task_id = stored.task.id
        found: Found | Failure | None = None
        try:
            await self._tasks.started(stored)
            await self._hub.wait_ended(task_id, self._wait.total_seconds())
        finally:
            # Also for a caller that went away: a cancel must leave nothing behind.
            found = await asyncio.shield(self._settle(task_id, kind, caller.principal))
        if found is None:
            raise DeadlineReached(
                f"no worker answered within {self._wait.total_seconds():g} s, and the try was stopped; are "
                f"all workers busy, or is the queue {served.queue!r} paused? Try again later"
            )
        return found

    async def _settle(self, task_id: UUID, kind: type[Found], requester: Principal) -> Found | Failure | None:
        """The answer, or why there is none; the task is stopped where it still goes on without one."""
        found = await self._trials.take(kind, task_id)
        if found is not None:
            return found
        async with self._db.read() as tx:
            task = await task_rows.get(tx, task_id)
        if task is not None and task.state in TERMINAL:
            return task.failure
        await self._db.write(
            lambda tx: stop_holder(tx, task_id, requester, "nobody waits for its answer any more")
        )
        await self._stopping.carry_out()
        return None

    async def _served(self, name: str) -> TaskType:
        """The task type, which a live worker serves."""
        try:
            kind = await self._tasks.newest_type(name)
        except InvalidArgument:
            kind = None
        workers = await self._reading.workers()
        if kind is None or not any(worker.types.get(name, 0) >= kind.version for worker in workers):
            raise StateConflict("no worker lives that could try it; start one with `weir worker`")
        return kind

    async def _check_of(self, source: Connection, *, discover: bool) -> CheckAsked:
        async with self._db.read() as tx:
            secrets = await secrets_of(tx, self._box, source.id)
        return CheckAsked(
            connector=source.connector,
            settings=source.settings,
            secrets=secrets,
            allow_private_addresses=source.allow_private_addresses,
            discover=discover,
            connection_id=source.id,
            revision=source.revision,
            max_per_minute=source.politeness.max_per_minute,
        )

    async def _dataset_of(self, new: NewCollection) -> tuple[Dataset | None, list[str]]:
        """The dataset that an unsaved collection would take over, and what would be in its way."""
        async with self._db.read() as tx:
            found = await datasets.by_name(tx, new.project, new.dataset)
        if found is None or found.collection_id is None:
            return found, []
        return None, [
            f"the dataset {new.dataset!r} is written by another collection; name another one in `dataset`"
        ]

    async def _plan(self, wanted: Collection | NewCollection, dataset_id: UUID | None) -> Plan:
        """What a run from the start would get, without a place to write to."""
        columns: list[ColumnInfo] | None = None
        version = 0
        async with self._db.read() as tx:
            source = await repository.get_connection(tx, wanted.connection_id)
            if source is None:
                raise NotFound("connection", wanted.connection_id)
            secrets = await secrets_of(tx, self._box, source.id)
            target = await datasets.get_dataset(tx, dataset_id) if dataset_id else None
            if target is not None:
                version = target.schema_version
                columns = await datasets.columns_of(tx, target.id, version)
        anew = wanted.mode is SyncMode.FULL and wanted.schema_policy is SchemaPolicy.EVOLVE
        nowhere = new_id()
        return Plan(
            run_id=nowhere,
            attempt=0,
            collection=wanted.name,
            connection_id=source.id,
            connector=source.connector,
            settings=source.settings,
            secrets=secrets,
            allow_private_addresses=source.allow_private_addresses,
            max_per_minute=source.politeness.max_per_minute,
            stream=wanted.stream,
            collection_settings=wanted.settings,
            mode=wanted.mode,
            staged=True,
            cursor_field=wanted.cursor_field,
            key_fields=wanted.key_fields,
            deleted_field=wanted.deleted_field,
            schema_policy=wanted.schema_policy,
            count_nulls=(),
            cursor=None,
            inclusive=False,
            span=None,
            reached=None,
            position=None,
            known=None,
            commits=0,
            counters=Counters(),
            dataset_id=nowhere,
            dataset_version=0,
            columns=columns,
            columns_fixed=version > 0 and not anew,
            finished=False,
        )

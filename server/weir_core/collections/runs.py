"""Runs of collections: started and read by callers, done by workers.

One run of a collection goes at a time. A run starts where the collection's
cursor is; the cursor moves only when all was read, since a source need not give
its records in the cursor's order. What a worker writes is fenced by its attempt.
"""

from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository, run_repository
from weir_core.collections.connections import secrets_place
from weir_core.collections.models import Plan, Run, SyncMode, run
from weir_core.datasets import repository as datasets
from weir_core.db import Database
from weir_core.errors import InvalidArgument, NotFound, StateConflict
from weir_core.failpoints import reach
from weir_core.filtering import Filterable, enum_value, id_value, parse, to_sql
from weir_core.fleet.models import TaskType
from weir_core.idempotency import RequestKey, request_key
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.secrets import SecretBox
from weir_core.tasks.models import task
from weir_core.tasks.repository import fence
from weir_core.tasks.service import TaskService
from weir_core.tasks.states import TERMINAL, TaskState
from weir_core.tasks.submitting import NewTask, Stored, make, store_one

RUN_TASK: Final = "collection.run"
RUN_FILTERS: Final = {
    "project": Filterable(run.c.project),
    "collection_id": Filterable(run.c.collection_id, id_value),
    "state": Filterable(task.c.state, enum_value(TaskState)),
}


class RunService:
    """Starts, shows and does runs."""

    def __init__(self, db: Database, box: SecretBox, tasks: TaskService) -> None:
        self._db = db
        self._box = box
        self._tasks = tasks

    async def start(
        self, caller: Caller, collection_id: UUID, *, full: bool = False, request_id: str = ""
    ) -> tuple[Run, bool]:
        """Start a run, or find the one of the same span that goes already; True where it is new."""
        content = {"collection_id": str(collection_id), "full": full}
        key = request_key(caller.principal, "RunCollection", request_id, content)
        kind = await self._task_type()

        async def work(tx: AsyncConnection) -> tuple[UUID, Stored | None]:
            row = await repository.lock_collection(tx, collection_id)
            if row is None or not caller.holds("collections.run", row.project):
                raise NotFound("collection", collection_id)
            mode = SyncMode.FULL if full else SyncMode(row.mode)
            going = await _in_progress(tx, row, mode, key)
            if going is None:
                wanted = {"collection_id": str(collection_id), "full": mode is SyncMode.FULL}
                new = await insert_new_run(tx, caller, row, NewTask(row.project, RUN_TASK, wanted), kind)
                going = new.task.id
            else:
                new = None
            await run_repository.note_request(tx, key, going)
            return going, new

        run_id, new = await self._db.write(work)
        if new is not None:
            await self._tasks.started(new)
        async with self._db.read() as tx:
            found = await run_repository.get_run(tx, run_id)
        assert found is not None
        return found, new is not None

    async def get(self, caller: Caller, run_id: UUID) -> Run:
        """A run; NotFound where the caller may not see it."""
        async with self._db.read() as tx:
            found = await run_repository.get_run(tx, run_id)
        if found is None or not caller.holds("collections.read", found.project):
            raise NotFound("run", run_id)
        return found

    async def list_runs(self, caller: Caller, page: Page, filter_text: str) -> list[Run]:
        """Runs, newest first; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), RUN_FILTERS)
        projects = caller.projects("collections.read")
        if projects is not None:
            conditions.append(run.c.project.in_(projects))
        after = UUID(page.key[0]) if page.key else None
        async with self._db.read() as tx:
            return await run_repository.list_runs(tx, conditions, after, page.size + 1)

    async def begin(self, run_id: UUID, attempt: int) -> Plan:
        """All that an attempt needs; the run goes on where it was committed last."""

        async def work(tx: AsyncConnection) -> Plan:
            await fence(tx, run_id, attempt)
            row = await run_repository.run_row(tx, run_id)
            if row is None:
                raise NotFound("run", run_id)
            return await self._plan(tx, row, attempt)

        return await self._db.write(work)

    async def finish(self, run_id: UUID, attempt: int) -> Run:
        """All was read: publish what a full run wrote, and move the cursor."""

        async def work(tx: AsyncConnection) -> None:
            await fence(tx, run_id, attempt)
            row = await run_repository.run_row(tx, run_id)
            if row is None:
                raise NotFound("run", run_id)
            if not row.finished:
                await _finish(tx, row)
                reach("run.written")

        await self._db.write(work)
        reach("run.committed")
        async with self._db.read() as tx:
            found = await run_repository.get_run(tx, run_id)
        assert found is not None
        return found

    async def _task_type(self) -> TaskType:
        try:
            return await self._tasks.newest_type(RUN_TASK)
        except InvalidArgument:
            raise StateConflict("no worker has started yet; start one, then run the collection") from None

    async def _plan(self, tx: AsyncConnection, row: Row[Any], attempt: int) -> Plan:
        wanted = await repository.get_collection(tx, row.collection_id)
        if wanted is None:
            raise NotFound("collection", row.collection_id)
        source = await repository.get_connection(tx, wanted.connection_id)
        if source is None:
            raise NotFound("connection", wanted.connection_id)
        target = await datasets.get_dataset(tx, row.dataset_id)
        if target is None:
            raise NotFound("dataset", row.dataset_id)
        await run_repository.update_run(tx, row.id, {"connection_revision": source.revision})
        mode = SyncMode(row.mode)
        # A full run may bring other columns than the dataset has, but only at its start.
        fixed = row.schema_version or (target.schema_version if mode is SyncMode.INCREMENTAL else 0)
        return Plan(
            run_id=row.id,
            attempt=attempt,
            collection=wanted.name,
            connector=source.connector,
            settings=source.settings,
            secrets=await self._secrets(tx, source.id),
            allow_private_addresses=source.allow_private_addresses,
            stream=wanted.stream,
            collection_settings=wanted.settings,
            mode=mode,
            cursor_field=wanted.cursor_field,
            cursor=None if mode is SyncMode.FULL else row.cursor_before,
            reached=row.reached,
            position=row.position,
            commits=row.commits,
            counters=run_repository.counters_of(row),
            dataset_id=row.dataset_id,
            dataset_version=row.dataset_version,
            columns=await datasets.columns_of(
                tx, row.dataset_id, row.schema_version or target.schema_version
            ),
            columns_fixed=fixed > 0,
            finished=bool(row.finished),
        )

    async def _secrets(self, tx: AsyncConnection, connection_id: UUID) -> dict[str, str]:
        sealed = await repository.sealed_secrets(tx, connection_id)
        return orjson.loads(self._box.open(sealed, secrets_place(connection_id))) if sealed else {}


async def insert_new_run(
    tx: AsyncConnection, caller: Caller, row: Row[Any], new: NewTask, kind: TaskType
) -> Stored:
    """Store a run of a collection that the transaction holds, and that has none in progress."""
    mode = SyncMode.FULL if new.input["full"] else SyncMode(row.mode)
    # A run is shown with its task: the one is kept as long as the other.
    stored = await store_one(tx, make(caller, new, kind, None, None))
    await _insert_run(tx, row, stored.task.id, mode)
    return stored


async def live_run(tx: AsyncConnection, row: Row[Any]) -> Run | None:
    """The run of a collection that has not ended."""
    last = await run_repository.get_run(tx, row.last_run_id) if row.last_run_id else None
    return None if last is None or last.state in TERMINAL else last


async def _in_progress(
    tx: AsyncConnection, row: Row[Any], mode: SyncMode, key: RequestKey | None
) -> UUID | None:
    """The run that answers the request without a new one."""
    if key is not None and (made := await run_repository.run_of_request(tx, key)):
        return made
    last = await live_run(tx, row)
    if last is None:
        return None
    if last.state is not TaskState.CANCELLING and last.mode is mode:
        return last.id
    doing = (
        "is being cancelled" if last.state is TaskState.CANCELLING else f"in mode {last.mode.name} goes on"
    )
    raise StateConflict(
        f"run {last.id} of the collection {doing}; wait for its end, or cancel it with CancelTask",
        state=last.state.name,
        allowed=", ".join(sorted(state.name for state in TERMINAL)),
    )


async def _insert_run(tx: AsyncConnection, row: Row[Any], run_id: UUID, mode: SyncMode) -> None:
    full = mode is SyncMode.FULL
    # What an unfinished incremental run has published is not read again.
    pending = row.pending if not full and row.pending else {"position": None, "reached": row.cursor}
    values: dict[str, Any] = {
        "id": run_id,
        "project": row.project,
        "collection_id": row.id,
        "dataset_id": row.dataset_id,
        "mode": int(mode),
        "generation": await _generation(tx, row.dataset_id, full=full),
        "cursor_before": row.cursor,
        "reached": None if full else pending["reached"],
        "position": None if full else pending["position"],
        "residue": full,
    }
    await run_repository.insert_run(tx, values)
    await repository.update_collection(tx, row.id, {"last_run_id": run_id})


async def _generation(tx: AsyncConnection, dataset_id: UUID, *, full: bool) -> int:
    if full:
        return await datasets.take_generation(tx, dataset_id)
    return (await datasets.dataset_row(tx, dataset_id)).generation


async def _finish(tx: AsyncConnection, row: Row[Any]) -> None:
    full = SyncMode(row.mode) is SyncMode.FULL
    moved: dict[str, Any] = {"pending": None}
    if full or row.reached is not None:
        moved["cursor"] = row.reached
    await repository.update_collection(tx, row.collection_id, moved)
    version = await _publish(tx, row) if full else row.dataset_version
    await run_repository.update_run(tx, row.id, {"finished": True, "dataset_version": version})


async def _publish(tx: AsyncConnection, row: Row[Any]) -> int:
    """Swap the segments of a full run in; the dataset's new version."""
    rows, size, count = await datasets.totals(tx, row.id)
    values: dict[str, Any] = {
        "generation": row.generation,
        "record_count": rows,
        "size_bytes": size,
        "segment_count": count,
        "quarantine_count": row.records_quarantined,
    }
    if row.schema_version:
        values["schema_version"] = row.schema_version
    version = await datasets.new_version(tx, row.dataset_id, values)
    await datasets.publish(tx, row.dataset_id, row.id, version)
    return version

"""Runs of collections: started and read by callers, done by workers.

One run of a collection goes at a time, and one backfill beside it. A run starts where the collection's
cursor is; the cursor moves only when all was read, since a source need not give
its records in the cursor's order. What a worker writes is fenced by its attempt.
"""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository, run_repository
from weir_core.collections.connections import secrets_of
from weir_core.collections.guards import Found, complaint
from weir_core.collections.models import BY_CURSOR, Collection, Plan, Run, Span, SyncMode, run
from weir_core.datasets import repository as datasets
from weir_core.datasets.arrow_types import parse_type
from weir_core.datasets.commits import KNOWN, UNCHANGED, Settled
from weir_core.datasets.cursors import as_json, as_scalar, earlier, is_state
from weir_core.datasets.manifest import column_type
from weir_core.datasets.models import ColumnInfo
from weir_core.datasets.publishing import demand_version, own_hidden, show
from weir_core.datasets.values import CursorValue, SchemaPolicy
from weir_core.db import Database
from weir_core.errors import InvalidArgument, NotFound, StateConflict
from weir_core.failpoints import reach
from weir_core.filtering import Filterable, enum_value, id_value, parse, to_sql
from weir_core.fleet.models import TaskType
from weir_core.idempotency import RequestKey, request_key
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.secrets import SecretBox
from weir_core.tasks.models import Concurrency, task
from weir_core.tasks.repository import fence
from weir_core.tasks.service import TaskService
from weir_core.tasks.states import TERMINAL, TaskState
from weir_core.tasks.submitting import NewTask, Stored, make, store_one

_USUAL_RUNS: Final = 7
_RUNS_AT_A_TIME: Final = 4
RUN_TASK: Final = "collection.run"
RUN_FILTERS: Final = {
    "project": Filterable(run.c.project),
    "collection_id": Filterable(run.c.collection_id, id_value),
    "state": Filterable(task.c.state, enum_value(TaskState)),
}


class GuardStopped(Exception):
    """A run that its collection's guards did not let pass; nothing of it is shown."""

    def __init__(self, said: list[str]) -> None:
        super().__init__("; ".join(said))


class RunService:
    """Starts, shows and does runs."""

    def __init__(self, db: Database, box: SecretBox, tasks: TaskService) -> None:
        self._db = db
        self._box = box
        self._tasks = tasks

    async def start(
        self,
        caller: Caller,
        collection_id: UUID,
        *,
        full: bool = False,
        backfill: Span | None = None,
        request_id: str = "",
    ) -> tuple[Run, bool]:
        """Start a run, or find the one of the same span that goes already; True where it is new."""
        content: dict[str, Any] = {"collection_id": str(collection_id), "full": full}
        if backfill is not None:
            content["backfill"] = asdict(backfill)
        key = request_key(caller.principal, "RunCollection", request_id, content)
        kind = await self._task_type()

        async def work(tx: AsyncConnection) -> tuple[UUID, Stored | None]:
            row = await repository.lock_collection(tx, collection_id)
            if row is None or not caller.holds("collections.run", row.project):
                raise NotFound("collection", collection_id)
            mode = SyncMode.FULL if full else SyncMode(row.mode)
            span = await checked_span(tx, row, backfill) if backfill else None
            going = await _in_progress(tx, row, mode, span, key)
            if going is None:
                wanted = {"collection_id": str(collection_id), "full": mode is SyncMode.FULL}
                new = await insert_new_run(
                    tx, caller, row, NewTask(row.project, RUN_TASK, wanted), kind, span=span, anew=full
                )
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

    async def finish(self, run_id: UUID, attempt: int, settled: Settled | None = None) -> Run:
        """All was read: show what a staged run wrote, and move the cursor.

        GuardStopped, where one of the collection's guards does not let it pass; Outdated, where the
        dataset has changed since it was settled what to hide.
        """

        async def work(tx: AsyncConnection) -> list[str]:
            await fence(tx, run_id, attempt)
            row = await run_repository.run_row(tx, run_id)
            if row is None:
                raise NotFound("run", run_id)
            if row.finished:
                return []
            warnings, stops = ([], []) if _is_unchanged(row) else await _asked_guards(tx, row)
            if warnings or stops:
                await run_repository.update_run(tx, run_id, {"warnings": [*warnings, *stops]})
            if not stops:
                await _finish(tx, row, settled)
                reach("run.written")
            return stops

        if stops := await self._db.write(work):
            raise GuardStopped(stops)
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
        anew = mode is SyncMode.FULL and wanted.schema_policy is SchemaPolicy.EVOLVE
        fixed = row.schema_version or (0 if anew else target.schema_version)
        columns = await datasets.columns_of(tx, row.dataset_id, row.schema_version or target.schema_version)
        span = Span(**row.span) if row.span else None
        full = mode is SyncMode.FULL
        return Plan(
            run_id=row.id,
            attempt=attempt,
            collection=wanted.name,
            connection_id=source.id,
            connector=source.connector,
            settings=source.settings,
            secrets=await secrets_of(tx, self._box, source.id),
            allow_private_addresses=source.allow_private_addresses,
            max_per_minute=source.politeness.max_per_minute,
            stream=wanted.stream,
            collection_settings=wanted.settings,
            mode=mode,
            staged=run_repository.is_staged(row),
            cursor_field=wanted.cursor_field,
            key_fields=wanted.key_fields,
            deleted_field=wanted.deleted_field,
            schema_policy=wanted.schema_policy,
            count_nulls=tuple({guard.column: None for guard in wanted.guards if guard.column}),
            cursor=None if full else span.start if span else _begin(wanted, row.cursor_before, columns),
            inclusive=span is not None or (mode is SyncMode.MERGE and not full),
            span=span,
            reached=row.reached,
            position=row.position,
            known=row.known,
            commits=row.commits,
            counters=run_repository.counters_of(row),
            dataset_id=row.dataset_id,
            dataset_version=row.dataset_version,
            columns=columns,
            columns_fixed=fixed > 0,
            finished=bool(row.finished),
        )


async def insert_new_run(
    tx: AsyncConnection,
    caller: Caller,
    row: Row[Any],
    new: NewTask,
    kind: TaskType,
    *,
    span: Span | None = None,
    anew: bool = False,
) -> Stored:
    """Store a run of a collection that the transaction holds, and that has none in progress.

    With `anew` the source is read even if it says that nothing has changed.
    """
    mode = SyncMode.FULL if new.input["full"] else SyncMode(row.mode)
    new = replace(new, concurrency=await _turn_of(tx, row.connection_id))
    # A run is shown with its task: the one is kept as long as the other.
    stored = await store_one(tx, make(caller, new, kind, None, None))
    await _insert_run(tx, row, stored.task.id, mode, span, anew=anew)
    return stored


async def _turn_of(tx: AsyncConnection, connection_id: UUID) -> Concurrency | None:
    """The limit of runs over a connection at a time; it has a name that people know."""
    source = await repository.get_connection(tx, connection_id)
    if source is None:
        return None
    return Concurrency(f"connection/{source.name}", source.politeness.max_concurrency or _RUNS_AT_A_TIME)


async def live_run(tx: AsyncConnection, row: Row[Any]) -> Run | None:
    """The run of a collection that has not ended."""
    return await _unfinished(tx, row.last_run_id)


async def _unfinished(tx: AsyncConnection, run_id: UUID | None) -> Run | None:
    found = await run_repository.get_run(tx, run_id) if run_id else None
    return None if found is None or found.state in TERMINAL else found


async def _in_progress(
    tx: AsyncConnection, row: Row[Any], mode: SyncMode, span: Span | None, key: RequestKey | None
) -> UUID | None:
    """The run that answers the request without a new one; one backfill may go beside the other runs."""
    if key is not None and (made := await run_repository.run_of_request(tx, key)):
        return made
    last = await _unfinished(tx, row.backfill_run_id if span else row.last_run_id)
    if last is None:
        return None
    if last.state is not TaskState.CANCELLING and last.mode is mode and last.span == span:
        return last.id
    going = f"from {last.span.start} to {last.span.end}" if last.span else f"in mode {last.mode.name}"
    doing = "is being cancelled" if last.state is TaskState.CANCELLING else f"{going} goes on"
    raise StateConflict(
        f"run {last.id} of the collection {doing}; wait for its end, or cancel it with CancelTask",
        state=last.state.name,
        allowed=", ".join(sorted(state.name for state in TERMINAL)),
    )


async def _insert_run(
    tx: AsyncConnection, row: Row[Any], run_id: UUID, mode: SyncMode, span: Span | None, *, anew: bool
) -> None:
    guarded = any(not guard["warn_only"] for guard in row.guards or ())
    staged = mode is SyncMode.FULL or span is not None or guarded
    # What an unfinished run has published is not read again.
    pending = row.pending if not staged and row.pending else {"position": None, "reached": row.cursor}
    values: dict[str, Any] = {
        "id": run_id,
        "project": row.project,
        "collection_id": row.id,
        "dataset_id": row.dataset_id,
        "mode": int(mode),
        "staged": staged,
        "span": asdict(span) if span else None,
        "generation": await _generation(tx, row.dataset_id, staged=staged),
        "cursor_before": row.cursor,
        "reached": None if mode is SyncMode.FULL or span else pending["reached"],
        "position": pending["position"],
        # What is appended is wanted at each run, the same too.
        "known": None if anew or span or mode is SyncMode.APPEND else row.known,
        "residue": staged,
    }
    await run_repository.insert_run(tx, values)
    newest = "backfill_run_id" if span else "last_run_id"
    await repository.update_collection(tx, row.id, {newest: run_id})


async def _generation(tx: AsyncConnection, dataset_id: UUID, *, staged: bool) -> int:
    if staged:
        return await datasets.take_generation(tx, dataset_id)
    return (await datasets.dataset_row(tx, dataset_id)).generation


async def _asked_guards(tx: AsyncConnection, row: Row[Any]) -> tuple[list[str], list[str]]:
    """What the guards of a run's collection say: who only warns, and who stops it."""
    wanted = await repository.get_collection(tx, row.collection_id)
    if wanted is None or not wanted.guards:
        return [], []
    kind = await column_type(tx, row.dataset_id, wanted.cursor_field)
    found = Found(
        row.records_written,
        row.records_quarantined,
        await run_repository.usual_records(tx, row, _USUAL_RUNS),
        _age(row.reached, kind),
        row.nulls or {},
    )
    said = [(guard.warn_only, text) for guard in wanted.guards if (text := complaint(guard, found))]
    return [text for warns, text in said if warns], [text for warns, text in said if not warns]


def _age(reached: CursorValue | None, kind: pa.DataType | None) -> timedelta | None:
    if reached is None or is_state(reached) or kind is None or not pa.types.is_temporal(kind):
        return None
    instant = as_scalar(reached, kind).cast(pa.timestamp("us", "UTC")).as_py()
    return datetime.now(UTC) - instant


def _is_unchanged(row: Row[Any]) -> bool:
    """True where the source said so: the dataset and the cursor stay as they are."""
    return bool(row.position and row.position.get(UNCHANGED))


async def _finish(tx: AsyncConnection, row: Row[Any], settled: Settled | None) -> None:
    if _is_unchanged(row):
        await repository.update_collection(tx, row.collection_id, {"pending": None})
        await run_repository.update_run(tx, row.id, {"finished": True})
        return
    if not row.span:
        moved: dict[str, Any] = {"pending": None, "known": (row.position or {}).get(KNOWN)}
        if SyncMode(row.mode) is SyncMode.FULL or row.reached is not None:
            moved["cursor"] = row.reached
        await repository.update_collection(tx, row.collection_id, moved)
    done: dict[str, Any] = {"finished": True}
    if run_repository.is_staged(row):
        await demand_version(tx, row.dataset_id, settled)
        done["dataset_version"] = await show(tx, row, settled)
        own = own_hidden(settled, {one.path for one in await datasets.segments_of_run(tx, row.id)})
        done["records_written"] = row.records_written - own
    await run_repository.update_run(tx, row.id, done)


async def checked_span(tx: AsyncConnection, row: Row[Any], span: Span) -> Span:
    """A backfill's span as values of the cursor field; InvalidArgument where it can't be read."""
    if SyncMode(row.mode) not in BY_CURSOR:
        raise InvalidArgument.at(
            "backfill", "is for collections in mode INCREMENTAL or MERGE; run this one with `full`"
        )
    target = await datasets.get_dataset(tx, row.dataset_id)
    columns = await datasets.columns_of(tx, row.dataset_id, target.schema_version) if target else None
    kind = next((column.type for column in columns or [] if column.name == row.cursor_field), None)
    if kind is None or row.cursor is None:
        raise StateConflict(
            "the collection has collected nothing yet; run it first, then fill back what lies behind"
        )
    if is_state(row.cursor):
        raise InvalidArgument.at("backfill", "the source keeps its place itself, and can read no span")
    try:
        start, end = (_bound(value, parse_type(kind)) for value in (span.start, span.end))
    except ValueError as error:
        raise InvalidArgument.at("backfill", str(error)) from None
    if not pc.less(start, end).as_py():
        raise InvalidArgument.at(
            "backfill", f"must end after it starts, at {span.start}; it ends at {span.end}"
        )
    if pc.greater(end, as_scalar(row.cursor, parse_type(kind))).as_py():
        raise InvalidArgument.at(
            "backfill",
            f"must end at the collection's cursor {row.cursor} or before it: what lies after is for its runs",
        )
    return Span(as_json(start), as_json(end))


def _bound(value: CursorValue, kind: pa.DataType) -> pa.Scalar:
    """An end of a span as a value of the cursor field; a column without zone takes times in UTC too."""
    if isinstance(value, str) and pa.types.is_date(kind):
        value = value[:10]
    if isinstance(value, str) and pa.types.is_timestamp(kind) and kind.tz is None:
        value = value.removesuffix("Z")
    return as_scalar(value, kind)


def _begin(
    wanted: Collection, cursor: CursorValue | None, columns: list[ColumnInfo] | None
) -> CursorValue | None:
    """Where a run begins to read: at the cursor, or the collection's lag before it."""
    kind = next((column.type for column in columns or [] if column.name == wanted.cursor_field), None)
    if cursor is None or kind is None or not wanted.lag:
        return cursor
    if is_state(cursor):
        raise ValueError(
            "a lag is for sources that are read by a cursor field; this one keeps its place itself"
        )
    return earlier(cursor, wanted.lag, parse_type(kind))

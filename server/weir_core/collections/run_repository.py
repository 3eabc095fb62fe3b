"""All SQL about runs."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections.models import COUNTERS, Counters, Run, Span, SyncMode, run, run_request
from weir_core.columns import database_now, insert_new
from weir_core.idempotency import RequestKey
from weir_core.tasks.encoding import load_failure
from weir_core.tasks.models import task
from weir_core.tasks.states import TERMINAL, TaskState

_runs = select(
    run,
    task.c.state.label("task_state"),
    task.c.failure.label("task_failure"),
    task.c.end_time.label("task_end_time"),
).join(task, task.c.id == run.c.id)


@dataclass(frozen=True, slots=True)
class Residue:
    """A run of which rows may be left that no version shows."""

    id: UUID
    dataset_id: UUID
    mode: SyncMode
    generation: int
    finished: bool


async def insert_run(tx: AsyncConnection, values: dict[str, Any]) -> None:
    """Store a run that has done nothing yet."""
    start: dict[str, Any] = {
        "schema_version": 0,
        "connection_revision": 0,
        "commits": 0,
        "dataset_version": 0,
        "finished": False,
        "create_time": database_now(),
    }
    await tx.execute(insert(run).values(**(start | dict.fromkeys(COUNTERS, 0) | values)))


async def note_request(tx: AsyncConnection, key: RequestKey | None, run_id: UUID) -> None:
    """Keep which run a request was answered with; RequestIdReused where it had other content before."""
    if key is None:
        return
    row = {"key": key.key, "content": key.content, "run_id": run_id}
    await insert_new(tx, run_request, row)
    await run_of_request(tx, key)


async def run_of_request(tx: AsyncConnection, key: RequestKey) -> UUID | None:
    """The run that a request was answered with; RequestIdReused where its content was another."""
    row = (await tx.execute(select(run_request).where(run_request.c.key == key.key))).first()
    if row is None:
        return None
    key.check(row.content)
    return row.run_id


async def get_run(tx: AsyncConnection, run_id: UUID) -> Run | None:
    """A run with the state of its task."""
    row = (await tx.execute(_runs.where(run.c.id == run_id))).first()
    return _run(row) if row else None


async def runs_by_id(tx: AsyncConnection, run_ids: list[UUID]) -> dict[UUID, Run]:
    """Some runs."""
    rows = await tx.execute(_runs.where(run.c.id.in_(run_ids)))
    return {row.id: _run(row) for row in rows}


async def list_runs(
    tx: AsyncConnection, conditions: list[ColumnElement[bool]], after: UUID | None, limit: int
) -> list[Run]:
    """Runs, newest first."""
    query = _runs.where(*conditions).order_by(run.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(run.c.id < after)
    return [_run(row) for row in await tx.execute(query)]


async def run_row(tx: AsyncConnection, run_id: UUID) -> Row[Any] | None:
    """The row of a run; who holds the fence of its task has it alone."""
    return (await tx.execute(select(run).where(run.c.id == run_id))).first()


async def update_run(tx: AsyncConnection, run_id: UUID, values: dict[str, Any]) -> None:
    """Set columns of a run."""
    await tx.execute(update(run).where(run.c.id == run_id).values(**values))


async def residues(tx: AsyncConnection, limit: int) -> list[Residue]:
    """Runs that have ended and may have left rows behind."""
    query = (
        select(run.c.id, run.c.dataset_id, run.c.mode, run.c.generation, run.c.finished)
        .join(task, task.c.id == run.c.id)
        .where(run.c.residue, task.c.state.in_([int(state) for state in TERMINAL]))
        .order_by(run.c.id)
        .limit(limit)
    )
    return [
        Residue(row.id, row.dataset_id, SyncMode(row.mode), row.generation, bool(row.finished))
        for row in await tx.execute(query)
    ]


async def live_attempts(tx: AsyncConnection, run_ids: list[UUID]) -> dict[UUID, int]:
    """The newest attempt of each of some runs that have not ended."""
    query = select(task.c.id, task.c.attempt).where(
        task.c.id.in_(run_ids), task.c.state.not_in([int(state) for state in TERMINAL])
    )
    return {row.id: row.attempt for row in await tx.execute(query)}


async def usual_records(tx: AsyncConnection, row: Row[Any], limit: int) -> list[int]:
    """Records of the newest runs like this one that were shown, newest first."""
    query = select(run.c.records_written).where(
        run.c.collection_id == row.collection_id,
        run.c.id < row.id,
        run.c.finished,
        run.c.mode == row.mode,
        run.c.span.is_(None),
        # A full run that has made no version found nothing changed.
        or_(run.c.mode != int(SyncMode.FULL), run.c.dataset_version > 0),
    )
    return list((await tx.execute(query.order_by(run.c.id.desc()).limit(limit))).scalars())


def is_staged(row: Row[Any]) -> bool:
    """True: what the run wrote is shown at its end. A run that an older server has made does not say so."""
    return bool(row.staged) or SyncMode(row.mode) is SyncMode.FULL


def counters_of(row: Row[Any]) -> Counters:
    """The counters in a run's row."""
    return Counters(**{name: getattr(row, name) for name in COUNTERS})


def _run(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        project=row.project,
        collection_id=row.collection_id,
        dataset_id=row.dataset_id,
        mode=SyncMode(row.mode),
        span=Span(**row.span) if row.span else None,
        state=TaskState(row.task_state),
        counters=counters_of(row),
        connection_revision=row.connection_revision,
        cursor_before=row.cursor_before,
        cursor_after=row.reached,
        dataset_version=row.dataset_version,
        warnings=tuple(row.warnings or ()),
        schema_changes=tuple(row.schema_changes or ()),
        failure=load_failure(row.task_failure),
        create_time=row.create_time,
        end_time=row.task_end_time,
    )

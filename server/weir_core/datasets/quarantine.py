"""Records that did not fit: shown, and put into their dataset after all or dropped.

A record counts while it belongs to its dataset's generation. The task that
resolves them goes through them in portions; a portion is one transaction, so
that each record is in quarantine or in the dataset, never in both.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository as collections
from weir_core.collections.models import Collection
from weir_core.datasets import repository
from weir_core.datasets.commits import Segment, Settled
from weir_core.datasets.manifest import schema_version, segment_values
from weir_core.datasets.models import ColumnInfo, Dataset, dataset, quarantine
from weir_core.datasets.publishing import demand_version, hide
from weir_core.db import Database
from weir_core.errors import Conflict, NotFound, QuotaExceeded, StateConflict
from weir_core.failpoints import reach
from weir_core.filtering import Filterable, id_value, parse, time_value, to_sql
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.tasks import repository as tasks
from weir_core.tasks.models import Concurrency
from weir_core.tasks.repository import fence
from weir_core.tasks.service import Submitted, TaskService
from weir_core.tasks.states import OnConflict
from weir_core.tasks.submitting import NewTask

RESOLVE_TASK: Final = "quarantine.resolve"
FILTERS: Final = {
    "dataset_id": Filterable(quarantine.c.dataset_id, id_value),
    "column": Filterable(quarantine.c.field),
    "run_id": Filterable(quarantine.c.run_id, id_value),
    "create_time": Filterable(quarantine.c.create_time, time_value, ops=("<", "<=", ">", ">=")),
}
_PORTION_RECORDS: Final = 10_000
_PORTION_BYTES: Final = 16 * 1024 * 1024
_STEP: Final = 200


class Action(StrEnum):
    """What to do with quarantined records."""

    REPLAY = "replay"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that did not fit."""

    id: UUID
    dataset_id: UUID
    run_id: UUID
    raw: bytes
    truncated: bool
    page: int
    position: int
    column: str
    reason: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Target:
    """The dataset that records go to, with the rules of today."""

    dataset: Dataset
    columns: list[ColumnInfo]
    collection: Collection
    connector: str


class QuarantineService:
    """What did not fit, and what becomes of it."""

    def __init__(self, db: Database, task_service: TaskService) -> None:
        self._db = db
        self._tasks = task_service

    async def list_records(self, caller: Caller, page: Page, filter_text: str) -> list[Quarantined]:
        """Records in quarantine, newest first; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), FILTERS)
        projects = caller.projects("datasets.read")
        if projects is not None:
            conditions.append(dataset.c.project.in_(projects))
        after = UUID(page.key[0]) if page.key else None
        async with self._db.read() as tx:
            return [
                _shown(row) for row in await repository.list_rejects(tx, conditions, after, page.size + 1)
            ]

    async def resolve(
        self, caller: Caller, dataset_id: UUID, filter_text: str, action: Action, request_id: str = ""
    ) -> Submitted:
        """Submit the task that replays or drops records; refused while another does so for the dataset."""
        to_sql(parse(filter_text), FILTERS)
        async with self._db.read() as tx:
            found = await repository.get_dataset(tx, dataset_id)
        if found is None or not caller.holds("datasets.write", found.project):
            raise NotFound("dataset", dataset_id)
        given = {"dataset_id": str(dataset_id), "filter": filter_text, "action": action.value}
        key = Concurrency(f"quarantine:{dataset_id}", 1, OnConflict.REJECT)
        new = NewTask(found.project, RESOLVE_TASK, given, concurrency=key, content=given)
        kind = await self._tasks.newest_type(RESOLVE_TASK)
        try:
            return await self._tasks.submit(caller, new, kind, request_id, method="ResolveQuarantine")
        except QuotaExceeded as error:
            raise StateConflict(
                f"another task resolves quarantine of the dataset; wait for its end: {error.message}",
                state="RUNNING",
            ) from error

    async def target(self, task_id: UUID, dataset_id: UUID) -> Target:
        """Where a resolving task puts records; NotFound for a dataset of another project than the task's."""
        async with self._db.read() as tx:
            asked = await tasks.get(tx, task_id)
            found = await repository.get_dataset(tx, dataset_id)
            if asked is None or found is None or found.project != asked.project:
                raise NotFound("dataset", dataset_id)
            writer = (
                await collections.get_collection(tx, found.collection_id) if found.collection_id else None
            )
            if writer is None:
                raise StateConflict(
                    "no collection writes the dataset: its rules are not known", state="ORPHANED"
                )
            source = await collections.get_connection(tx, writer.connection_id)
            if source is None:
                raise NotFound("connection", writer.connection_id)
            columns = await repository.columns_of(tx, dataset_id, found.schema_version) or []
        return Target(found, columns, writer, source.connector)

    async def portion(self, dataset_id: UUID, filter_text: str, after: UUID | None) -> list[Quarantined]:
        """The next records that match, oldest first: 10,000 or 16 MiB."""
        conditions = to_sql(parse(filter_text), FILTERS)
        found: list[Quarantined] = []
        size = 0
        while len(found) < _PORTION_RECORDS and size < _PORTION_BYTES:
            last = found[-1].id if found else after
            async with self._db.read() as tx:
                rows = await repository.rejects_of(tx, dataset_id, conditions, after=last, limit=_STEP)
            found += [_shown(row) for row in rows]
            size += sum(len(row.raw) for row in rows)
            if len(rows) < _STEP:
                break
        return found

    async def commit(
        self,
        task_id: UUID,
        attempt: int,
        target: Target,
        gone: list[UUID],
        *,
        segment: Segment | None = None,
        settled: Settled | None = None,
    ) -> None:
        """Take records out of quarantine, and show the segment that has them now: both or nothing.

        Sent again because its answer was lost it changes nothing. Conflict, where some of the records
        are gone otherwise; Outdated, where it must be settled anew what a merge hides.
        """

        async def work(tx: AsyncConnection) -> None:
            await fence(tx, task_id, attempt)
            row = await repository.lock_dataset(tx, target.dataset.id)
            there = await repository.count_rejects(tx, gone)
            if not there:
                return
            if there != len(gone):
                raise Conflict("some of the records have been resolved otherwise")
            values: dict[str, Any] = {"quarantine_count": dataset.c.quarantine_count - there}
            version_of = None
            if segment is not None:
                await demand_version(tx, row.id, settled)
                version_of, _ = await schema_version(tx, row.id, segment.schema, shown=True)
                values |= {
                    "record_count": dataset.c.record_count + segment.rows,
                    "size_bytes": dataset.c.size_bytes + segment.bytes,
                    "segment_count": dataset.c.segment_count + 1,
                    "schema_version": version_of,
                }
            version = await repository.new_version(tx, row.id, values)
            if segment is not None:
                stored = segment_values(segment, row.id, task_id, attempt)
                stored |= {"number": 0, "generation": row.generation, "from_version": version}
                await repository.insert_segment(tx, stored | {"schema_version": version_of})
                await hide(tx, row.id, version, settled)
            await repository.delete_rejects_by_id(tx, gone)
            reach("resolve.written")

        await self._db.write(work)
        reach("resolve.committed")


def _shown(row: Any) -> Quarantined:
    return Quarantined(
        id=row.id,
        dataset_id=row.dataset_id,
        run_id=row.run_id,
        raw=row.raw,
        truncated=bool(row.truncated),
        page=row.page,
        position=row.position,
        column=row.field,
        reason=row.reason,
        create_time=row.create_time,
    )

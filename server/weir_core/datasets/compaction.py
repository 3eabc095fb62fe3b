"""Puts small segments of a dataset together, a group of neighbours at a time.

A group is read and written outside of any transaction, while runs go on. The new
segment takes its place in one transaction, if the dataset still has the old ones
as they were read; else the group is given up, never the run that was faster. The
old ones stay with the versions that had them, until these can't be read any more.
"""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository as collections
from weir_core.collections.models import Collection
from weir_core.datasets import compaction_repository, repository
from weir_core.datasets.ahead import ahead
from weir_core.datasets.grouping import Full, Sized, gain, groups
from weir_core.datasets.manifest import segment_values
from weir_core.datasets.models import Dataset
from weir_core.datasets.publishing import put_together
from weir_core.datasets.rewriting import Rewriting, Together, Written
from weir_core.datasets.service import arrow_schema
from weir_core.db import Database
from weir_core.errors import NotFound, PositionExpired, StateConflict
from weir_core.failpoints import reach
from weir_core.principals import SYSTEM, Caller
from weir_core.stores.contract import ObjectStore
from weir_core.tasks import repository as tasks
from weir_core.tasks.models import Concurrency
from weir_core.tasks.repository import fence
from weir_core.tasks.service import Submitted, TaskService
from weir_core.tasks.states import OnConflict
from weir_core.tasks.submitting import NewTask

COMPACT_TASK: Final = "dataset.compact"
PERMISSION: Final = "system.maintain"
_WEIR: Final = Caller(SYSTEM, {"*": frozenset({"*"})})


@dataclass(frozen=True, slots=True)
class Compacting:
    """What there is to do for a dataset, by one version of it."""

    dataset: Dataset
    collection: Collection
    schema: pa.Schema
    schema_version: int
    groups: list[list[Sized]]


class CompactionService:
    """Finds, reads and replaces small segments."""

    def __init__(
        self, db: Database, store: ObjectStore, task_service: TaskService, *, segment_rows: int, after: int
    ) -> None:
        self._db = db
        self._store = store
        self._tasks = task_service
        self._full = Full(segment_rows)
        self._after = after

    async def start(self, caller: Caller, dataset_id: UUID, request_id: str = "") -> Submitted:
        """Submit the task that compacts a dataset, or find the one that does already."""
        async with self._db.read() as tx:
            found = await repository.get_dataset(tx, dataset_id)
        if found is None or not caller.holds(PERMISSION, found.project):
            raise NotFound("dataset", dataset_id)
        if found.collection_id is None:
            raise _orphaned()
        given = {"dataset_id": str(dataset_id)}
        key = Concurrency(f"compact:{dataset_id}", 1, OnConflict.JOIN)
        new = NewTask(found.project, COMPACT_TASK, given, concurrency=key, content=given)
        kind = await self._tasks.newest_type(COMPACT_TASK)
        return await self._tasks.submit(caller, new, kind, request_id, method="RunMaintenance")

    async def start_if_due(self, dataset_id: UUID) -> UUID | None:
        """Submit it in Weir's own name where that makes enough segments fewer; its id."""
        if not self._after:
            return None
        async with self._db.read() as tx:
            found = await repository.get_dataset(tx, dataset_id)
            if found is None or found.segment_count <= self._after:
                return None
            writer = await _writer(tx, found)
            if writer is None or gain(await self._groups(tx, found, writer)) < self._after:
                return None
        return (await self.start(_WEIR, dataset_id)).task.id

    async def plan(self, task_id: UUID, dataset_id: UUID) -> Compacting:
        """What a compacting task does; NotFound for a dataset of another project than the task's."""
        async with self._db.read() as tx:
            asked = await tasks.get(tx, task_id)
            found = await repository.get_dataset(tx, dataset_id)
            if asked is None or found is None or found.project != asked.project:
                raise NotFound("dataset", dataset_id)
            writer = await _writer(tx, found)
            if writer is None:
                raise _orphaned()
            shown = await compaction_repository.newest_schema_shown(tx, dataset_id, found.version)
            columns = await repository.columns_of(tx, dataset_id, shown) or []
            groups_of = await self._groups(tx, found, writer)
        return Compacting(found, writer, arrow_schema(columns), shown, groups_of)

    async def write(self, name: str, plan: Compacting, group: list[Sized]) -> Written | None:
        """Write the file of a group; None where the dataset has changed so that it is not worth while."""
        async with self._db.read() as tx:
            dataset_id, version = plan.dataset.id, plan.dataset.version
            segments = await repository.visible_segments(
                tx, dataset_id, version, [segment.id for segment in group]
            )
        if len(segments) != len(group):
            return None
        rules = plan.collection.rules
        together = Together(segments, plan.schema, rules.cursor_field, rules.deleted_field)
        rewriting = Rewriting(self._store, name, together)
        try:
            async with aclosing(ahead(rewriting.steps())) as steps:
                async for _ in steps:
                    pass
        except PositionExpired:
            return None
        return rewriting.written

    async def replace(
        self, task_id: UUID, attempt: int, plan: Compacting, group: list[Sized], written: Written
    ) -> bool:
        """Put what was written in the place of its group; False where the dataset has changed meanwhile.

        Sent again because its answer was lost it changes nothing.
        """

        async def work(tx: AsyncConnection) -> bool:
            await fence(tx, task_id, attempt)
            row = await repository.lock_dataset(tx, plan.dataset.id)
            ids, made = [segment.id for segment in group], written.segment
            if await compaction_repository.sizes(tx, row.id, row.version, ids) != group:
                return made is not None and made.path in await repository.known_paths(tx, [made.path])
            values: dict[str, Any] = {}
            if made is not None:
                values = segment_values(made, row.id, task_id, attempt)
                values |= {"number": 0, "schema_version": plan.schema_version}
            await put_together(tx, row, group, written, values)
            reach("compact.written")
            return True

        replaced = await self._db.write(work)
        reach("compact.committed")
        return replaced

    async def _groups(self, tx: AsyncConnection, found: Dataset, writer: Collection) -> list[list[Sized]]:
        sizes = await compaction_repository.sizes(tx, found.id, found.version)
        return groups(sizes, self._full, keeps_hidden=bool(writer.deleted_field))


async def _writer(tx: AsyncConnection, found: Dataset) -> Collection | None:
    """The collection that writes a dataset."""
    return await collections.get_collection(tx, found.collection_id) if found.collection_id else None


def _orphaned() -> StateConflict:
    return StateConflict("no collection writes the dataset: its rules are not known", state="ORPHANED")

"""Datasets, as callers read them and runs write them."""

from collections import Counter
from dataclasses import asdict, replace
from typing import Any, Final
from uuid import UUID

import orjson
import pyarrow as pa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository as collections
from weir_core.collections import run_repository as runs
from weir_core.collections.models import Counters, Plan, SyncMode
from weir_core.datasets import repository
from weir_core.datasets.arrow_types import parse_type
from weir_core.datasets.commits import Commit, Segment, Settled
from weir_core.datasets.manifest import schema_version, segment_values
from weir_core.datasets.merging import Mergeable
from weir_core.datasets.models import ColumnInfo, Dataset, StoredSegment, dataset
from weir_core.datasets.publishing import demand_version, grow, hide, own_hidden
from weir_core.datasets.reader import Mark, Marks, RecordQuery, Records, checked_version
from weir_core.datasets.reading import Query, Reading
from weir_core.datasets.settling import Replacing, run_segments, settle_segments
from weir_core.datasets.values import Rules
from weir_core.db import Database
from weir_core.errors import EtagMismatch, InUse, InvalidArgument, NotFound, Violation
from weir_core.failpoints import reach
from weir_core.filtering import Filterable, id_value, parse, to_sql
from weir_core.paging import Page, PageTokens
from weir_core.principals import Caller
from weir_core.stores.contract import ObjectStore
from weir_core.tasks.repository import fence

MAX_POSITION: Final = 65536
_MOST_CHANGES: Final = 1000
FILTERS: Final = {
    "project": Filterable(dataset.c.project),
    "name": Filterable(dataset.c.name),
    "collection_id": Filterable(dataset.c.collection_id, id_value),
}


class DatasetService:
    """What is kept, and the one way that anything gets there."""

    def __init__(self, db: Database, store: ObjectStore, tokens: PageTokens) -> None:
        self._db = db
        self._store = store
        self._marks = Marks(tokens)

    async def get(self, caller: Caller, dataset_id: UUID) -> Dataset:
        """A dataset with its columns; NotFound where the caller may not see it."""
        async with self._db.read() as tx:
            found = await repository.get_dataset(tx, dataset_id)
            if found is None or not caller.holds("datasets.read", found.project):
                raise NotFound("dataset", dataset_id)
            columns = await repository.columns_of(tx, dataset_id, found.schema_version)
        return replace(found, columns=columns or [])

    async def list_datasets(self, caller: Caller, page: Page, filter_text: str) -> list[Dataset]:
        """Datasets by name, without columns; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), FILTERS)
        projects = caller.projects("datasets.read")
        after = (str(page.key[0]), UUID(page.key[1])) if page.key else None
        async with self._db.read() as tx:
            return await repository.list_datasets(tx, projects, conditions, after, page.size + 1)

    async def delete(self, caller: Caller, dataset_id: UUID, etag: str = "") -> None:
        """Delete a dataset that no collection writes; its files and its quarantine are swept later."""

        async def work(tx: AsyncConnection) -> None:
            row = await repository.lock_any(tx, dataset_id)
            if row is None or not caller.holds("datasets.write", row.project):
                raise NotFound("dataset", dataset_id)
            if row.is_delete:
                return
            if etag and etag != str(row.version):
                raise EtagMismatch("dataset", dataset_id)
            if row.collection_id is not None:
                raise InUse(
                    f"collection {row.collection_id} writes the dataset; delete that first",
                    by=f"collection {row.collection_id}",
                )
            version = await repository.new_version(tx, dataset_id, {"is_delete": True, "live": None})
            await repository.retire_all(tx, dataset_id, version)

        await self._db.write(work)

    async def open(self, caller: Caller, query: RecordQuery) -> Records:
        """Begin to read records, or go on; all come from one version of the dataset."""
        found = await self.get(caller, query.dataset_id)
        mark = self._marks.read(query)
        version = checked_version(mark.version, found.version, found.oldest_version)
        async with self._db.read() as tx:
            segments = await repository.visible_segments(tx, query.dataset_id, version)
            # That of a version before the newest may have had other columns.
            schema = max((one.schema_version for one in segments), default=found.schema_version)
            columns = await repository.columns_of(tx, query.dataset_id, schema)
        reading = _reading(self._store, query, mark, segments, arrow_schema(columns or []))
        return Records(found.project, reading, self._marks, query, replace(mark, version=version))

    async def settle_segment(self, dataset_id: UUID, rules: Rules, segment: Segment) -> Settled:
        """What a segment hides when it is merged into its dataset; SchemaMismatch where it can't be."""
        new = Mergeable(segment.path, segment.rows, dict(segment.bounds))
        return await settle_segments(
            self._db, self._store, dataset_id, [new], schema=segment.schema, replacing=Replacing(rules)
        )

    async def settle_run(self, plan: Plan) -> Settled | None:
        """What a staged run hides when it is shown; SchemaMismatch where it can't be merged."""
        if not (plan.staged and plan.columns and (plan.key_fields or plan.span)):
            return None
        span = (plan.span.start, plan.span.end) if plan.span else None
        return await settle_segments(
            self._db,
            self._store,
            plan.dataset_id,
            await run_segments(self._db, plan.run_id),
            schema=arrow_schema(plan.columns),
            replacing=Replacing(plan.rules, span, alone=plan.mode is SyncMode.FULL),
        )

    async def commit(self, run_id: UUID, attempt: int, number: int, commit: Commit) -> Counters:
        """Make a segment, its rejects, the counters and the position visible, together or not at all.

        Commits of a run are numbered from 1 over all attempts. One that is sent
        again because its answer was lost changes nothing. Outdated, where the dataset has
        changed since it was settled what a merge hides.
        """
        _check_position(commit)

        async def work(tx: AsyncConnection) -> Counters:
            await fence(tx, run_id, attempt)
            row = await runs.run_row(tx, run_id)
            if row is None:
                raise NotFound("run", run_id)
            if row.commits == number:
                return runs.counters_of(row)
            if row.commits != number - 1 or row.finished:
                raise ValueError(f"commit {number} of run {run_id} does not follow commit {row.commits}")
            counters = await _apply(tx, row, attempt, number, commit)
            reach("segment.written")
            return counters

        counters = await self._db.write(work)
        reach("segment.committed")
        return counters


def arrow_schema(columns: list[ColumnInfo]) -> pa.Schema:
    """Columns as an Arrow schema."""
    return pa.schema([pa.field(column.name, parse_type(column.type), column.nullable) for column in columns])


def _reading(
    store: ObjectStore, query: RecordQuery, mark: Mark, segments: list[StoredSegment], schema: pa.Schema
) -> Reading:
    try:
        left = max(0, query.limit - mark.given)
        wanted = Query(segments, schema, query.columns, parse(query.filter), left, mark.place)
        return Reading(store, wanted)
    except InvalidArgument as error:
        # The fields stand below `query` in the request.
        at = [Violation(f"query.{one.field}", one.description) for one in error.violations]
        raise type(error)(*at, **error.metadata) from None


async def _apply(tx: AsyncConnection, row: Row[Any], attempt: int, number: int, commit: Commit) -> Counters:
    reached = row.reached if commit.cursor is None else commit.cursor
    done: dict[str, Any] = {"commits": number, "position": commit.position, "reached": reached}
    if commit.nulls:
        done["nulls"] = dict(Counter(row.nulls or {}) + Counter(commit.nulls))
    staged = runs.is_staged(row)
    if not staged:
        pending = {"position": commit.position, "reached": reached}
        await collections.update_collection(tx, row.collection_id, {"pending": pending})
    if commit.segment is not None:
        number_of, told = await schema_version(tx, row.dataset_id, commit.segment.schema, shown=not staged)
        done["schema_version"] = number_of
        done["schema_changes"] = [*(row.schema_changes or ()), *told][:_MOST_CHANGES]
    version = None
    if not staged and (commit.segment or commit.rejects):
        await demand_version(tx, row.dataset_id, commit.settled)
        version = await grow(tx, row, commit, done.get("schema_version"))
        done["dataset_version"] = version
    if commit.segment is not None:
        values = segment_values(commit.segment, row.dataset_id, row.id, attempt)
        values |= {"number": number, "generation": row.generation, "from_version": version}
        values |= {"schema_version": done["schema_version"]}
        await repository.insert_segment(tx, values)
    if version is not None:
        await hide(tx, row.dataset_id, version, commit.settled)
    await repository.insert_rejects(tx, row.dataset_id, row.id, row.generation, commit.rejects)
    counters = _counted(runs.counters_of(row), commit)
    await runs.update_run(tx, row.id, done | asdict(counters))
    return counters


def _counted(before: Counters, commit: Commit) -> Counters:
    segment = commit.segment
    written = segment.rows - own_hidden(commit.settled, {segment.path}) if segment else 0
    return Counters(
        records_read=before.records_read + commit.counts.records,
        records_written=before.records_written + written,
        records_quarantined=before.records_quarantined + len(commit.rejects),
        bytes_read=before.bytes_read + commit.counts.bytes,
        bytes_written=before.bytes_written + (segment.bytes if segment else 0),
        segments=before.segments + (1 if segment else 0),
        requests=before.requests + commit.counts.requests,
    )


def _check_position(commit: Commit) -> None:
    size = len(orjson.dumps(commit.position)) + len(orjson.dumps(commit.cursor))
    if size > MAX_POSITION:
        raise ValueError(f"position and cursor take {size:,} bytes; at most {MAX_POSITION:,} are kept")

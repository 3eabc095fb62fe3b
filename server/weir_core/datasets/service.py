"""Datasets, as callers read them and runs write them."""

from dataclasses import asdict, replace
from typing import Any, Final
from uuid import UUID

import orjson
import pyarrow as pa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections import repository as collections
from weir_core.collections import run_repository as runs
from weir_core.collections.models import Counters, SyncMode
from weir_core.datasets import repository
from weir_core.datasets.arrow_types import parse_type, type_text
from weir_core.datasets.commits import Commit, Segment
from weir_core.datasets.models import ColumnInfo, Dataset, StoredSegment, dataset
from weir_core.datasets.reader import Mark, Marks, RecordQuery, Records, checked_version
from weir_core.datasets.reading import Query, Reading
from weir_core.db import Database
from weir_core.errors import InvalidArgument, NotFound, Violation
from weir_core.failpoints import reach
from weir_core.filtering import Filterable, id_value, parse, to_sql
from weir_core.paging import Page, PageTokens
from weir_core.principals import Caller
from weir_core.store import ObjectStore
from weir_core.tasks.repository import fence

MAX_POSITION: Final = 65536
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

    async def commit(self, run_id: UUID, attempt: int, number: int, commit: Commit) -> Counters:
        """Make a segment, its rejects, the counters and the position visible, together or not at all.

        Commits of a run are numbered from 1 over all attempts. One that is sent
        again because its answer was lost changes nothing.
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


def columns_in(schema: pa.Schema) -> list[ColumnInfo]:
    """The columns of an Arrow schema, as the database keeps them."""
    return [ColumnInfo(field.name, type_text(field.type), field.nullable) for field in schema]


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
    incremental = SyncMode(row.mode) is SyncMode.INCREMENTAL
    if incremental:
        pending = {"position": commit.position, "reached": reached}
        await collections.update_collection(tx, row.collection_id, {"pending": pending})
    if commit.segment is not None:
        done["schema_version"] = await _schema_version(tx, row, commit.segment.schema)
    version = None
    if incremental and (commit.segment or commit.rejects):
        version = await _grow(tx, row, commit, done.get("schema_version"))
        done["dataset_version"] = version
    if commit.segment is not None:
        values = _segment_values(row, attempt, number, commit.segment)
        values |= {"schema_version": done["schema_version"], "from_version": version}
        await repository.insert_segment(tx, values)
    await repository.insert_rejects(tx, row.dataset_id, row.id, row.generation, commit.rejects)
    counters = _counted(runs.counters_of(row), commit)
    await runs.update_run(tx, row.id, done | asdict(counters))
    return counters


async def _grow(tx: AsyncConnection, row: Row[Any], commit: Commit, schema_version: int | None) -> int:
    """Add a commit of an incremental run to its dataset; the version that has it."""
    values: dict[str, Any] = {
        "quarantine_count": dataset.c.quarantine_count + len(commit.rejects),
    }
    if commit.segment is not None:
        values |= {
            "record_count": dataset.c.record_count + commit.segment.rows,
            "size_bytes": dataset.c.size_bytes + commit.segment.bytes,
            "segment_count": dataset.c.segment_count + 1,
            "schema_version": schema_version,
        }
    return await repository.new_version(tx, row.dataset_id, values)


async def _schema_version(tx: AsyncConnection, row: Row[Any], schema: pa.Schema) -> int:
    """The version of the dataset's schema that a segment has; a new one where none fits."""
    newest, known = await repository.newest_schema(tx, row.dataset_id)
    columns = columns_in(schema)
    if newest and [replace(column, since=1) for column in known] == columns:
        return newest
    since = {(column.name, column.type): column.since for column in known}
    stored = [
        asdict(replace(column, since=since.get((column.name, column.type), newest + 1))) for column in columns
    ]
    await repository.insert_schema(tx, row.dataset_id, newest + 1, stored)
    return newest + 1


def _segment_values(row: Row[Any], attempt: int, number: int, segment: Segment) -> dict[str, Any]:
    return {
        "dataset_id": row.dataset_id,
        "run_id": row.id,
        "attempt": attempt,
        "number": number,
        "generation": row.generation,
        "path": segment.path,
        "rows": segment.rows,
        "bytes": segment.bytes,
        "sha256": bytes.fromhex(segment.sha256),
        "low": segment.low,
        "high": segment.high,
    }


def _counted(before: Counters, commit: Commit) -> Counters:
    segment = commit.segment
    return Counters(
        records_read=before.records_read + commit.counts.records,
        records_written=before.records_written + (segment.rows if segment else 0),
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

"""All SQL about datasets, their schemas, segments and quarantine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now, insert_new, now_plus
from weir_core.datasets.commits import Reject
from weir_core.datasets.models import (
    ColumnInfo,
    Dataset,
    StoredSegment,
    dataset,
    dataset_schema,
    hidden_rows,
    quarantine,
    segment,
)
from weir_core.datasets.values import CursorValue
from weir_core.ids import new_id


@dataclass(frozen=True, slots=True)
class OldSegment:
    """A segment that may go; from `to_version` on no version has it."""

    id: UUID
    dataset_id: UUID
    path: str
    to_version: int


@dataclass(frozen=True, slots=True)
class OldHidden:
    """Rows that were hidden in versions before `to_version`."""

    id: UUID
    dataset_id: UUID
    to_version: int


async def insert_dataset(
    tx: AsyncConnection, dataset_id: UUID, project: str, name: str, collection_id: UUID
) -> bool:
    """Store an empty dataset; False where its name is taken."""
    values: dict[str, Any] = {
        "id": dataset_id,
        "project": project,
        "name": name,
        "collection_id": collection_id,
        "create_time": datetime.now(UTC),
        "is_delete": False,
        "live": True,
        "next_generation": 1,
    }
    zero = ("version", "oldest_version", "generation", "schema_version", "record_count")
    counts = ("size_bytes", "segment_count", "quarantine_count")
    return await insert_new(tx, dataset, values | dict.fromkeys(zero + counts, 0))


async def lock_by_name(tx: AsyncConnection, project: str, name: str) -> Row[Any] | None:
    """The row of a dataset, held until the transaction ends."""
    query = select(dataset).where(dataset.c.project == project, dataset.c.name == name, dataset.c.live)
    return (await tx.execute(query.with_for_update())).first()


async def by_name(tx: AsyncConnection, project: str, name: str) -> Dataset | None:
    """A dataset, without its columns."""
    query = select(dataset).where(dataset.c.project == project, dataset.c.name == name, dataset.c.live)
    row = (await tx.execute(query)).first()
    return _dataset(row) if row else None


async def get_dataset(tx: AsyncConnection, dataset_id: UUID) -> Dataset | None:
    """A dataset, without its columns."""
    row = (await tx.execute(select(dataset).where(dataset.c.id == dataset_id, dataset.c.live))).first()
    return _dataset(row) if row else None


async def list_datasets(
    tx: AsyncConnection,
    projects: list[str] | None,
    conditions: list[ColumnElement[bool]],
    after: tuple[str, UUID] | None,
    limit: int,
) -> list[Dataset]:
    """Datasets by name, without their columns."""
    query = select(dataset).where(dataset.c.live, *conditions).order_by(dataset.c.name, dataset.c.id)
    if projects is not None:
        query = query.where(dataset.c.project.in_(projects))
    if after is not None:
        name, key = after
        query = query.where(or_(dataset.c.name > name, and_(dataset.c.name == name, dataset.c.id > key)))
    return [_dataset(row) for row in await tx.execute(query.limit(limit))]


async def update_dataset(tx: AsyncConnection, dataset_id: UUID, values: dict[str, Any]) -> None:
    """Set columns of a dataset."""
    await tx.execute(update(dataset).where(dataset.c.id == dataset_id).values(**values))


async def new_version(tx: AsyncConnection, dataset_id: UUID, values: dict[str, Any]) -> int:
    """Give a dataset its next version, with what changes in it; the version's number."""
    changed = values | {"version": dataset.c.version + 1, "commit_time": database_now()}
    await update_dataset(tx, dataset_id, changed)
    return (await tx.execute(select(dataset.c.version).where(dataset.c.id == dataset_id))).scalar_one()


async def dataset_row(tx: AsyncConnection, dataset_id: UUID) -> Row[Any]:
    """The row of a dataset that is there."""
    return (await tx.execute(select(dataset).where(dataset.c.id == dataset_id))).one()


async def take_generation(tx: AsyncConnection, dataset_id: UUID) -> int:
    """A generation that no other run of the dataset has."""
    next_one = dataset.c.next_generation
    await update_dataset(tx, dataset_id, {"next_generation": next_one + 1})
    return (await tx.execute(select(next_one).where(dataset.c.id == dataset_id))).scalar_one() - 1


async def columns_of(tx: AsyncConnection, dataset_id: UUID, version: int) -> list[ColumnInfo] | None:
    """The columns in a version of the schema."""
    query = select(dataset_schema.c.columns).where(
        dataset_schema.c.dataset_id == dataset_id, dataset_schema.c.version == version
    )
    found = (await tx.execute(query)).scalar()
    return None if found is None else [ColumnInfo(**column) for column in found]


async def newest_schema(tx: AsyncConnection, dataset_id: UUID) -> tuple[int, list[ColumnInfo]]:
    """The newest version of the schema, published or not; 0 with no columns where there is none."""
    query = (
        select(dataset_schema.c.version, dataset_schema.c.columns)
        .where(dataset_schema.c.dataset_id == dataset_id)
        .order_by(dataset_schema.c.version.desc())
        .limit(1)
    )
    row = (await tx.execute(query)).first()
    return (row.version, [ColumnInfo(**column) for column in row.columns]) if row else (0, [])


async def insert_schema(
    tx: AsyncConnection, dataset_id: UUID, version: int, columns: list[dict[str, Any]]
) -> None:
    """Store a version of the schema."""
    await tx.execute(
        insert(dataset_schema).values(
            dataset_id=dataset_id, version=version, columns=columns, create_time=database_now()
        )
    )


async def insert_segment(tx: AsyncConnection, values: dict[str, Any]) -> None:
    """Name a file in the manifest; with no `id` it is the last of its dataset."""
    made = {"id": new_id(), "create_time": database_now()}
    await tx.execute(insert(segment).values(**made | values))


async def visible_segments(
    tx: AsyncConnection, dataset_id: UUID, version: int, only: Sequence[UUID] | None = None
) -> list[StoredSegment]:
    """The segments of a version or some of them, in their order, with the rows that are hidden in it."""
    some = [] if only is None else [segment.c.id.in_(only)]
    some_hidden = [] if only is None else [hidden_rows.c.segment_id.in_(only)]
    query = (
        select(segment)
        .where(
            segment.c.dataset_id == dataset_id,
            segment.c.from_version <= version,
            or_(segment.c.to_version.is_(None), segment.c.to_version > version),
            *some,
        )
        .order_by(segment.c.id)
    )
    hidden = {
        row.segment_id: row
        for row in await tx.execute(
            select(hidden_rows).where(
                hidden_rows.c.dataset_id == dataset_id,
                hidden_rows.c.from_version <= version,
                or_(hidden_rows.c.to_version.is_(None), hidden_rows.c.to_version > version),
                *some_hidden,
            )
        )
    }
    return [_segment(row, hidden.get(row.id)) for row in await tx.execute(query)]


async def segments_of_run(tx: AsyncConnection, run_id: UUID) -> list[StoredSegment]:
    """The segments that a run has committed, in their order."""
    query = select(segment).where(segment.c.run_id == run_id).order_by(segment.c.number)
    return [_segment(row, None) for row in await tx.execute(query)]


async def lock_dataset(tx: AsyncConnection, dataset_id: UUID) -> Row[Any]:
    """The row of a dataset that is there, held until the transaction ends."""
    return (await tx.execute(select(dataset).where(dataset.c.id == dataset_id).with_for_update())).one()


async def lock_any(tx: AsyncConnection, dataset_id: UUID) -> Row[Any] | None:
    """The row of a dataset, deleted or not, held until the transaction ends."""
    return (await tx.execute(select(dataset).where(dataset.c.id == dataset_id).with_for_update())).first()


async def deleted_with_rejects(tx: AsyncConnection, limit: int) -> list[UUID]:
    """Deleted datasets whose quarantine may be there still."""
    query = select(dataset.c.id).where(dataset.c.is_delete, dataset.c.quarantine_count > 0).limit(limit)
    return list((await tx.execute(query)).scalars())


async def hide_rows(
    tx: AsyncConnection, dataset_id: UUID, version: int, packed: dict[str, tuple[int, bytes]]
) -> int:
    """Hide rows of segments, by path, from a version on; how many more are hidden than before."""
    if not packed:
        return 0
    found = await tx.execute(select(segment.c.id, segment.c.path).where(segment.c.path.in_(packed)))
    ids = {row.path: row.id for row in found}
    in_force = and_(hidden_rows.c.segment_id.in_(ids.values()), hidden_rows.c.to_version.is_(None))
    before = (
        await tx.execute(select(func.coalesce(func.sum(hidden_rows.c.rows), 0)).where(in_force))
    ).scalar_one()
    await tx.execute(
        update(hidden_rows).where(in_force).values(to_version=version, retire_time=database_now())
    )
    rows = [
        {
            "id": new_id(),
            "dataset_id": dataset_id,
            "segment_id": ids[path],
            "rows": count,
            "places": places,
            "from_version": version,
        }
        for path, (count, places) in packed.items()
    ]
    await tx.execute(insert(hidden_rows), rows)
    return sum(count for count, _ in packed.values()) - int(before)


async def retire_all(tx: AsyncConnection, dataset_id: UUID, version: int) -> None:
    """From this version on the dataset has none of the segments that it has now."""
    for table in (segment, hidden_rows):
        await tx.execute(
            update(table)
            .where(
                table.c.dataset_id == dataset_id,
                table.c.from_version.is_not(None),
                table.c.to_version.is_(None),
            )
            .values(to_version=version, retire_time=database_now())
        )


async def publish(tx: AsyncConnection, run_id: UUID, version: int) -> None:
    """From this version on the dataset has the segments of a staged run."""
    await tx.execute(
        update(segment)
        .where(segment.c.run_id == run_id, segment.c.from_version.is_(None))
        .values(from_version=version)
    )


async def totals(tx: AsyncConnection, run_id: UUID) -> tuple[int, int, int]:
    """Rows, bytes and number of a run's segments."""
    query = select(
        func.coalesce(func.sum(segment.c.rows), 0),
        func.coalesce(func.sum(segment.c.bytes), 0),
        func.count(),
    ).where(segment.c.run_id == run_id)
    rows, size, count = (await tx.execute(query)).one()
    return int(rows), int(size), int(count)


async def insert_rejects(
    tx: AsyncConnection, dataset_id: UUID, run_id: UUID, generation: int, rejects: Sequence[Reject]
) -> None:
    """Put records into quarantine."""
    rows = [
        {
            "id": new_id(),
            "dataset_id": dataset_id,
            "run_id": run_id,
            "generation": generation,
            "page": reject.page,
            "position": reject.position,
            "field": reject.column,
            "reason": reject.reason,
            "raw": reject.raw,
            "truncated": reject.truncated,
            "create_time": datetime.now(UTC),
        }
        for reject in rejects
    ]
    if rows:
        await tx.execute(insert(quarantine), rows)


async def list_rejects(
    tx: AsyncConnection, conditions: list[ColumnElement[bool]], after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Records in quarantine that count, newest first."""
    query = _rejects.where(*conditions).order_by(quarantine.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(quarantine.c.id < after)
    return (await tx.execute(query)).all()


async def rejects_of(
    tx: AsyncConnection,
    dataset_id: UUID,
    conditions: list[ColumnElement[bool]],
    *,
    after: UUID | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Records in a dataset's quarantine that count, oldest first."""
    query = _rejects.where(quarantine.c.dataset_id == dataset_id, *conditions)
    if after is not None:
        query = query.where(quarantine.c.id > after)
    return (await tx.execute(query.order_by(quarantine.c.id).limit(limit))).all()


async def count_rejects(tx: AsyncConnection, ids: list[UUID]) -> int:
    """How many of some records are in quarantine."""
    return sum([await _counted(tx, part) for part in _parts(ids)])


async def delete_rejects_by_id(tx: AsyncConnection, ids: list[UUID]) -> None:
    """Remove records from quarantine."""
    for part in _parts(ids):
        await tx.execute(delete(quarantine).where(quarantine.c.id.in_(part)))


async def _counted(tx: AsyncConnection, ids: list[UUID]) -> int:
    return (
        await tx.execute(select(func.count()).select_from(quarantine).where(quarantine.c.id.in_(ids)))
    ).scalar_one()


def _parts(ids: list[UUID]) -> Iterator[list[UUID]]:
    # SQLite takes 32,766 values in a statement.
    return (ids[at : at + 5000] for at in range(0, len(ids), 5000))


_rejects = select(quarantine).join(
    dataset,
    and_(
        dataset.c.id == quarantine.c.dataset_id,
        dataset.c.generation == quarantine.c.generation,
        dataset.c.live,
    ),
)


async def retired(tx: AsyncConnection, grace: timedelta, limit: int) -> list[OldSegment]:
    """Segments that no newest version has had for a while."""
    query = select(segment).where(segment.c.retire_time <= now_plus(-grace)).order_by(segment.c.retire_time)
    return [_old(row) for row in await tx.execute(query.limit(limit))]


async def unpublished(tx: AsyncConnection, run_id: UUID, limit: int) -> list[OldSegment]:
    """Segments of a run that no version shows."""
    query = select(segment).where(segment.c.run_id == run_id, segment.c.from_version.is_(None))
    return [_old(row) for row in await tx.execute(query.limit(limit))]


async def retired_hidden(tx: AsyncConnection, grace: timedelta, limit: int) -> list[OldHidden]:
    """What was hidden in versions before the newest, for a while."""
    query = select(hidden_rows.c.id, hidden_rows.c.dataset_id, hidden_rows.c.to_version)
    old = hidden_rows.c.retire_time <= now_plus(-grace)
    found = await tx.execute(query.where(old).order_by(hidden_rows.c.retire_time).limit(limit))
    return [OldHidden(row.id, row.dataset_id, row.to_version) for row in found]


async def delete_hidden(tx: AsyncConnection, ids: list[UUID]) -> None:
    """Forget hidden rows."""
    await tx.execute(delete(hidden_rows).where(hidden_rows.c.id.in_(ids)))


async def keep_rejects(tx: AsyncConnection, run_id: UUID, generation: int) -> None:
    """The quarantine of a staged run counts from now on."""
    await tx.execute(update(quarantine).where(quarantine.c.run_id == run_id).values(generation=generation))


async def delete_segments(tx: AsyncConnection, segment_ids: list[UUID]) -> None:
    """Take segments out of the manifest."""
    await tx.execute(delete(hidden_rows).where(hidden_rows.c.segment_id.in_(segment_ids)))
    await tx.execute(delete(segment).where(segment.c.id.in_(segment_ids)))


async def expire_versions(tx: AsyncConnection, dataset_id: UUID, oldest: int) -> None:
    """Versions before `oldest` can't be read any more."""
    await tx.execute(
        update(dataset)
        .where(dataset.c.id == dataset_id, dataset.c.oldest_version < oldest)
        .values(oldest_version=oldest)
    )


async def delete_rejects(tx: AsyncConnection, where: ColumnElement[bool], limit: int) -> int:
    """Remove rows from quarantine; how many."""
    found = (await tx.execute(select(quarantine.c.id).where(where).limit(limit))).scalars().all()
    if found:
        await tx.execute(delete(quarantine).where(quarantine.c.id.in_(found)))
    return len(found)


def of_run(run_id: UUID) -> ColumnElement[bool]:
    """Quarantine of a run."""
    return quarantine.c.run_id == run_id


def of_dataset(dataset_id: UUID) -> ColumnElement[bool]:
    """All quarantine of a dataset."""
    return quarantine.c.dataset_id == dataset_id


def before_generation(dataset_id: UUID, generation: int) -> ColumnElement[bool]:
    """Quarantine of what a full run has replaced."""
    return and_(quarantine.c.dataset_id == dataset_id, quarantine.c.generation < generation)


async def known_paths(tx: AsyncConnection, paths: list[str]) -> set[str]:
    """Those of some files that the manifest names."""
    return set((await tx.execute(select(segment.c.path).where(segment.c.path.in_(paths)))).scalars())


def _dataset(row: Row[Any]) -> Dataset:
    return Dataset(
        id=row.id,
        project=row.project,
        name=row.name,
        collection_id=row.collection_id,
        version=row.version,
        oldest_version=row.oldest_version,
        generation=row.generation,
        schema_version=row.schema_version,
        record_count=row.record_count,
        size_bytes=row.size_bytes,
        segment_count=row.segment_count,
        quarantine_count=row.quarantine_count,
        commit_time=row.commit_time,
    )


def _segment(row: Row[Any], hidden: Row[Any] | None) -> StoredSegment:
    return StoredSegment(
        id=row.id,
        path=row.path,
        rows=row.rows,
        bytes=row.bytes,
        sha256=row.sha256,
        schema_version=row.schema_version,
        low=row.low,
        high=row.high,
        bounds=_bounds(row.bounds),
        hidden=hidden.places if hidden else None,
        hidden_count=hidden.rows if hidden else 0,
    )


def _old(row: Row[Any]) -> OldSegment:
    return OldSegment(row.id, row.dataset_id, row.path, row.to_version or 0)


def _bounds(stored: dict[str, list[CursorValue]] | None) -> dict[str, tuple[CursorValue, CursorValue]]:
    return {name: (ends[0], ends[1]) for name, ends in (stored or {}).items()}

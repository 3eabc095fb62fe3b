"""What a commit and the end of a run change in their dataset, inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections.models import SyncMode
from weir_core.datasets import compaction_repository, repository
from weir_core.datasets.commits import Commit, Settled
from weir_core.datasets.grouping import Sized
from weir_core.datasets.hidden import count, pack
from weir_core.datasets.models import dataset
from weir_core.datasets.rewriting import Written
from weir_core.datasets.settling import Outdated


async def demand_version(tx: AsyncConnection, dataset_id: UUID, settled: Settled | None) -> None:
    """Outdated, where a dataset has changed since it was settled what to hide."""
    if settled is not None and (await repository.lock_dataset(tx, dataset_id)).version != settled.version:
        raise Outdated


async def grow(tx: AsyncConnection, row: Row[Any], commit: Commit, schema_version: int | None) -> int:
    """Give a dataset the version that shows a commit; its number."""
    values: dict[str, Any] = {"quarantine_count": dataset.c.quarantine_count + len(commit.rejects)}
    if commit.segment is not None:
        values |= {
            "record_count": dataset.c.record_count + commit.segment.rows,
            "size_bytes": dataset.c.size_bytes + commit.segment.bytes,
            "segment_count": dataset.c.segment_count + 1,
            "schema_version": schema_version,
        }
    return await repository.new_version(tx, row.dataset_id, values)


async def hide(tx: AsyncConnection, dataset_id: UUID, version: int, settled: Settled | None) -> None:
    """Hide what a merge or a backfill replaces, from a version on."""
    if settled is None:
        return
    packed = {hiding.path: (count(hiding.places), pack(hiding.places)) for hiding in settled.hidden}
    more = await repository.hide_rows(tx, dataset_id, version, packed)
    await repository.update_dataset(tx, dataset_id, {"record_count": dataset.c.record_count - more})


async def show(tx: AsyncConnection, row: Row[Any], settled: Settled | None) -> int:
    """Show the segments of a staged run, all at once; the dataset's new version."""
    rows, size, segments = await repository.totals(tx, row.id)
    full = SyncMode(row.mode) is SyncMode.FULL
    kept = {name: 0 if full else dataset.c[name] for name in _COUNTS}
    added = dict(zip(_COUNTS, (rows, size, segments, row.records_quarantined), strict=True))
    values: dict[str, Any] = {name: kept[name] + added[name] for name in _COUNTS}
    if full:
        values["generation"] = row.generation
    if row.schema_version:
        values["schema_version"] = row.schema_version
    version = await repository.new_version(tx, row.dataset_id, values)
    if full:
        await repository.retire_all(tx, row.dataset_id, version)
    else:
        generation = (await repository.dataset_row(tx, row.dataset_id)).generation
        await repository.keep_rejects(tx, row.id, generation)
    await repository.publish(tx, row.id, version)
    await hide(tx, row.dataset_id, version, settled)
    return version


async def put_together(
    tx: AsyncConnection, row: Row[Any], old: Sequence[Sized], written: Written, values: dict[str, Any]
) -> None:
    """Give a dataset the version that has one segment in the place of some, with the same records."""
    made = written.segment
    changed = {
        "size_bytes": dataset.c.size_bytes - sum(one.bytes for one in old) + (made.bytes if made else 0),
        "segment_count": dataset.c.segment_count - len(old) + (1 if made else 0),
    }
    version = await compaction_repository.next_version(tx, row.id, changed)
    await compaction_repository.retire(tx, [one.id for one in old], version)
    if made is None:
        return
    # Ids are the order of segments: right behind the first of them no other segment has its place.
    place = {"id": UUID(int=old[0].id.int + 1), "generation": row.generation, "from_version": version}
    await repository.insert_segment(tx, values | place)
    if written.hidden is not None:
        packed = {made.path: (count(written.hidden), pack(written.hidden))}
        await repository.hide_rows(tx, row.id, version, packed)


def own_hidden(settled: Settled | None, paths: set[str]) -> int:
    """How many rows of some segments are hidden."""
    return sum(count(each.places) for each in settled.hidden if each.path in paths) if settled else 0


_COUNTS = ("record_count", "size_bytes", "segment_count", "quarantine_count")

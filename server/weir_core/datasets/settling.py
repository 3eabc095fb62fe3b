"""Settles which records of a dataset count, for a run that merges or fills back.

What is hidden is found outside of any transaction, from one version of the
manifest, and stored with the commit that needs it if the dataset still has that
version: else it is found anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import pyarrow as pa

from weir_core.datasets import repository
from weir_core.datasets.commits import Hiding, Settled
from weir_core.datasets.cursors import as_scalar
from weir_core.datasets.evolution import SchemaMismatch
from weir_core.datasets.hidden import either, unpack
from weir_core.datasets.merging import Hidden, Mergeable, settle, within
from weir_core.datasets.models import StoredSegment
from weir_core.datasets.parquet import opened
from weir_core.datasets.values import CursorValue, Rules
from weir_core.db import Database
from weir_core.errors import Conflict
from weir_core.stores.contract import ObjectStore
from weir_core.stores.threads import in_thread


class Outdated(Conflict):
    """The dataset has changed since it was settled what to hide: settle anew."""

    def __init__(self) -> None:
        super().__init__("the dataset has changed since it was settled what to hide")


@dataclass(frozen=True, slots=True)
class Replacing:
    """What a run puts in the place of what."""

    rules: Rules
    """Without keys nothing is merged."""
    span: tuple[CursorValue, CursorValue] | None = None
    """A backfill without keys: the rows of the span of the cursor field are replaced."""
    alone: bool = False
    """All that the dataset shows will go, so that only the new segments count."""


async def settle_segments(
    db: Database,
    store: ObjectStore,
    dataset_id: UUID,
    new: Sequence[Mergeable],
    *,
    schema: pa.Schema,
    replacing: Replacing,
) -> Settled:
    """What new segments hide, of themselves and of what the dataset shows now."""
    async with db.read() as tx:
        version = (await repository.dataset_row(tx, dataset_id)).version
        old = [] if replacing.alone else await repository.visible_segments(tx, dataset_id, version)
    found = await in_thread(_found, store, new, old, schema, replacing)
    before = {segment.path: segment for segment in old}
    return Settled(version, tuple(_added(before.get(path), path, rows) for path, rows in found.items()))


async def run_segments(db: Database, run_id: UUID) -> list[Mergeable]:
    """The segments that a staged run has committed, in their order."""
    async with db.read() as tx:
        return [mergeable(segment) for segment in await repository.segments_of_run(tx, run_id)]


def _found(
    store: ObjectStore,
    new: Sequence[Mergeable],
    old: Sequence[StoredSegment],
    schema: pa.Schema,
    replacing: Replacing,
) -> Hidden:
    others = [mergeable(segment) for segment in old]

    def read(segment: Mergeable, columns: Sequence[str]) -> pa.Table:
        return read_columns(store, segment, columns, schema)

    if replacing.rules.keys:
        _check_keys(schema, replacing.rules)
        return settle(read, replacing.rules, new, others)
    if replacing.span is None:
        return {}
    field = replacing.rules.cursor_field
    start, end = (as_scalar(value, schema.field(field).type) for value in replacing.span)
    return within(read, field, start, end, others)


def read_columns(
    store: ObjectStore, segment: Mergeable, columns: Sequence[str], schema: pa.Schema
) -> pa.Table:
    """Columns of a segment, as the dataset has them now."""
    with opened(store, segment.path, segment.rows) as file, file.damage_told():
        stored = set(file.parquet.schema_arrow.names)
        table = file.parquet.read(columns=[name for name in columns if name in stored], use_threads=False)
    arrays = [
        table.column(name).cast(schema.field(name).type)
        if name in stored
        else pa.chunked_array([pa.nulls(segment.rows, schema.field(name).type)])
        for name in columns
    ]
    return pa.Table.from_arrays(arrays, names=list(columns))


def _check_keys(schema: pa.Schema, rules: Rules) -> None:
    for name in rules.columns:
        if name not in schema.names:
            raise SchemaMismatch(f"{name!r} is none of the columns: {', '.join(schema.names)}")
    for name in rules.keys:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_floating(kind):
            raise SchemaMismatch(
                f"the key field {name!r} holds {kind}: a key is of whole numbers, texts or times"
            )


def mergeable(segment: StoredSegment) -> Mergeable:
    """What settling must know of a segment."""
    return Mergeable(segment.path, segment.rows, segment.bounds)


def _added(segment: StoredSegment | None, path: str, rows: pa.BooleanArray) -> Hiding:
    """With what was hidden before."""
    before = unpack(segment.hidden, segment.rows) if segment is not None and segment.hidden else None
    return Hiding(path, either(before, rows))

"""Reads one segment's Parquet file, blocking: leaves out row groups and columns, then rows."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.evolution import conformed
from weir_core.datasets.parquet import SegmentFile
from weir_core.datasets.predicates import Predicate

# Wide rows are read fewer at a time.
_STEP_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that passed, each with its number in the file."""

    rows: pa.RecordBatch
    places: pa.Array
    end: int
    """How many stored rows are done with."""


@dataclass(frozen=True, slots=True)
class Group:
    """A row group: its number, its first row's number in the file, its rows, its bytes."""

    number: int
    first: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What is wanted of each file."""

    schema: pa.Schema
    """The dataset's columns."""
    columns: Sequence[str]
    where: Predicate | None = None

    def needed(self) -> pa.Schema:
        """The columns to read: those wanted and those that the filter looks at."""
        names = {*self.columns, *(self.where.columns if self.where else ())}
        return pa.schema([field for field in self.schema if field.name in names])


def scan(
    file: SegmentFile,
    selection: Selection,
    *,
    first: int,
    max_rows: int,
    shown: pa.BooleanArray | None = None,
) -> Generator[Slice]:
    """The rows from `first` on that pass, at most so many at a time, never none.

    `shown` says of each row of the file whether it counts; None: all do.
    """
    with file.damage_told():
        found = groups(file, selection.where)
    for group in found:
        if group.first + group.rows > first:
            yield from _scan_group(file, group, selection, shown, first=first, max_rows=max_rows)


def _scan_group(
    file: SegmentFile,
    group: Group,
    selection: Selection,
    shown: pa.BooleanArray | None,
    *,
    first: int,
    max_rows: int,
) -> Generator[Slice]:
    for at, batch in _batches(file, group, selection.needed(), max_rows):
        skip = max(0, first - at)
        if skip < batch.num_rows:
            count = None if shown is None else shown.slice(at + skip, batch.num_rows - skip)
            found = _passing(batch.slice(skip), at + skip, selection, count)
            if found.rows.num_rows:
                yield found


def groups(file: SegmentFile, where: Predicate | None) -> list[Group]:
    """The row groups that may have rows that pass, by their statistics."""
    found: list[Group] = []
    first = 0
    metadata, schema = file.parquet.metadata, file.parquet.schema_arrow
    for number in range(metadata.num_row_groups):
        about = metadata.row_group(number)
        found.append(Group(number, first, about.num_rows, about.total_byte_size))
        first += about.num_rows
    if where is None or not where.columns <= set(schema.names):
        return found
    # Slow to import, and not needed before somebody reads.
    import pyarrow.dataset as ds

    fragment = ds.ParquetFileFormat().make_fragment(file.source)
    kept = {group.id for group in fragment.subset(filter=where.expression(), schema=schema).row_groups}
    return [group for group in found if group.number in kept]


def _batches(
    file: SegmentFile, group: Group, needed: pa.Schema, max_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A row group's rows as the dataset's columns, with the number of each batch's first row."""
    names = file.parquet.schema_arrow.names
    stored = set(names)
    present = [name for name in needed.names if name in stored]
    # Some column must be read for the number of rows to be known.
    read = present or names[:1]
    at = group.first
    step = max(1, min(max_rows, _STEP_BYTES * group.rows // max(1, group.bytes)))
    batches = file.parquet.iter_batches(step, row_groups=[group.number], columns=read)
    while True:
        with file.damage_told():
            batch = next(batches, None)
        if batch is None:
            return
        yield at, _unified(batch, needed)
        at += batch.num_rows


def _unified(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the dataset's columns: absent ones null, narrower ones widened."""
    names = set(batch.schema.names)
    # A column that came later is null here, whatever it says of nulls now.
    arrays = [
        conformed(batch.column(field.name), field.type)
        if field.name in names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _passing(rows: pa.RecordBatch, first: int, selection: Selection, shown: pa.BooleanArray | None) -> Slice:
    end = first + rows.num_rows
    mask = selection.where.mask(rows) if selection.where is not None else None
    if shown is not None:
        mask = shown if mask is None else pc.and_(shown, mask)
    if mask is None:
        return Slice(rows.select(selection.columns), pa.arange(first, end), end)
    places = pc.add(pc.indices_nonzero(mask).cast(pa.int64()), first)
    return Slice(rows.select(selection.columns).filter(mask), places, end)

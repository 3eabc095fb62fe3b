"""Reads one segment's Parquet file, blocking: leaves out row groups and columns, then rows."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from weir_core.datasets.evolution import conformed
from weir_core.datasets.predicates import Predicate
from weir_core.errors import ChecksumMismatch, PositionExpired

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
    path: Path,
    rows: int,
    selection: Selection,
    *,
    first: int,
    max_rows: int,
    shown: pa.BooleanArray | None = None,
) -> Generator[Slice]:
    """The rows from `first` on that pass, at most so many at a time, never none.

    `shown` says of each row of the file whether it counts; None: all do.
    """
    with _opened(path, rows) as file:
        for group in groups(path, file, selection.where):
            if group.first + group.rows > first:
                yield from _scan_group(file, group, selection, shown, first=first, max_rows=max_rows)


def _scan_group(
    file: pq.ParquetFile,
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


def groups(path: Path, file: pq.ParquetFile, where: Predicate | None) -> list[Group]:
    """The row groups that may have rows that pass, by their statistics."""
    found: list[Group] = []
    first = 0
    for number in range(file.metadata.num_row_groups):
        about = file.metadata.row_group(number)
        found.append(Group(number, first, about.num_rows, about.total_byte_size))
        first += about.num_rows
    if where is None or not where.columns <= set(file.schema_arrow.names):
        return found
    # Slow to import, and not needed before somebody reads.
    import pyarrow.dataset as ds

    fragment = ds.ParquetFileFormat().make_fragment(str(path), filesystem=pafs.LocalFileSystem())
    kept = {
        group.id for group in fragment.subset(filter=where.expression(), schema=file.schema_arrow).row_groups
    }
    return [group for group in found if group.number in kept]


def _opened(path: Path, rows: int) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError:
        raise PositionExpired("the records of that version are not kept any more; read the newest") from None
    except pa.ArrowInvalid:
        raise ChecksumMismatch(f"segment {path.name} is damaged: it is no Parquet file") from None
    if file.metadata.num_rows != rows:
        file.close()
        raise ChecksumMismatch(f"segment {path.name} has {file.metadata.num_rows} rows, {rows} were written")
    return file


def _batches(
    file: pq.ParquetFile, group: Group, needed: pa.Schema, max_rows: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A row group's rows as the dataset's columns, with the number of each batch's first row."""
    stored = set(file.schema_arrow.names)
    present = [name for name in needed.names if name in stored]
    # Some column must be read for the number of rows to be known.
    read = present or file.schema_arrow.names[:1]
    at = group.first
    step = max(1, min(max_rows, _STEP_BYTES * group.rows // max(1, group.bytes)))
    try:
        for batch in file.iter_batches(step, row_groups=[group.number], columns=read):
            yield at, _unified(batch, needed)
            at += batch.num_rows
    except OSError as error:
        raise ChecksumMismatch(f"a segment is damaged: {error}") from None


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

"""Gathers record batches and writes them as segments, one Parquet file each.

A segment ends at 128 k rows, 64 MiB or 30 s, always between two pages: the
position of a commit stands for all rows and rejects before it. The file has a
name that no other attempt uses, so that what a stale worker still writes can
never be taken for a segment.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from weir_core.datasets.commits import Commit, Counts, Position, Reject, Segment
from weir_core.datasets.cursors import CursorValue, bounds, later, orderable
from weir_core.store import ObjectStore

ROW_GROUP = 131072


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment is full."""

    rows: int = ROW_GROUP
    bytes: int = 64 * 1024 * 1024
    seconds: float = 30.0
    reject_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SegmentNames:
    """Names of the files that one attempt of a run writes."""

    dataset: str
    run: str
    attempt: int

    def name(self, sequence: int) -> str:
        """Name of the attempt's segment with that number, from 0."""
        return f"datasets/{self.dataset}/{self.run}/{self.attempt:04d}-{sequence:06d}.parquet"


class SchemaMismatch(ValueError):
    """A batch whose columns are not those of the dataset."""


class SegmentWriter:
    """Takes what a connector reads; gives a commit whenever one is due."""

    def __init__(
        self,
        store: ObjectStore,
        names: SegmentNames,
        *,
        schema: pa.Schema | None = None,
        cursor_field: str = "",
        cursor: CursorValue | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._names = names
        self._schema = schema
        self._cursor_field = cursor_field
        self._cursor = cursor
        self._limits = limits or Limits()
        self._clock = clock
        self._sequence = 0
        self._batches: list[pa.RecordBatch] = []
        self._rejects: list[Reject] = []
        self._uncovered: list[Reject] = []
        self._rows = self._bytes = self._reject_bytes = 0
        self._counts = Counts()
        self._position: Position | None = None
        self._moved = False
        self._since: float | None = None
        if schema is not None:
            self._check_cursor_field(schema)

    @property
    def schema(self) -> pa.Schema | None:
        """The columns; those of the first batch where none were given."""
        return self._schema

    def seconds_left(self) -> float | None:
        """Time until what is gathered should be committed; None if there is nothing."""
        if self._since is None or not self._moved:
            return None
        return max(0.0, self._since + self._limits.seconds - self._clock())

    def reject(self, reject: Reject) -> None:
        """Takes a record that did not fit; the next `add` or `advance` covers it."""
        self._uncovered.append(reject)

    async def add(
        self, records: pa.RecordBatch, position: Position, counts: Counts | None = None
    ) -> Commit | None:
        """Takes rows and the position after them; gives a commit if one is due."""
        fitting = self._fitting(records)
        if fitting.num_rows:
            self._batches.append(fitting)
            self._rows += fitting.num_rows
            self._bytes += fitting.nbytes
        return await self.advance(position, counts)

    async def advance(self, position: Position, counts: Counts | None = None) -> Commit | None:
        """Moves the position past rows that were dropped or rejected."""
        self._start_clock()
        self._position, self._moved = position, True
        self._rejects += self._uncovered
        self._reject_bytes += sum(len(reject.raw) for reject in self._uncovered)
        self._uncovered = []
        self._counts += counts or Counts()
        return await self.flush() if self._full() else None

    async def flush(self) -> Commit | None:
        """Writes what is gathered; None if nothing came since the last commit."""
        if not self._moved:
            return None
        table = pa.Table.from_batches(self._batches, self._schema) if self._batches else None
        span = self._span(table)
        segment = await self._write(table, span) if table is not None else None
        if span is not None:
            self._cursor = later(self._cursor, span[1], self._cursor_type())
        commit = Commit(segment, self._position, self._cursor, tuple(self._rejects), self._counts)
        self._clear()
        return commit

    async def _write(self, table: pa.Table, span: tuple[CursorValue, CursorValue] | None) -> Segment:
        name = self._names.name(self._sequence)
        size, digest = await asyncio.to_thread(_store_table, self._store, name, table)
        self._sequence += 1
        low, high = span or (None, None)
        return Segment(name, table.num_rows, size, digest, table.schema, low, high)

    def _span(self, table: pa.Table | None) -> tuple[CursorValue, CursorValue] | None:
        if table is None or not self._cursor_field:
            return None
        return bounds(table.column(self._cursor_field))

    def _fitting(self, records: pa.RecordBatch) -> pa.RecordBatch:
        if self._schema is None:
            self._schema = records.schema.remove_metadata()
            self._check_cursor_field(self._schema)
        return fit(records, self._schema)

    def _check_cursor_field(self, schema: pa.Schema) -> None:
        if not self._cursor_field:
            return
        at = schema.get_field_index(self._cursor_field)
        if at < 0:
            raise SchemaMismatch(
                f"the cursor field {self._cursor_field!r} is none of the columns: {', '.join(schema.names)}"
            )
        if not orderable(schema.field(at).type):
            raise SchemaMismatch(
                f"the cursor field {self._cursor_field!r} holds {schema.field(at).type}: it has no order"
            )

    def _cursor_type(self) -> pa.DataType:
        assert self._schema is not None
        return self._schema.field(self._cursor_field).type

    def _full(self) -> bool:
        limits = self._limits
        left = self.seconds_left()
        return (
            self._rows >= limits.rows
            or self._bytes >= limits.bytes
            or self._reject_bytes >= limits.reject_bytes
            or (left is not None and left <= 0)
        )

    def _start_clock(self) -> None:
        if self._since is None:
            self._since = self._clock()

    def _clear(self) -> None:
        self._batches, self._rejects = [], []
        self._rows = self._bytes = self._reject_bytes = 0
        self._counts, self._moved, self._since = Counts(), False, None


def fit(records: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the schema's columns in its order; SchemaMismatch if they are others."""
    extra = sorted(set(records.schema.names) - set(schema.names))
    missing = [name for name in schema.names if name not in set(records.schema.names)]
    if extra or missing:
        raise SchemaMismatch(f"columns differ from the dataset's: missing {missing}, unknown {extra}")
    for field in schema:
        column = records.column(field.name)
        if column.type != field.type:
            raise SchemaMismatch(f"column {field.name!r} holds {column.type}, the dataset has {field.type}")
        if not field.nullable and column.null_count:
            raise SchemaMismatch(
                f"column {field.name!r} has {column.null_count} nulls, the dataset allows none"
            )
    return pa.RecordBatch.from_arrays([records.column(name) for name in schema.names], schema=schema)


def _store_table(store: ObjectStore, name: str, table: pa.Table) -> tuple[int, str]:
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", compression_level=1, row_group_size=ROW_GROUP, store_schema=True
    )
    content = memoryview(sink.getvalue())
    store.put(name, content)
    return len(content), hashlib.sha256(content).hexdigest()

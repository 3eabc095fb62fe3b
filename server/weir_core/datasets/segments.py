"""Gathers record batches and writes them as segments, one Parquet file each.

A segment ends at 128 k rows, 64 MiB or 30 s, always between two pages: the
position of a commit stands for all rows and rejects before it. The file has a
name that no other attempt uses, so that what a stale worker still writes can
never be taken for a segment.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from weir_core.datasets.commits import Commit, Counts, Position, Reject, Segment
from weir_core.datasets.cursors import bounds, later, orderable
from weir_core.datasets.evolution import SchemaMismatch, conformed, evolved
from weir_core.datasets.values import CursorValue, SchemaPolicy
from weir_core.failpoints import reach

ROW_GROUP = 131072
PARQUET: Final = {
    "compression": "zstd",
    "compression_level": 1,
    # A column of many different values gives up its dictionary early: at pyarrow's 1 MiB encoding takes
    # three times the memory and twice the time, for a file that is no smaller.
    "dictionary_pagesize_limit": 128 * 1024,
    "store_schema": True,
}
_MOST_BOUNDS: Final = 100
_LONGEST_BOUND = 64

Bounds: TypeAlias = dict[str, tuple[CursorValue, CursorValue]]
Put: TypeAlias = Callable[[str, memoryview], Awaitable[None]]
"""Stores content under a name."""


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


class SegmentWriter:
    """Takes what a connector reads; gives a commit whenever one is due."""

    def __init__(
        self,
        put: Put,
        names: SegmentNames,
        *,
        schema: pa.Schema | None = None,
        cursor_field: str = "",
        cursor: CursorValue | None = None,
        key_fields: Sequence[str] = (),
        count_nulls: Sequence[str] = (),
        policy: SchemaPolicy = SchemaPolicy.EVOLVE,
        limits: Limits | None = None,
        first: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._put = put
        self._names = names
        self._schema = schema
        self._cursor_field = cursor_field
        self._cursor = cursor
        self._key_fields = key_fields
        self._count_nulls = count_nulls
        self._policy = policy
        self._limits = limits or Limits()
        self._clock = clock
        self._sequence = first
        self._batches: list[pa.RecordBatch] = []
        self._rejects: list[Reject] = []
        self._uncovered: list[Reject] = []
        self._rows = self._bytes = self._reject_bytes = 0
        self._counts = Counts()
        self._position: Position | None = None
        self._moved = False
        self._since: float | None = None
        if schema is not None:
            self._check_fields(schema)

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
        fitting = self._keyed(self._fitting(records))
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
        table = self._table() if self._batches else None
        span = self._span(table)
        segment = await self._write(table, span) if table is not None else None
        if span is not None:
            self._cursor = later(self._cursor, span[1], self._cursor_type())
        nulls = {name: _nulls(table, name) for name in self._count_nulls} if table is not None else {}
        commit = Commit(segment, self._position, self._cursor, tuple(self._rejects), self._counts, nulls)
        self._clear()
        return commit

    @property
    def unwritten(self) -> tuple[int, int]:
        """Numbers of rows and of rejects that are not written yet."""
        return self._rows, len(self._rejects) + len(self._uncovered)

    def gathered(self) -> tuple[pa.Table | None, list[Reject]]:
        """The rows that are not written yet, and what was rejected beside them."""
        return self._table() if self._batches else None, [*self._rejects, *self._uncovered]

    def _table(self) -> pa.Table:
        """What is gathered, with the newest columns."""
        assert self._schema is not None
        return pa.Table.from_batches(
            [_conforming(batch, self._schema) for batch in self._batches], self._schema
        )

    async def _write(self, table: pa.Table, span: tuple[CursorValue, CursorValue] | None) -> Segment:
        reach("segment.gathered")
        name = self._names.name(self._sequence)
        content, digest, limits = await asyncio.to_thread(_encoded, table)
        await self._put(name, content)
        self._sequence += 1
        low, high = span or (None, None)
        return Segment(name, table.num_rows, len(content), digest, table.schema, low, high, limits)

    def _span(self, table: pa.Table | None) -> tuple[CursorValue, CursorValue] | None:
        if table is None or not self._cursor_field:
            return None
        return bounds(table.column(self._cursor_field))

    def _fitting(self, records: pa.RecordBatch) -> pa.RecordBatch:
        brought = records.schema.remove_metadata()
        if self._schema is None:
            self._schema = brought
            self._check_fields(self._schema)
        elif self._schema != brought:
            self._schema = evolved(self._schema, brought, self._policy)
        return _conforming(records, self._schema)

    def _keyed(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that have a key; the others are rejected."""
        for name in self._key_fields:
            column = rows.column(name)
            if not column.null_count:
                continue
            for row in rows.filter(pc.is_null(column)).to_pylist():
                raw = orjson.dumps(row, default=str)
                self.reject(Reject.of(raw, f"{name} is null, and is a field of the key", column=name))
            rows = rows.filter(pc.is_valid(column))
        return rows

    def _check_fields(self, schema: pa.Schema) -> None:
        if missing := sorted(set(self._key_fields) - set(schema.names)):
            raise SchemaMismatch(
                f"the key fields {', '.join(missing)} are none of the columns: {', '.join(schema.names)}"
            )
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


def _conforming(records: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the schema's columns in its order; SchemaMismatch where a value does not fit."""
    if records.schema == schema:
        return records
    names = set(records.schema.names)
    arrays: list[pa.Array] = []
    for field in schema:
        try:
            column = (
                conformed(records.column(field.name), field.type)
                if field.name in names
                else pa.nulls(records.num_rows, field.type)
            )
        except pa.ArrowException as error:
            raise SchemaMismatch(f"column {field.name!r}, which is {field.type}: {error}") from None
        if not field.nullable and column.null_count:
            raise SchemaMismatch(
                f"column {field.name!r} has {column.null_count} nulls, the dataset allows none"
            )
        arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _encoded(table: pa.Table) -> tuple[memoryview, str, Bounds]:
    sink = BytesIO()
    pq.write_table(table, sink, row_group_size=ROW_GROUP, **PARQUET)
    # What encoding took is used for pages of other sizes next, and would be kept beside them.
    pa.default_memory_pool().release_unused()
    content = sink.getbuffer()
    return content, hashlib.sha256(content).hexdigest(), bounds_of(table)


def _nulls(table: pa.Table, column: str) -> int:
    """Nulls in a column; one that is not there is null throughout."""
    return table.column(column).null_count if column in table.schema.names else table.num_rows


def bounded(schema: pa.Schema) -> list[pa.Field]:
    """The columns that the manifest may keep the least and the greatest value of."""
    return [field for field in list(schema)[:_MOST_BOUNDS] if orderable(field.type)]


def bounds_of(table: pa.Table) -> Bounds:
    """Least and greatest value of the columns with an order; long texts are left out."""
    found: Bounds = {}
    for field in bounded(table.schema):
        span = bounds(table.column(field.name))
        if span is not None and all(not isinstance(one, str) or len(one) <= _LONGEST_BOUND for one in span):
            found[field.name] = span
    return found

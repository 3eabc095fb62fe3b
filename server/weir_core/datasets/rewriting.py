"""Writes the rows of some segments into one file, in their order.

Rows that are hidden are left out, but for records that their source has deleted:
these stay, hidden, so that an older one that comes late does not bring one back.
In memory are 128 k rows or 32 MiB of them at a time, beside the file that comes
of it, which is as large as a segment at most.
"""

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from weir_core.datasets.commits import Segment
from weir_core.datasets.hidden import count, pack, unpack
from weir_core.datasets.merging import deleted
from weir_core.datasets.models import StoredSegment
from weir_core.datasets.reading import Chunk, Query, Reading
from weir_core.datasets.segments import PARQUET, ROW_GROUP, bounded, bounds_of
from weir_core.datasets.settling import mergeable, read_columns
from weir_core.errors import ChecksumMismatch
from weir_core.stores.contract import ObjectStore

_MOST_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Together:
    """Segments that become one."""

    segments: Sequence[StoredSegment]
    schema: pa.Schema
    """The dataset's columns."""
    cursor_field: str = ""
    deleted_field: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of them."""

    segment: Segment | None
    """None: no row of them counts."""
    hidden: pa.BooleanArray | None
    """Which of its rows do not count; None: all do."""


class Rewriting:
    """One file in the making. Blocks: step it in a thread."""

    def __init__(self, store: ObjectStore, name: str, together: Together) -> None:
        self._store = store
        self._name = name
        self._together = together
        # A column that came later is null in what was read before, whatever it says of nulls now.
        self._schema = pa.schema([field.with_nullable(True) for field in together.schema])
        self._sink = BytesIO()
        self._file = pq.ParquetWriter(self._sink, self._schema, **PARQUET)
        self._batches: list[pa.RecordBatch] = []
        self._marks: list[pa.BooleanArray] = []
        self._ends: list[pa.Table] = []
        self._rows = self._bytes = self._done = 0
        self.written: Written | None = None
        """What came of it, after the last step."""

    def steps(self) -> Generator[int]:
        """Write; the rows written so far. ChecksumMismatch where they are not those of the manifest."""
        kept = [self._kept(segment) for segment in self._together.segments]
        reading = Reading(self._store, Query([segment for segment, _ in kept], self._together.schema))
        for chunk in reading.chunks():
            self._take(chunk, kept[chunk.segment][1])
            if self._rows >= ROW_GROUP or self._bytes >= _MOST_BYTES:
                self._flush()
                yield self._done
        self._flush()
        self.written = self._finished()
        yield self._done

    def _kept(self, segment: StoredSegment) -> tuple[StoredSegment, pa.BooleanArray | None]:
        """A segment without the rows that may go, and which of its rows stay hidden."""
        field, schema = self._together.deleted_field, self._together.schema
        if segment.hidden is None or field not in schema.names:
            return segment, None
        hidden = unpack(segment.hidden, segment.rows)
        flags = deleted(read_columns(self._store, mergeable(segment), [field], schema).column(field))
        stays = pc.and_(hidden, flags.combine_chunks())
        goes = pc.and_not(hidden, stays)
        return replace(segment, hidden=pack(goes), hidden_count=count(goes)), stays

    def _take(self, chunk: Chunk, hidden: pa.BooleanArray | None) -> None:
        rows = pa.RecordBatch.from_arrays(chunk.rows.columns, schema=self._schema)
        self._batches.append(rows)
        self._marks.append(
            pa.repeat(pa.scalar(value=False), rows.num_rows) if hidden is None else hidden.take(chunk.places)
        )
        self._rows += rows.num_rows
        self._bytes += rows.nbytes

    def _flush(self) -> None:
        if not self._batches:
            return
        table = pa.Table.from_batches(self._batches, self._schema)
        self._file.write_table(table, row_group_size=ROW_GROUP)
        self._ends.append(_ends(table))
        self._done += table.num_rows
        self._batches = []
        self._rows = self._bytes = 0

    def _finished(self) -> Written:
        self._file.close()
        hidden = pa.concat_arrays([*self._marks, pa.array([], pa.bool_())])
        wanted = sum(segment.rows - segment.hidden_count for segment in self._together.segments)
        if (shown := self._done - count(hidden)) != wanted:
            raise ChecksumMismatch(f"the segments show {shown} records, the manifest says {wanted}")
        if not self._done:
            return Written(None, None)
        content = self._sink.getbuffer()
        self._store.put(self._name, content)
        bounds = bounds_of(pa.concat_tables(self._ends))
        low, high = bounds.get(self._together.cursor_field, (None, None))
        digest = hashlib.sha256(content).hexdigest()
        made = Segment(self._name, self._done, len(content), digest, self._schema, low, high, bounds)
        return Written(made, hidden if count(hidden) else None)


def _ends(table: pa.Table) -> pa.Table:
    """Least and greatest value of the columns that the manifest may keep them of."""
    found = {field.name: pc.min_max(table.column(field.name)) for field in bounded(table.schema)}
    return pa.table(
        {
            name: pa.array([ends["min"], ends["max"]], table.schema.field(name).type)
            for name, ends in found.items()
        }
    )

"""Reads records back from segments: only the columns, row groups and rows that are asked for.

A reading goes segment by segment and row group by row group, a bounded number of
rows at a time. Each chunk knows the place in the stored rows after
which it goes on, so that a reading can be taken up exactly there without
reading what lies before; a filter changes nothing about that.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.hidden import unpack
from weir_core.datasets.parquet import opened
from weir_core.datasets.predicates import Predicate
from weir_core.datasets.scanning import Selection, Slice, scan
from weir_core.datasets.values import CursorValue, Packed
from weir_core.errors import InvalidArgument
from weir_core.filtering import Node
from weir_core.stores.contract import ObjectStore

STEP_ROWS = 16384


class SegmentRef(Protocol):
    """What must be known of a segment: `StoredSegment` has it."""

    @property
    def path(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def bounds(self) -> Mapping[str, tuple[CursorValue, CursorValue]]: ...
    @property
    def hidden(self) -> Packed | None: ...
    @property
    def hidden_count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two stored rows: so many rows into that segment of the list."""

    segment: int = 0
    row: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """Which records are wanted."""

    segments: Sequence[SegmentRef]
    """In the order to read; a place counts in it."""
    schema: pa.Schema
    """The dataset's columns; a segment without one of them has nulls there."""
    columns: Sequence[str] = ()
    """Empty: all."""
    where: Node | None = None
    limit: int = 0
    """0: all. Whoever resumes takes off what was given before."""
    start: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one segment."""

    rows: pa.RecordBatch
    segment: int
    places: pa.Array
    """For each row its number in the segment, from 0."""
    end: Place
    """Where to go on after all of them."""

    def head(self, count: int) -> "Chunk":
        """The first rows."""
        if count >= self.rows.num_rows:
            return self
        end = Place(self.segment, self.places[count - 1].as_py() + 1)
        return Chunk(self.rows.slice(0, count), self.segment, self.places.slice(0, count), end)

    def tail(self, start: int) -> "Chunk":
        """The rows without the first ones."""
        return Chunk(self.rows.slice(start), self.segment, self.places.slice(start), self.end)


class Reading:
    """One reading, checked when it is made: an unknown column or a filter that does not fit is refused."""

    def __init__(self, store: ObjectStore, query: Query) -> None:
        self._store = store
        self._query = query
        self._schema = _wanted(query.schema, query.columns)
        self._where = Predicate(query.where, query.schema) if query.where is not None else None
        self._selection = Selection(query.schema, self._schema.names, self._where)

    @property
    def schema(self) -> pa.Schema:
        """The columns of all chunks."""
        return self._schema

    @property
    def start(self) -> Place:
        """Where it begins."""
        return self._query.start

    def chunks(self, max_rows: int = STEP_ROWS) -> Generator[Chunk]:
        """The records in order, at most so many at a time. Blocks: step it in a thread."""
        max_rows = max(1, min(max_rows, STEP_ROWS))
        left = self._query.limit or None
        for number in range(self._query.start.segment, len(self._query.segments)):
            for part in self._slices(number, max_rows):
                chunk = Chunk(part.rows, number, part.places, Place(number, part.end))
                given = chunk if left is None else chunk.head(left)
                yield given
                left = None if left is None else left - given.rows.num_rows
                if left == 0:
                    return

    def _slices(self, number: int, max_rows: int) -> Generator[Slice]:
        start, segment = self._query.start, self._query.segments[number]
        first = start.row if number == start.segment else 0
        if first >= segment.rows or segment.hidden_count >= segment.rows or self._pruned(segment):
            return
        shown = pc.invert(unpack(segment.hidden, segment.rows)) if segment.hidden else None
        with opened(self._store, segment.path, segment.rows) as file:
            yield from scan(file, self._selection, first=first, max_rows=max_rows, shown=shown)

    def _pruned(self, segment: SegmentRef) -> bool:
        """True if the manifest alone tells that no row of the segment passes."""
        return self._where is not None and not self._where.may_match(segment.bounds)


def _wanted(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    unknown = sorted(set(columns) - set(schema.names))
    if unknown:
        raise InvalidArgument.at(
            "columns", f"no such column: {', '.join(unknown)}; there are {', '.join(schema.names[:50])}"
        )
    return pa.schema([schema.field(name) for name in columns]) if columns else schema

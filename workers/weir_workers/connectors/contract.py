"""What a connector is: a small class that reads one kind of source.

It has settings, tries a connection, tells what can be read over it, cuts that
into partitions and reads one as a stream of items. Arrow record batches are the currency. Each batch
carries the position after it; a run that ends early gives the last committed
position to `read` again and gets exactly the rest.

    Batch       rows, and the position after them
    Checkpoint  a position without rows
    Reject      a record that did not fit; the next Batch or Checkpoint covers it
    Said        what the source's own program had to say, for the log
    Drift       fields of the source that the schema does not have, told once each
    Unchanged   nothing is new since the last run, and nothing else comes
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import pyarrow as pa
from pydantic import BaseModel

from weir_core.datasets.commits import Counts, Position, Reject
from weir_core.datasets.values import CursorValue
from weir_core.pacing import Turn
from weir_workers.connectors.cursor_range import CursorRange, OutOfRange
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.rereading import Reread, reread_json
from weir_workers.connectors.settings import Model, parsed_settings


@dataclass(frozen=True, slots=True)
class Source:
    """A connection, checked and with its secrets; secrets are in no text of it."""

    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    allow_private: bool = False
    turn: Turn | None = None
    """Takes the next turn to ask, where the connection has a pace; gives the seconds until it comes."""

    def parsed(self, model: type[Model]) -> Model:
        """Settings and secrets by `connection_settings`; SourceError where they do not fit."""
        return parsed_settings(model, {**self.settings, **self.secrets}, "the connection's settings")


@dataclass(frozen=True, slots=True)
class SourceStream:
    """Something that can be read over a connection: a table, files, an endpoint."""

    name: str
    """What a collection says in `stream`."""
    schema: pa.Schema | None = None
    """Its columns, as far as known without reading it."""
    cursor_fields: tuple[str, ...] = ()
    """Columns that a run can go forward by."""
    key_fields: tuple[str, ...] = ()
    estimated_records: int = 0
    """0: unknown."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read of a source."""

    settings: Mapping[str, Any]
    stream: str = ""
    """Name of a stream; empty where the connector has none."""
    schema: pa.Schema | None = None
    """The dataset's columns, once it has some; settings may name others."""
    evolve: bool = False
    """True: columns that the source has besides are wanted too, and numbers may widen."""
    cursor_field: str = ""
    cursor: CursorValue | None = None
    """Read what lies after it; None reads all."""
    inclusive: bool = False
    """True: what is equal to the cursor is wanted too; the caller knows to tell what it has already."""
    until: CursorValue | None = None
    """Read only what lies before it; None reads to the end. SourceError where the source can't."""
    known: Mapping[str, Any] | None = None
    """What a Checkpoint said in `known` when the source was last read whole; None: read it in any case."""
    limit: int = 0
    """So many records will do, and then the iterator is closed: ask for no more than these need. 0: all."""

    def parsed(self, model: type[Model]) -> Model:
        """The settings by the connector's `collection_settings`; SourceError where they do not fit."""
        return parsed_settings(model, self.settings, "the collection's settings")

    def inside(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that lie after `cursor` and before `until`; what a source brings besides is left out.

        Rows without a value in the cursor field stay. SourceError where there is no such column.
        """
        span = CursorRange(
            self.cursor_field, self.cursor, self.until, keep_equal=self.inclusive, drop_below=True
        )
        try:
            return span.inside(rows)
        except OutOfRange as error:
            raise SourceError("INVALID_INPUT", str(error), code="cursor") from None


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a source that can be read by itself."""

    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows, where to go on after them, and what it took since the item before.

    A source that keeps its place itself tells in `cursor` of a position where the next run begins, as
    `weir_core.datasets.cursors.STATE` and JSON; else that is the greatest value of the cursor field.
    """

    records: pa.RecordBatch
    position: Position
    counts: Counts


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All before it may be committed up to this position."""

    position: Position
    counts: Counts
    known: Mapping[str, Any] | None = None
    """At the end, where the source can tell whether it has changed: how to ask it at the next run. Short."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The source, which is of one part, is still as `wanted.known` has it: the dataset stays as it is."""

    counts: Counts


@dataclass(frozen=True, slots=True)
class Drift:
    """Fields that came and have no column: left out."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A line for the run's log, without secrets."""

    text: str


Item: TypeAlias = Batch | Checkpoint | Reject | Drift | Said | Unchanged


class Connector(ABC):
    """Reads one kind of source. Holds no state of a run: one object serves many.

    A connector is a subclass. The one that lists no streams, reads its source in one part and rejects
    records as JSON has `check` and `read` to write.
    """

    name: ClassVar[str]
    """As its entry point has it; connections name it."""
    description: ClassVar[str]
    """One sentence on what it reads."""
    version: ClassVar[str]
    modes: ClassVar[frozenset[str]]
    """Names of SyncMode that it can serve."""
    connection_settings: ClassVar[type[BaseModel]]
    """Settings and, marked `writeOnly`, secrets of a connection."""
    collection_settings: ClassVar[type[BaseModel]]
    has_streams: ClassVar[bool] = False
    """True: a collection names one of the streams that `discover` lists."""
    can_pace: ClassVar[bool] = False
    """True: it takes a turn of `source.turn` before each request; `open_fetcher` does."""

    @abstractmethod
    async def check(self, source: Source) -> None:
        """Tries the connection; SourceError says what is wrong."""
        ...

    async def discover(self, source: Source) -> Sequence[SourceStream]:
        """What can be read over the connection, by name; nothing where `has_streams` is False."""
        return ()

    async def partitions(self, source: Source, wanted: Wanted) -> Sequence[Partition]:
        """Cuts what is wanted into parts, in the order in which they count; one unless it says otherwise.

        A run asks once, when it begins, and keeps the answer in its position, names and settings as JSON:
        with what `read` gives for a position at most 64 KiB.
        """
        return [Partition()]

    def side_by_side(self, wanted: Wanted) -> int:
        """How many parts may be read at the same time; they are committed in order all the same."""
        return 1

    @abstractmethod
    def read(
        self, source: Source, wanted: Wanted, partition: Partition, position: Position | None = None
    ) -> AsyncGenerator[Item]:
        """Reads a part from a position on. Close the iterator to stop early."""
        ...

    def reread(self, wanted: Wanted, raws: Sequence[bytes]) -> Reread:
        """Reads rejected records as they came, by the rules of today; blocking, without the source."""
        return reread_json(raws, wanted.schema or pa.schema([]))

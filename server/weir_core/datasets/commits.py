"""What a run makes visible at a time: a segment, its rejects and where to go on.

All of a `Commit` is written to the database in one transaction, or nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from weir_core.datasets.values import CursorValue

MAX_RAW = 65536

Position: TypeAlias = Mapping[str, Any]

KNOWN, UNCHANGED = "known", "unchanged"
"""What a run's position says besides, once its source has told it: how to ask for its version at the next
run; True where it has nothing new."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was done at the source."""

    records: int = 0
    bytes: int = 0
    requests: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.records + other.records, self.bytes + other.bytes, self.requests + other.requests)

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(self.records - other.records, self.bytes - other.bytes, self.requests - other.requests)


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that did not fit, as it came."""

    raw: bytes
    truncated: bool
    reason: str
    column: str
    page: int
    position: int

    @classmethod
    def of(cls, raw: bytes, reason: str, *, column: str = "", page: int = 0, position: int = 0) -> "Reject":
        """A reject whose raw bytes are cut where they are too many."""
        return cls(raw[:MAX_RAW], len(raw) > MAX_RAW, reason, column, page, position)


@dataclass(frozen=True, slots=True)
class Segment:
    """A Parquet file of a dataset, written and not yet named in the manifest."""

    path: str
    rows: int
    bytes: int
    sha256: str
    schema: pa.Schema
    low: CursorValue | None
    """Smallest value of the cursor field in it."""
    high: CursorValue | None
    """Greatest value of the cursor field in it."""
    bounds: Mapping[str, tuple[CursorValue, CursorValue]] = field(
        default_factory=dict[str, tuple[CursorValue, CursorValue]]
    )
    """Least and greatest value of its columns, where they are short and have an order."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """The rows of a segment that do not count from a version on."""

    path: str
    places: pa.BooleanArray
    """All of them, with those that were hidden before."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a merge hides, as found from one version of the dataset."""

    version: int
    hidden: tuple[Hiding, ...] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """What becomes visible together. Without a segment it moves the position only."""

    segment: Segment | None
    position: Position | None
    """Where a run resumes once this is committed."""
    cursor: CursorValue | None
    """Greatest value of the cursor field up to here."""
    rejects: tuple[Reject, ...] = ()
    counts: Counts = field(default_factory=Counts)
    nulls: Mapping[str, int] = field(default_factory=dict[str, int])
    """Nulls in the segment, of the columns that were asked for."""
    settled: Settled | None = None
    """For a segment that is merged into its dataset at once."""

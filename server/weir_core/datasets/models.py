"""The tables of datasets, and the rows as values.

A segment is visible in the versions from `from_version` up to, but without,
`to_version`; so are the rows of it that are hidden (see hidden.py). Segments of
a staged run have no `from_version` until the run's last transaction publishes
them all. Rows in quarantine belong to a generation: those
of the dataset's own are the ones that count.
"""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

from weir_core.columns import TABLE, Blob, Digest, Json, Micros, Uuid, metadata, name_column
from weir_core.datasets.values import CursorValue, Packed

dataset = Table(
    "dataset",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("project", 63),
    name_column("name", 100),
    Column("collection_id", Uuid),
    Column("version", BigInteger, nullable=False),
    Column("oldest_version", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("next_generation", BigInteger, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("record_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("segment_count", BigInteger, nullable=False),
    Column("quarantine_count", BigInteger, nullable=False),
    Column("commit_time", Micros),
    Column("create_time", Micros, nullable=False),
    Column("is_delete", Boolean(create_constraint=False), nullable=False),
    Column("live", Boolean(create_constraint=False)),
    UniqueConstraint("project", "name", "live"),
    Index(None, "name", "id"),
    Index(None, "collection_id"),
    Index(None, "is_delete"),
    **TABLE,
)

dataset_schema = Table(
    "dataset_schema",
    metadata,
    Column("dataset_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False, autoincrement=False),
    Column("columns", Json, nullable=False),
    Column("create_time", Micros, nullable=False),
    PrimaryKeyConstraint("dataset_id", "version"),
    **TABLE,
)

segment = Table(
    "segment",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dataset_id", Uuid, nullable=False),
    Column("run_id", Uuid, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("path", String(255), nullable=False, unique=True),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Digest, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("low", Json),
    Column("high", Json),
    Column("bounds", Json),
    Column("from_version", BigInteger),
    Column("to_version", BigInteger),
    Column("create_time", Micros, nullable=False),
    Column("retire_time", BigInteger),
    Index(None, "dataset_id", "id"),
    Index(None, "run_id", "number"),
    Index(None, "retire_time"),
    **TABLE,
)

# One row is in force for a segment at a version: a new one takes the place of the one before.
hidden_rows = Table(
    "hidden_rows",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dataset_id", Uuid, nullable=False),
    Column("segment_id", Uuid, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("places", Blob, nullable=False),
    Column("from_version", BigInteger, nullable=False),
    Column("to_version", BigInteger),
    Column("retire_time", BigInteger),
    Index(None, "dataset_id", "from_version"),
    Index(None, "segment_id"),
    Index(None, "retire_time"),
    **TABLE,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("dataset_id", Uuid, nullable=False),
    Column("run_id", Uuid, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("page", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("field", Json, nullable=False),
    Column("reason", Json, nullable=False),
    Column("raw", Blob, nullable=False),
    Column("truncated", Boolean(create_constraint=False), nullable=False),
    Column("create_time", Micros, nullable=False),
    Index(None, "dataset_id", "generation", "id"),
    Index(None, "run_id"),
    **TABLE,
)


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of a dataset; `type` is an Arrow type as text."""

    name: str
    type: str
    nullable: bool = True
    since: int = 1


@dataclass(frozen=True, slots=True)
class Dataset:
    """Records that are kept."""

    id: UUID
    project: str
    name: str
    collection_id: UUID | None
    version: int
    oldest_version: int
    generation: int
    schema_version: int
    record_count: int
    size_bytes: int
    segment_count: int
    quarantine_count: int
    commit_time: datetime | None
    columns: list[ColumnInfo] = field(default_factory=list[ColumnInfo])

    @property
    def etag(self) -> str:
        """Changes with the records."""
        return str(self.version)


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment of the manifest."""

    id: UUID
    path: str
    sha256: bytes
    rows: int
    bytes: int
    schema_version: int
    low: CursorValue | None
    high: CursorValue | None
    bounds: dict[str, tuple[CursorValue, CursorValue]] = field(
        default_factory=dict[str, tuple[CursorValue, CursorValue]]
    )
    """Least and greatest value of the columns where they are kept."""
    hidden_count: int = 0
    hidden: Packed | None = None
    """Which ones; None: all rows count."""

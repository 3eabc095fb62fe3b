"""The tables of connections, collections and runs, and the rows as values.

A run has the id of its task. Where it goes on is kept with it (`position`,
`reached`); what an incremental run has published stays in the dataset even if
the run then fails, so its place is also kept with the collection (`pending`)
and the next run goes on there: nothing is read into the dataset twice. What a
staged run has written is shown when it has ended well; `residue` says that it
may have left rows behind that no version will ever show.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, UniqueConstraint, text

from weir_core.collections.guards import Guard
from weir_core.columns import TABLE, Blob, Digest, Json, Micros, Uuid, metadata, name_column
from weir_core.datasets.models import ColumnInfo
from weir_core.datasets.values import CursorValue, Rules, SchemaPolicy
from weir_core.idempotency import request_columns
from weir_core.principals import Principal, creator_columns
from weir_core.tasks.models import Failure
from weir_core.tasks.states import TaskState


class SyncMode(IntEnum):
    """How a run changes its dataset; numbered as in the contract."""

    FULL = 1
    APPEND = 2
    INCREMENTAL = 3
    MERGE = 4


BY_CURSOR: Final = frozenset({SyncMode.INCREMENTAL, SyncMode.MERGE})
"""Modes that read from a cursor on."""


connector = Table(
    "connector",
    metadata,
    name_column("name", 100, primary_key=True),
    Column("description", Json, nullable=False),
    name_column("version", 60),
    Column("connection_schema", Json, nullable=False),
    Column("collection_schema", Json, nullable=False),
    Column("modes", Json, nullable=False),
    Column("can_discover", Boolean(create_constraint=False), nullable=False, server_default=text("0")),
    Column("can_pace", Boolean(create_constraint=False), nullable=False, server_default=text("0")),
    Column("update_time", Micros, nullable=False),
    **TABLE,
)

# `live` is true, and null once deleted: a unique key holds among those that are.
connection = Table(
    "connection",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("project", 63),
    name_column("name", 100),
    name_column("connector", 100),
    Column("settings", Json, nullable=False),
    Column("secrets", Blob),
    Column("secret_names", Json, nullable=False),
    Column("allow_private_addresses", Boolean(create_constraint=False), nullable=False),
    Column("politeness", Json),
    Column("revision", BigInteger, nullable=False),
    # How the newest try of this revision went.
    Column("last_check", Json),
    *creator_columns(),
    *request_columns(),
    Column("create_time", Micros, nullable=False),
    Column("update_time", Micros),
    Column("is_delete", Boolean(create_constraint=False), nullable=False),
    Column("live", Boolean(create_constraint=False)),
    UniqueConstraint("project", "name", "live"),
    Index(None, "name", "id"),
    **TABLE,
)

collection = Table(
    "collection",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("project", 63),
    name_column("name", 100),
    Column("connection_id", Uuid, nullable=False),
    name_column("stream", 500),
    Column("settings", Json, nullable=False),
    Column("mode", Integer, nullable=False),
    name_column("cursor_field", 200),
    Column("key_fields", Json),
    name_column("deleted_field", 200, server_default=""),
    Column("lag", BigInteger, nullable=False, server_default=text("0")),
    Column("guards", Json),
    Column("schema_policy", Integer, nullable=False, server_default=text("0")),
    Column("dataset_id", Uuid, nullable=False),
    Column("cursor", Json),
    Column("pending", Json),
    Column("known", Json),
    Column("revision", BigInteger, nullable=False, server_default=text("1")),
    Column("last_run_id", Uuid),
    Column("backfill_run_id", Uuid),
    *creator_columns(),
    *request_columns(),
    Column("create_time", Micros, nullable=False),
    Column("update_time", Micros),
    Column("is_delete", Boolean(create_constraint=False), nullable=False),
    Column("live", Boolean(create_constraint=False)),
    UniqueConstraint("project", "name", "live"),
    Index(None, "name", "id"),
    Index(None, "connection_id"),
    **TABLE,
)

COUNTERS: Final = (
    "records_read",
    "records_written",
    "records_quarantined",
    "bytes_read",
    "bytes_written",
    "segments",
    "requests",
)

run = Table(
    "run",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("project", 63),
    Column("collection_id", Uuid, nullable=False),
    Column("dataset_id", Uuid, nullable=False),
    Column("mode", Integer, nullable=False),
    Column("staged", Boolean(create_constraint=False)),
    Column("span", Json),
    Column("generation", BigInteger, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("connection_revision", BigInteger, nullable=False),
    Column("cursor_before", Json),
    Column("reached", Json),
    Column("position", Json),
    Column("known", Json),
    Column("commits", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in COUNTERS),
    Column("nulls", Json),
    Column("warnings", Json),
    Column("schema_changes", Json),
    Column("dataset_version", BigInteger, nullable=False),
    Column("finished", Boolean(create_constraint=False), nullable=False),
    Column("residue", Boolean(create_constraint=False), nullable=False),
    Column("create_time", Micros, nullable=False),
    Index(None, "project", "id"),
    Index(None, "collection_id", "id"),
    Index(None, "residue", "id"),
    **TABLE,
)

# A table of its own, since many requests may be answered with one run in progress.
run_request = Table(
    "run_request",
    metadata,
    Column("key", Digest, primary_key=True),
    Column("content", Digest, nullable=False),
    Column("run_id", Uuid, nullable=False),
    **TABLE,
)

# What a try is to do and what it found, encrypted, as long as somebody waits for it; `id` is its task's.
trial = Table(
    "trial",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("asked", Blob, nullable=False),
    Column("answer", Blob),
    Column("create_time", BigInteger, nullable=False),
    Index(None, "create_time"),
    **TABLE,
)


@dataclass(frozen=True, slots=True)
class Connector:
    """Code that can read one kind of source."""

    name: str
    description: str
    version: str
    connection_schema: dict[str, Any]
    collection_schema: dict[str, Any]
    modes: tuple[SyncMode, ...]
    can_discover: bool = False
    """True: a collection names one of its streams."""
    can_pace: bool = False
    """True: it asks by requests, at a pace that it is told."""


@dataclass(frozen=True, slots=True)
class ConnectionCheck:
    """How a try of a connection went; `failure` is None where it works."""

    failure: Failure | None
    latency: timedelta
    time: datetime


@dataclass(frozen=True, slots=True)
class Politeness:
    """How much at a time a source is asked, by all workers together."""

    max_concurrency: int = 0
    """Runs; 0 is 4."""
    max_per_minute: int = 0
    """Requests; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Settings for one real system; its secrets stay in the table."""

    id: UUID
    project: str
    name: str
    connector: str
    settings: dict[str, Any]
    secret_names: list[str]
    allow_private_addresses: bool
    revision: int
    creator: Principal
    create_time: datetime
    update_time: datetime
    politeness: Politeness = Politeness()
    last_check: ConnectionCheck | None = None

    @property
    def etag(self) -> str:
        """Changes with what callers set, and only then."""
        return str(self.revision)


@dataclass(frozen=True, slots=True)
class NewConnection:
    """What a caller asks for."""

    project: str
    name: str
    connector: str
    settings: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    allow_private_addresses: bool = False
    politeness: Politeness = Politeness()


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """What a connection becomes; its `secrets` are those that are new."""

    wanted: NewConnection
    kept_secrets: frozenset[str]
    """Names of those that stay as they are."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What a run did; committed segments only."""

    records_read: int = 0
    records_written: int = 0
    records_quarantined: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    segments: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """Values of the cursor field from `start` on and before `end`."""

    start: CursorValue
    end: CursorValue


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a collection."""

    id: UUID
    project: str
    collection_id: UUID
    dataset_id: UUID
    mode: SyncMode
    span: "Span | None"
    state: TaskState
    counters: Counters
    connection_revision: int
    cursor_before: CursorValue | None
    cursor_after: CursorValue | None
    dataset_version: int
    warnings: tuple[str, ...]
    schema_changes: tuple[str, ...]
    failure: Failure | None
    create_time: datetime
    end_time: datetime | None


@dataclass(frozen=True, slots=True)
class Collection:
    """What to read over a connection, how, and how far it has come."""

    id: UUID
    project: str
    name: str
    connection_id: UUID
    stream: str
    settings: dict[str, Any]
    mode: SyncMode
    cursor_field: str
    key_fields: tuple[str, ...]
    deleted_field: str
    lag: timedelta
    schema_policy: SchemaPolicy
    guards: tuple[Guard, ...]
    dataset_id: UUID
    dataset: str
    cursor: CursorValue | None
    last_run_id: UUID | None
    revision: int
    creator: Principal
    create_time: datetime
    update_time: datetime
    last_run: Run | None = None

    @property
    def etag(self) -> str:
        """Changes with what callers set, and only then."""
        return str(self.revision)

    @property
    def rules(self) -> Rules:
        """By what records are merged; without keys nothing is."""
        return Rules(self.key_fields, self.cursor_field, self.deleted_field)


@dataclass(frozen=True, slots=True)
class NewCollection:
    """What a caller asks for; an empty `dataset` means the collection's own name."""

    project: str
    name: str
    connection_id: UUID
    settings: dict[str, Any]
    mode: SyncMode
    stream: str = ""
    cursor_field: str = ""
    key_fields: tuple[str, ...] = ()
    deleted_field: str = ""
    lag: timedelta = timedelta(0)
    schema_policy: SchemaPolicy = SchemaPolicy.EVOLVE
    guards: tuple[Guard, ...] = ()
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that an attempt needs to do a run, secrets included."""

    run_id: UUID
    attempt: int
    collection: str
    connection_id: UUID
    connector: str
    settings: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    allow_private_addresses: bool
    max_per_minute: int
    """Requests, over all workers; 0 is no limit."""
    stream: str
    collection_settings: dict[str, Any]
    mode: SyncMode
    staged: bool
    """True: what is written is shown when the run has ended well."""
    cursor_field: str
    key_fields: tuple[str, ...]
    deleted_field: str
    schema_policy: SchemaPolicy
    count_nulls: tuple[str, ...]
    """Columns whose nulls guards want to know."""
    cursor: CursorValue | None
    """Read what lies after it."""
    inclusive: bool
    """True: read what is equal to the cursor too."""
    span: Span | None
    """A backfill reads this."""
    reached: CursorValue | None
    """Greatest cursor in what is committed."""
    position: dict[str, Any] | None
    """Go on there; None: at the start."""
    known: dict[str, Any] | None
    """What the source said of its version when it was read whole; None: read it in any case."""
    commits: int
    counters: Counters
    dataset_id: UUID
    dataset_version: int
    columns: list[ColumnInfo] | None
    """Columns of the dataset; None: not known yet."""
    columns_fixed: bool
    """True: the segments must have them; False: the run may bring others."""
    finished: bool

    @property
    def rules(self) -> Rules:
        """By what records are merged; without keys nothing is."""
        return Rules(self.key_fields, self.cursor_field, self.deleted_field)

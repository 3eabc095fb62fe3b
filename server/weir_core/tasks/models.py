"""The tables of the task engine, and the rows as values."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, String, Table, text

from weir_core.columns import TABLE, Blob, Json, Micros, Uuid, metadata, name_column
from weir_core.idempotency import request_columns
from weir_core.principals import Principal, creator_columns
from weir_core.tasks.states import CancelPhase, Condition, FailureKind, OnConflict, Priority, TaskState

NEVER = 2**62
"""The `due_time` of a task that waits for something else than a time."""

HELD = "held"
"""Where a task is parked that took down too many workers; no gate has that name."""

task = Table(
    "task",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("project", 63),
    name_column("type", 100),
    Column("type_version", Integer, nullable=False),
    name_column("pack", 60),
    name_column("queue", 60),
    Column("state", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("charged", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("due_time", BigInteger, nullable=False),
    Column("hint_time", BigInteger, nullable=False),
    # When it was made (by the clock of who made it), or changed its state or labels (by the database's).
    Column("change_time", BigInteger, nullable=False, server_default=text("0")),
    # When a sweeper must look: at the deadline while it waits, at its removal once it has ended.
    Column("alarm_time", Micros),
    # The gates that it has passed and not left, and the one that it waits at.
    Column("holds", Json, nullable=False),
    Column("parked_on", String(300)),
    # True: other tasks depend on it.
    Column("needed", Boolean(create_constraint=False), nullable=False),
    Column("worker_id", Uuid),
    Column("claim_id", Uuid),
    Column("last_seq", BigInteger, nullable=False),
    Column("reserved_seq", BigInteger, nullable=False),
    Column("input", Json, nullable=False),
    Column("labels", Json, nullable=False),
    Column("limits", Json, nullable=False),
    Column("start_after", Micros),
    Column("deadline", Micros),
    Column("retention", Integer),
    Column("depends_on", Json, nullable=False),
    Column("concurrency", Json),
    Column("key_gate", String(300)),
    Column("parent_id", Uuid),
    Column("retry_of", Uuid),
    Column("output", Json),
    Column("output_file_id", Uuid),
    Column("failure", Json),
    Column("failure_kind", Integer),
    Column("fingerprint", String(16)),
    Column("progress", Json),
    Column("checkpoint", Json),
    Column("cancellation", Json),
    Column("schedule_id", Uuid),
    Column("fire_time", Micros),
    *creator_columns(),
    *request_columns(),
    Column("create_time", Micros, nullable=False),
    Column("start_time", Micros),
    Column("end_time", Micros),
    Column("is_delete", Boolean(create_constraint=False), nullable=False),
    # Each index carries one list or one step of the engine, with the id as tie-break.
    Index(None, "state", "due_time"),
    Index(None, "state", "hint_time"),
    Index(None, "worker_id", "state"),
    Index(None, "claim_id"),
    Index(None, "alarm_time"),
    Index(None, "change_time"),
    Index(None, "parked_on", "turn", "id"),
    Index(None, "key_gate", "state"),
    Index(None, "project", "id"),
    Index(None, "project", "state", "id"),
    Index(None, "state", "id"),
    Index(None, "type", "id"),
    Index(None, "queue", "id"),
    Index(None, "queue", "state", "turn", "id"),
    Index(None, "creator_id", "id"),
    Index(None, "schedule_id", "id"),
    Index(None, "parent_id", "id"),
    Index(None, "fingerprint", "id"),
    Index(None, "failure_kind", "id"),
    **TABLE,
)

attempt = Table(
    "attempt",
    metadata,
    Column("task_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("worker_id", Uuid, nullable=False),
    Column("type_version", Integer, nullable=False),
    Column("start_time", Micros, nullable=False),
    Column("end_time", Micros),
    Column("retry_time", Micros),
    Column("failure", Json),
    PrimaryKeyConstraint("task_id", "number"),
    **TABLE,
)

task_event = Table(
    "task_event",
    metadata,
    Column("task_id", Uuid, nullable=False),
    Column("to_seq", BigInteger, nullable=False, autoincrement=False),
    Column("from_seq", BigInteger, nullable=False, autoincrement=False),
    Column("events", Blob, nullable=False),
    PrimaryKeyConstraint("task_id", "to_seq"),
    **TABLE,
)


# One row: the newest change of a task that was removed.
task_horizon = Table(
    "task_horizon",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("removed_time", BigInteger, nullable=False),
    **TABLE,
)

task_label = Table(
    "task_label",
    metadata,
    name_column("name", 63),
    name_column("value", 255),
    Column("task_id", Uuid, nullable=False),
    PrimaryKeyConstraint("name", "value", "task_id"),
    Index(None, "task_id"),
    **TABLE,
)

task_dependency = Table(
    "task_dependency",
    metadata,
    Column("task_id", Uuid, nullable=False),
    Column("needs_id", Uuid, nullable=False),
    Column("condition", Integer, nullable=False),
    # The state in which the needed task ended; null while it goes.
    Column("outcome", Integer),
    PrimaryKeyConstraint("task_id", "needs_id"),
    Index(None, "needs_id"),
    Index(None, "outcome", "task_id"),
    **TABLE,
)

task_stop = Table(
    "task_stop",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    name_column("reason", 500),
    Column("grace", Integer),
    *creator_columns(),
    **TABLE,
)

gate = Table(
    "gate",
    metadata,
    name_column("name", 300, primary_key=True),
    Column("paused", Boolean(create_constraint=False), nullable=False),
    name_column("pause_reason", 500),
    Column("max_running", Integer, nullable=False),
    Column("max_per_minute", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    # Starts are counted by the minute since 1970.
    Column("minute", BigInteger, nullable=False),
    Column("started", Integer, nullable=False),
    Index(None, "waiting"),
    **TABLE,
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again."""

    max_attempts: int = 3
    initial_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(minutes=5)
    multiplier: float = 2.0
    kinds: frozenset[FailureKind] = frozenset()


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on running time, and when to try again; kept as JSON with the task."""

    attempt: timedelta | None = None
    stall: timedelta | None = None
    grace: timedelta = timedelta(seconds=10)
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed, as near to the first cause as is known; `detail` by kind."""

    kind: FailureKind
    message: str
    code: str = ""
    causes: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    retryable: bool = False
    detail: dict[str, Any] = field(default_factory=dict[str, Any])
    log_tail: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A cancellation and how far it has come."""

    phase: CancelPhase
    reason: str
    requester: Principal
    request_time: datetime
    grace: timedelta | None = None
    signal_time: datetime | None = None
    kill_time: datetime | None = None
    confirm_time: datetime | None = None
    holdup: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A task that must have ended first, and how."""

    task_id: UUID
    condition: Condition = Condition.SUCCEEDED


@dataclass(frozen=True, slots=True)
class Concurrency:
    """A limit on how many tasks of one key go at a time."""

    key: str
    limit: int
    on_conflict: OnConflict = OnConflict.WAIT


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a task."""

    number: int
    worker_id: UUID
    type_version: int
    start_time: datetime
    end_time: datetime | None = None
    heartbeat_time: datetime | None = None
    retry_time: datetime | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of asked-for work."""

    id: UUID
    project: str
    type: str
    type_version: int
    pack: str
    queue: str
    state: TaskState
    attempt: int
    charged: int
    last_seq: int
    reserved_seq: int
    labels: dict[str, str]
    limits: Limits
    creator: Principal
    create_time: datetime
    priority: Priority = Priority.NORMAL
    start_after: datetime | None = None
    schedule_id: UUID | None = None
    fire_time: datetime | None = None
    deadline: datetime | None = None
    retention: timedelta | None = None
    """None: as long as what refers to it."""
    depends_on: list[Dependency] = field(default_factory=list[Dependency])
    concurrency: Concurrency | None = None
    parent_id: UUID | None = None
    retry_of: UUID | None = None
    crashes: int = 0
    holds: list[str] = field(default_factory=list[str])
    parked_on: str | None = None
    needed: bool = False
    expire_time: datetime | None = None
    checkpoint: Any = None
    worker_id: UUID | None = None
    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    output_file_id: UUID | None = None
    failure: Failure | None = None
    progress: dict[str, Any] | None = None
    cancellation: Cancellation | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])

    @property
    def held(self) -> bool:
        """True: it is not started again until it is released by hand."""
        return self.parked_on == HELD

"""The tables of schedules and their fires, and the rows as values.

`due_time` is when to act on `next_fire`; it is null where nothing is to be done
(paused, ended, deleted), so that it alone finds what is due. `held_fire` is the
one fire that waits for the end of the task `held_by`.

A fire's `fired_time` is its fire time where it made a task, else null: so each
fire time makes at most one task, and one that was missed can be made up for.
`open` is true until the end of its task has been accounted for.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, UniqueConstraint

from weir_core.columns import TABLE, Digest, Json, Micros, Uuid, metadata, name_column
from weir_core.idempotency import request_columns
from weir_core.principals import Principal, creator_columns
from weir_core.schedules.times import Timing
from weir_core.tasks.submitting import NewTask


class MissedPolicy(IntEnum):
    """What to do with missed fire times, numbered as in the contract."""

    SKIP = 1
    LAST = 2
    ALL = 3


class OverlapPolicy(IntEnum):
    """What to do while an earlier task goes on, numbered as in the contract."""

    SKIP = 1
    ALLOW = 2
    QUEUE_ONE = 3
    CANCEL_RUNNING = 4


class FireResult(IntEnum):
    """What became of a fire, numbered as in the contract."""

    FIRED = 1
    OVERLAP = 2
    MISSED = 3
    REFUSED = 4


schedule = Table(
    "schedule",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("project", 63),
    name_column("name", 100),
    Column("description", String(1000), nullable=False),
    Column("timing", Json, nullable=False),
    Column("spec", Json, nullable=False),
    Column("template", Json, nullable=False),
    Column("missed", Integer, nullable=False),
    Column("max_catch_up", Integer, nullable=False),
    Column("overlap", Integer, nullable=False),
    Column("pause_after_failures", Integer, nullable=False),
    Column("paused", Boolean(create_constraint=False), nullable=False),
    Column("pause_reason", String(500), nullable=False),
    Column("labels", Json, nullable=False),
    Column("next_fire", Micros),
    Column("due_time", BigInteger),
    Column("held_fire", Micros),
    Column("held_by", Uuid),
    Column("failures", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    *creator_columns(),
    *creator_columns("run_as"),
    *request_columns(),
    Column("create_time", Micros, nullable=False),
    Column("update_time", Micros, nullable=False),
    Column("is_delete", Boolean(create_constraint=False), nullable=False),
    Column("live", Boolean(create_constraint=False)),
    UniqueConstraint("project", "name", "live"),
    Index(None, "name", "id"),
    Index(None, "due_time"),
    Index(None, "held_by"),
    **TABLE,
)

fire = Table(
    "fire",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("schedule_id", Uuid, nullable=False),
    Column("fire_time", Micros, nullable=False),
    Column("fired_time", Micros),
    Column("action_time", Micros, nullable=False),
    Column("result", Integer, nullable=False),
    Column("task_id", Uuid),
    Column("message", String(500), nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("open", Boolean(create_constraint=False), nullable=False),
    UniqueConstraint("schedule_id", "fired_time"),
    Index(None, "schedule_id", "id"),
    Index(None, "open", "schedule_id"),
    **TABLE,
)

# `fire_id` is null for a span, whose fires are found by their times.
trigger_request = Table(
    "trigger_request",
    metadata,
    Column("key", Digest, primary_key=True),
    Column("content", Digest, nullable=False),
    Column("fire_id", Uuid),
    **TABLE,
)


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule as a caller describes it."""

    project: str
    name: str
    timing: Timing
    spec: dict[str, Any]
    """What to submit, as the caller sent it."""
    template: NewTask
    """The same as the engine takes it."""
    description: str = ""
    missed: MissedPolicy = MissedPolicy.LAST
    max_catch_up: int = 10
    overlap: OverlapPolicy = OverlapPolicy.SKIP
    pause_after_failures: int = 0
    paused: bool = False
    pause_reason: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Fire:
    """One fire of a schedule, or several missed ones in a row."""

    id: UUID
    fire_time: datetime
    action_time: datetime
    result: FireResult
    task_id: UUID | None = None
    message: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule, and how far it has come."""

    id: UUID
    wanted: NewSchedule
    next_fire: datetime | None
    held_fire: datetime | None
    held_by: UUID | None
    failures: int
    revision: int
    creator: Principal
    run_as: Principal
    create_time: datetime
    update_time: datetime
    next_fires: list[datetime] = field(default_factory=list[datetime])
    recent_fires: list[Fire] = field(default_factory=list[Fire])

    @property
    def etag(self) -> str:
        """Changes with what callers set, and only then."""
        return str(self.revision)

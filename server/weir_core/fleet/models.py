"""The tables of workers and task types, and the rows as values."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table

from weir_core.columns import TABLE, Json, Micros, Uuid, metadata, name_column
from weir_core.tasks.models import Limits
from weir_core.tasks.states import Priority

task_type = Table(
    "task_type",
    metadata,
    name_column("name", 100),
    Column("version", Integer, nullable=False, autoincrement=False),
    name_column("pack", 60),
    Column("description", Json, nullable=False),
    Column("input_schema", Json, nullable=False),
    Column("output_schema", Json, nullable=False),
    name_column("queue", 60),
    Column("priority", Integer, nullable=False),
    name_column("permission", 60),
    Column("limits", Json, nullable=False),
    Column("update_time", Micros, nullable=False),
    PrimaryKeyConstraint("name", "version"),
    **TABLE,
)

worker = Table(
    "worker",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("host", 255),
    name_column("version", 60),
    name_column("state", 12),
    Column("slots", Integer, nullable=False),
    Column("queues", Json, nullable=False),
    Column("types", Json, nullable=False),
    Column("lease_expire", BigInteger, nullable=False),
    Column("start_time", Micros, nullable=False),
    Column("heartbeat_time", Micros, nullable=False),
    # When a draining worker hands back what it has not ended; null: never.
    Column("drain_time", Micros),
    Index(None, "state", "lease_expire"),
    **TABLE,
)

scheduler = Table(
    "scheduler",
    metadata,
    Column("id", Uuid, primary_key=True),
    name_column("host", 255),
    Column("heartbeat_time", Micros, nullable=False),
    Index(None, "heartbeat_time"),
    **TABLE,
)


class WorkerState(StrEnum):
    """States of a worker."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    LOST = "LOST"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class TaskType:
    """A kind of work that workers can do."""

    name: str
    version: int
    pack: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    queue: str = "default"
    priority: Priority = Priority.NORMAL
    permission: str = ""
    limits: Limits = field(default_factory=Limits)
    worker_count: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that runs tasks; `types` maps names to the newest version it has."""

    id: UUID
    host: str
    version: str
    state: WorkerState
    slots: int
    queues: list[str]
    types: dict[str, int]
    start_time: datetime
    heartbeat_time: datetime
    drain_time: datetime | None = None
    task_ids: list[UUID] = field(default_factory=list[UUID])

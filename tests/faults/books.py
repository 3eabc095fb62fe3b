"""What is there at the end: in the database, in Redis, in the ledger of side effects and on the machine."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.faults.history import Seen
from weir.v1.task_pb2 import TaskEvent
from weir_core.columns import database_now
from weir_core.files.models import file
from weir_core.fleet.models import worker
from weir_core.runtime import Runtime
from weir_core.tasks.events import Event, EventKind, decode
from weir_core.tasks.models import attempt, task, task_event
from weir_core.tasks.states import TaskState
from weir_server.rpc import convert_tasks

_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as the database has it; `request` is the label that its client gave."""

    id: str
    state: TaskState
    attempt: int
    charged: int
    last_seq: int
    request: str
    output: dict[str, Any] | None
    ended: bool
    create_time: float


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt as the database has it; `failure` is the kind and code of its failure."""

    task_id: str
    number: int
    worker_id: str
    ended: bool
    failure: str = ""
    start_time: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as the database has it; `overdue` is how long ago its lease ran out, in seconds."""

    id: str
    state: str
    overdue: float


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the ledger: a task did something that can't be taken back (`start` or `effect`)."""

    task_id: str
    attempt: int
    nonce: str
    kind: str
    time: float
    worker_pid: int


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is left over, of what age in seconds."""

    what: str
    age: float


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file as the database has it; `content` is what lies in the store, None where nothing does."""

    task_id: str
    attempt: int
    name: str
    content: bytes | None


@dataclass(slots=True)
class Books:
    """All of it."""

    tasks: list[TaskRow] = field(default_factory=list[TaskRow])
    attempts: list[AttemptRow] = field(default_factory=list[AttemptRow])
    events: dict[str, list[Seen]] = field(default_factory=dict[str, list[Seen]])
    workers: list[WorkerRow] = field(default_factory=list[WorkerRow])
    ledger: list[Effect] = field(default_factory=list[Effect])
    left: list[Left] = field(default_factory=list[Left])
    fires: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Schedule, fire time and the task that it made."""
    files: list[FileRow] = field(default_factory=list[FileRow])


def digest(event: TaskEvent) -> str:
    """The same for events that say the same."""
    return hashlib.sha256(event.SerializeToString(deterministic=True)).hexdigest()[:16]


def seen(event: TaskEvent) -> Seen:
    """An event as a client has it."""
    kind = event.WhichOneof("payload") or ""
    if kind == "gap":
        return Seen(
            event.seq, event.gap.from_seq, event.attempt, kind, digest(event), reason=event.gap.reason
        )
    before, after = (event.state.from_state, event.state.to_state) if kind == "state" else (0, 0)
    return Seen(
        event.seq,
        event.seq,
        event.attempt,
        kind,
        digest(event),
        is_last=after >= TaskState.SUCCEEDED,
        before=before,
        after=after,
    )


async def read(runtime: Runtime, since: float, ledger: Path, left: Iterable[Left]) -> Books:
    """The books on all tasks that were made since then."""
    books = Books(ledger=read_ledger(ledger), left=list(left))
    async with runtime.db.read() as tx:
        books.tasks = [row for row in await _tasks(tx) if row.create_time >= since]
        wanted = {row.id for row in books.tasks}
        books.attempts = [row for row in await _attempts(tx) if row.task_id in wanted]
        books.workers = await _workers(tx)
        books.fires = [each for each in await _fires(tx) if each[2] in wanted]
    books.events = {key: value for key, value in (await _events(runtime)).items() if key in wanted}
    books.left += await _hints(runtime.redis, runtime.settings.redis_prefix)
    books.left += _drafts(runtime.settings.data_dir)
    books.files, known = await _files(runtime, wanted)
    books.left += _unknown(runtime.settings.data_dir, known)
    return books


def read_ledger(file: Path) -> list[Effect]:
    """The lines that tasks wrote."""
    effects: list[Effect] = []
    for line in file.read_text().splitlines() if file.exists() else ():
        task_id, number, nonce, kind, time, pid = line.split()
        effects.append(Effect(task_id, int(number), nonce, kind, float(time), int(pid)))
    return effects


async def _tasks(tx: AsyncConnection) -> list[TaskRow]:
    return [
        TaskRow(
            id=str(row.id),
            state=TaskState(row.state),
            attempt=row.attempt,
            charged=row.charged,
            last_seq=row.last_seq,
            request=row.labels.get("request", ""),
            output=row.output,
            ended=row.end_time is not None,
            create_time=row.create_time.timestamp(),
        )
        for row in await tx.execute(select(task))
    ]


async def _attempts(tx: AsyncConnection) -> list[AttemptRow]:
    def failure(value: Any) -> str:
        return "" if value is None else f"{value['kind']} {value['code']}"

    return [
        AttemptRow(
            str(row.task_id),
            row.number,
            str(row.worker_id),
            row.end_time is not None,
            failure(row.failure),
            row.start_time.timestamp(),
        )
        for row in await tx.execute(select(attempt).order_by(attempt.c.task_id, attempt.c.number))
    ]


async def _fires(tx: AsyncConnection) -> list[tuple[str, str, str]]:
    columns = (task.c.schedule_id, task.c.fire_time, task.c.id)
    rows = await tx.execute(select(*columns).where(task.c.schedule_id.is_not(None)))
    return [(str(row.schedule_id), row.fire_time.isoformat(), str(row.id)) for row in rows]


async def _workers(tx: AsyncConnection) -> list[WorkerRow]:
    query = select(worker.c.id, worker.c.state, (database_now() - worker.c.lease_expire).label("overdue"))
    return [WorkerRow(str(row.id), row.state, row.overdue / _MICROSECONDS) for row in await tx.execute(query)]


async def _events(runtime: Runtime) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = defaultdict(list)
    async with runtime.db.read() as tx:
        rows = await tx.execute(select(task_event).order_by(task_event.c.task_id, task_event.c.to_seq))
        chunks = [(row.task_id, row.events) for row in rows]
    for task_id, chunk in chunks:
        found[str(task_id)] += [_archived(task_id, event) for event in decode(chunk)]
    return found


def _archived(task_id: UUID, event: Event) -> Seen:
    told = seen(convert_tasks.event(task_id, event))
    assert (told.kind == "gap") is (event.kind is EventKind.GAP)
    return told


async def _hints(redis: "Redis", prefix: str) -> list[Left]:
    client: Any = redis
    left: list[Left] = []
    async for stream in client.scan_iter(match=f"{prefix}queue:*"):
        for group in await client.xinfo_groups(stream):
            pending = await client.xpending_range(stream, group["name"], min="-", max="+", count=1000)
            left += [
                Left(f"pending hint {one['message_id'].decode()}", one["time_since_delivered"] / 1000)
                for one in pending
            ]
    return left


async def _files(runtime: Runtime, task_ids: set[str]) -> tuple[list[FileRow], set[str]]:
    """The files of some tasks, and where all files lie."""
    async with runtime.db.read() as tx:
        rows = list(await tx.execute(select(file)))
    folder = runtime.settings.data_dir
    found = [
        FileRow(str(row.task_id), row.attempt, row.name, _content(folder / row.path))
        for row in rows
        if str(row.task_id) in task_ids
    ]
    return found, {row.path for row in rows}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _unknown(folder: Path, known: set[str]) -> list[Left]:
    now = time()
    paths = [path for path in (folder / "files").glob("*/*") if not path.name.startswith(".")]
    return [
        Left(f"content without a row {path.name}", now - path.stat().st_mtime)
        for path in paths
        if path.relative_to(folder).as_posix() not in known
    ]


def _drafts(folder: Path) -> list[Left]:
    now = time()
    drafts = [(path.name, path.stat().st_mtime) for path in folder.glob("**/.unfinished-*")]
    return [Left(f"unfinished file {name}", now - changed) for name, changed in drafts]

"""Says why a task is where it is: what it waits for, what it runs on, or why it ended. Only reads."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.fleet import repository as fleet
from weir_core.fleet.models import Worker
from weir_core.principals import Caller
from weir_core.tasks import gate_repository, repository, waiting_repository
from weir_core.tasks.gates import Gate, described, is_key, queue_gate
from weir_core.tasks.models import Task
from weir_core.tasks.service import TaskService
from weir_core.tasks.states import TERMINAL, TaskState

_SHOWN: Final = 10
_MINUTE: Final = 60


class BlockerKind(IntEnum):
    """What is in the way, numbered as in the contract."""

    START_TIME = 1
    DEPENDENCY = 2
    RETRY_DELAY = 3
    CONCURRENCY = 4
    RATE_LIMIT = 5
    QUEUE_PAUSED = 6
    QUEUE_POSITION = 7
    NO_WORKER = 8
    CANCELLING = 10
    HELD = 12


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing in the way."""

    kind: BlockerKind
    message: str
    since: datetime | None = None
    until: datetime | None = None
    count: int = 0
    task_ids: list[UUID] = field(default_factory=list[UUID])
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a task is where it is."""

    state: TaskState
    summary: str
    blockers: list[Blocker] = field(default_factory=list[Blocker])
    hints: list[str] = field(default_factory=list[str])


class Explaining:
    """Explains tasks."""

    def __init__(self, db: Database, tasks: TaskService) -> None:
        self._db = db
        self._tasks = tasks

    async def explain(self, caller: Caller, task_id: UUID) -> Explanation:
        """Why the task is where it is; NotFound where the caller may not read it."""
        found = await self._tasks.get(caller, task_id)
        if found.state in TERMINAL:
            return Explanation(found.state, _ended(found), hints=_advice(found))
        async with self._db.read() as tx:
            workers = await fleet.active_workers(tx)
            if found.state is TaskState.RUNNING:
                return Explanation(found.state, _runs(found, workers))
            look = _LOOKS[found.state]
            blockers = await look(tx, found, workers)
        if not blockers:
            return Explanation(found.state, "nothing is in its way; it goes on within a second")
        hints = [blocker.hint for blocker in blockers if blocker.hint]
        return Explanation(found.state, blockers[0].message, blockers, hints)


async def _pending(tx: AsyncConnection, task: Task, workers: list[Worker]) -> list[Blocker]:
    """What keeps a PENDING task from being queued, the one that holds longest first."""
    if task.held:
        message = f"it is held: it took down {task.crashes} workers"
        hint = "find out why, then release it: UpdateTask with `held` false"
        return [Blocker(BlockerKind.HELD, message, since=_last_end(task), hint=hint)]
    blockers = await _dependencies(tx, task)
    now = datetime.now(UTC)
    retry = task.attempts[-1].retry_time if task.attempts else None
    if task.start_after is not None and task.start_after > now:
        text = f"it is not to be started before {_shown(task.start_after)}"
        blockers.append(Blocker(BlockerKind.START_TIME, text, task.create_time, task.start_after))
    elif retry is not None and retry > now:
        why = f": {task.failure.message}" if task.failure else ""
        text = f"attempt {task.attempt} failed{why}; the next one comes at {_shown(retry)}"
        blockers.append(Blocker(BlockerKind.RETRY_DELAY, text, _last_end(task), retry))
    if task.parked_on is not None:
        gates = await gate_repository.get(tx, [task.parked_on])
        if gate := gates.get(task.parked_on):
            blockers.append(await _gate(tx, task, gate))
    return blockers + _no_worker(task, workers)


async def _queued(tx: AsyncConnection, task: Task, workers: list[Worker]) -> list[Blocker]:
    gates = await gate_repository.get(tx, [queue_gate(task.queue)])
    blockers = [_paused(gate) for gate in gates.values() if gate.paused]
    blockers += _no_worker(task, workers)
    before = await waiting_repository.ahead(tx, task)
    if before:
        text = f"{before} tasks are before it in queue {task.queue!r}"
        blockers.append(Blocker(BlockerKind.QUEUE_POSITION, text, task.create_time, count=before))
    elif not blockers:
        able = [worker for worker in workers if _serves(worker, task)]
        text = f"it is the next in queue {task.queue!r}; the {len(able)} workers that serve it are full"
        blockers.append(Blocker(BlockerKind.QUEUE_POSITION, text, task.create_time))
    return blockers


async def _cancelling(_tx: AsyncConnection, task: Task, _workers: list[Worker]) -> list[Blocker]:
    asked = task.cancellation
    assert asked is not None
    text = asked.holdup or f"its cancellation is {asked.phase.name}: something of it still runs"
    return [Blocker(BlockerKind.CANCELLING, text, asked.request_time)]


_Look = Callable[[AsyncConnection, Task, list[Worker]], Awaitable[list[Blocker]]]
_LOOKS: Final[dict[TaskState, _Look]] = {
    TaskState.PENDING: _pending,
    TaskState.QUEUED: _queued,
    TaskState.CANCELLING: _cancelling,
}


async def _dependencies(tx: AsyncConnection, task: Task) -> list[Blocker]:
    rows = await waiting_repository.dependencies(tx, task.id)
    if not rows:
        return []
    ids = [row.needs_id for row in rows]
    first = (await repository.heads(tx, ids[:1]))[0]
    text = f"it waits for task {ids[0]}, which is {first.state.name}"
    if len(ids) > 1:
        text = f"it waits for {len(ids)} tasks to end, such as {ids[0]}, which is {first.state.name}"
    return [Blocker(BlockerKind.DEPENDENCY, text, task.create_time, count=len(ids), task_ids=ids[:_SHOWN])]


async def _gate(tx: AsyncConnection, task: Task, gate: Gate) -> Blocker:
    if gate.paused:
        return _paused(gate)
    name = described(gate.name)
    if gate.max_running and gate.running >= gate.max_running:
        holders = await gate_repository.holders(tx, gate.name, _SHOWN) if is_key(gate.name) else []
        text = f"{name} is at its limit: {gate.running} of {gate.max_running} run, {gate.waiting} wait"
        return Blocker(BlockerKind.CONCURRENCY, text, task.create_time, count=gate.running, task_ids=holders)
    until = datetime.fromtimestamp((gate.minute + 1) * _MINUTE, UTC)
    text = f"{name} has started its {gate.max_per_minute} tasks of this minute; {gate.waiting} wait"
    return Blocker(BlockerKind.RATE_LIMIT, text, task.create_time, until, count=gate.waiting)


def _paused(gate: Gate) -> Blocker:
    why = f": {gate.pause_reason}" if gate.pause_reason else ""
    text = f"{described(gate.name)} is paused{why}"
    return Blocker(BlockerKind.QUEUE_PAUSED, text, hint="resume it: UpdateQueue with `paused` false")


def _no_worker(task: Task, workers: list[Worker]) -> list[Blocker]:
    if any(_serves(worker, task) for worker in workers):
        return []
    text = f"no live worker serves {task.type} version {task.type_version} on queue {task.queue!r}"
    hint = f'start a worker for queue "{task.queue}" that has {task.type}: weir worker --queues {task.queue}'
    return [Blocker(BlockerKind.NO_WORKER, text, hint=hint)]


def _serves(worker: Worker, task: Task) -> bool:
    return task.queue in worker.queues and worker.types.get(task.type, 0) >= task.type_version


def _runs(task: Task, workers: list[Worker]) -> str:
    host = next((worker.host for worker in workers if worker.id == task.worker_id), "a worker that is silent")
    since = f" since {_shown(task.start_time)}" if task.start_time else ""
    return f"attempt {task.attempt} runs on {host}{since}"


def _ended(task: Task) -> str:
    if task.failure is None:
        return f"it has ended {task.state.name} after {task.attempt} attempts"
    return f"it has ended {task.state.name}: {task.failure.kind.name}: {task.failure.message}"


def _advice(task: Task) -> list[str]:
    if task.state is TaskState.SUCCEEDED or task.failure is None:
        return []
    if task.failure.kind.name == "INVALID_INPUT":
        return ["change the input, then submit it anew: RetryTask with `spec.input`"]
    return ["read its log: ListTaskEvents with `descending`", "submit it anew: RetryTask"]


def _last_end(task: Task) -> datetime | None:
    return task.attempts[-1].end_time if task.attempts else None


def _shown(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")

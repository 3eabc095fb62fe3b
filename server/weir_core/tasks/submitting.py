"""What a submit stores: tasks with their first events, what they wait for, where they stand at their gates.

Runs inside a transaction that the caller opens, so that another domain can make
a task together with rows of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.errors import InvalidArgument, NotFound, QuotaExceeded, StateConflict, WeirError
from weir_core.failpoints import reach
from weir_core.fleet.models import TaskType
from weir_core.idempotency import RequestKey, request_values
from weir_core.ids import new_id
from weir_core.principals import Caller, creator_values
from weir_core.tasks import gate_repository, hot_repository, repository, waiting_repository
from weir_core.tasks.admission import Admission, key_of, waiting_values
from weir_core.tasks.encoding import dump_concurrency, dump_dependencies, dump_limits
from weir_core.tasks.events import Event, EventKind, state_body
from weir_core.tasks.gates import described
from weir_core.tasks.models import Concurrency, Dependency, Limits, Task
from weir_core.tasks.states import TERMINAL, OnConflict, Priority, TaskState
from weir_core.tasks.stopping import stop_holder


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a caller asks for; None and empty: as the type says."""

    project: str
    type: str
    input: dict[str, Any]
    queue: str = ""
    priority: Priority | None = None
    labels: dict[str, str] | None = None
    start_after: datetime | None = None
    deadline: datetime | None = None
    limits: Limits | None = None
    """The caller's limits, laid over those of the type already."""
    depends_on: Sequence[Dependency] = ()
    concurrency: Concurrency | None = None
    retention: timedelta | None = None
    parent_id: UUID | None = None
    retry_of: UUID | None = None
    schedule_id: UUID | None = None
    fire_time: datetime | None = None
    content: Any = None
    """What the caller sent, as JSON, to tell a repeat from another request."""


@dataclass(frozen=True, slots=True)
class Made:
    """A task that is ready to be stored."""

    task: Task
    caller: Caller
    key: RequestKey | None = None

    @property
    def stands_alone(self) -> bool:
        """True: storing it waits for no other task and no key's gate."""
        task = self.task
        return not (task.depends_on or task.parent_id or task.concurrency)


@dataclass(frozen=True, slots=True)
class Stored:
    """A task as it stands; where `created` is False, another request made it."""

    task: Task
    created: bool = True


def make(
    caller: Caller, new: NewTask, kind: TaskType, key: RequestKey | None, retention: timedelta | None
) -> Made:
    """The task that is asked for; with no retention it is kept as long as what refers to it."""
    made = Task(
        id=new_id(),
        project=new.project,
        type=kind.name,
        type_version=kind.version,
        pack=kind.pack,
        queue=new.queue or kind.queue,
        state=TaskState.PENDING,
        attempt=0,
        charged=0,
        last_seq=1,
        reserved_seq=0,
        labels=new.labels or {},
        limits=new.limits or kind.limits,
        creator=caller.principal,
        create_time=datetime.now(UTC),
        priority=new.priority or kind.priority,
        start_after=new.start_after,
        deadline=new.deadline,
        retention=new.retention or retention,
        depends_on=list(new.depends_on),
        concurrency=new.concurrency,
        parent_id=new.parent_id,
        retry_of=new.retry_of,
        schedule_id=new.schedule_id,
        fire_time=new.fire_time,
        input=new.input,
    )
    return Made(made, caller, key)


async def store(tx: AsyncConnection, wanted: list[Made]) -> list[Stored | WeirError]:
    """Store tasks, each with a result of its own, in the order they came."""
    related = [each.task_id for made in wanted for each in made.task.depends_on]
    related += [made.task.parent_id for made in wanted if made.task.parent_id]
    others = {task.id: task for task in await repository.lock_many(tx, related)} if related else {}
    results: dict[UUID, Stored | WeirError] = {}
    fit: list[Made] = []
    for made in wanted:
        if error := _misplaced(made, others):
            results[made.task.id] = error
        else:
            fit.append(made)
    admission = await Admission.open(tx, [made.task for made in fit])
    placed = [made for made in fit if not await _is_refused(tx, made, admission, results)]
    tasks = [_admitted(made.task, others, admission) for made in placed]
    keys = [made.key for made in placed]
    inserted = await _insert(tx, tasks, keys, others)
    reach("submit.inserted")
    for task, key in zip(tasks, keys, strict=True):
        results[task.id] = Stored(task) if task.id in inserted else await _repeated(tx, key)
        if task.id not in inserted:
            admission.undo(task)
    await admission.save()
    return [results[made.task.id] for made in wanted]


async def store_one(tx: AsyncConnection, made: Made) -> Stored:
    """Store one task; raises what is against it."""
    (result,) = await store(tx, [made])
    if isinstance(result, WeirError):
        raise result
    return result


def _misplaced(made: Made, others: dict[UUID, Task]) -> WeirError | None:
    """What is wrong with the tasks that a new one refers to."""
    parent = others.get(made.task.parent_id) if made.task.parent_id else None
    if made.task.parent_id and (parent is None or not _visible(made, parent)):
        return NotFound("task", made.task.parent_id)
    if parent is not None and (parent.state in TERMINAL or parent.cancellation is not None):
        state = "is being cancelled" if parent.state not in TERMINAL else f"has ended {parent.state.name}"
        return StateConflict(f"parent task {parent.id} {state}; submit without it", state=parent.state.name)
    for each in made.task.depends_on:
        needed = others.get(each.task_id)
        if needed is None or not _visible(made, needed):
            return NotFound("task", each.task_id)
    if made.task.deadline is not None and made.task.deadline <= made.task.create_time:
        return InvalidArgument.at(
            "spec.deadline", f"must be in the future, not {made.task.deadline.isoformat()}"
        )
    return None


def _visible(made: Made, other: Task) -> bool:
    return other.project == made.task.project and made.caller.holds("tasks.read", other.project)


async def _is_refused(
    tx: AsyncConnection, made: Made, admission: Admission, results: dict[UUID, Stored | WeirError]
) -> bool:
    """True where the concurrency key is taken and its policy says not to wait; the answer is in `results`."""
    wanted, key = made.task.concurrency, key_of(made.task)
    if wanted is None or key is None or wanted.on_conflict is OnConflict.WAIT or admission.has_room(key):
        return False
    holders = await gate_repository.holders(tx, key, 1)
    # A request that is repeated has its own task for the holder: the insert finds that.
    if not holders or (made.key and await repository.by_request_key(tx, made.key.key)):
        return False
    holder = holders[0]
    may_read = made.caller.holds("tasks.read", made.task.project)
    if wanted.on_conflict is OnConflict.JOIN and may_read and (found := await repository.get(tx, holder)):
        results[made.task.id] = Stored(found, created=False)
        return True
    if wanted.on_conflict is OnConflict.REPLACE and made.caller.holds("tasks.cancel", made.task.project):
        await stop_holder(tx, holder, made.caller.principal, f"replaced by task {made.task.id}")
        return False
    shown = f" by task {holder}" if may_read else ""
    results[made.task.id] = QuotaExceeded(
        "spec.concurrency", f"{described(key)} is held{shown}, up to its limit of {wanted.limit}"
    )
    return True


def _admitted(task: Task, others: dict[UUID, Task], admission: Admission) -> Task:
    later = task.start_after is not None and task.start_after > task.create_time
    waits = any(not _is_met(each, others) for each in task.depends_on)
    return task if later or waits else admission.admit(task)


def _is_met(dependency: Dependency, others: dict[UUID, Task]) -> bool:
    state = others[dependency.task_id].state
    return state in TERMINAL and dependency.condition.met_by(state)


async def _insert(
    tx: AsyncConnection, tasks: list[Task], keys: list[RequestKey | None], others: dict[UUID, Task]
) -> set[UUID]:
    """Store tasks, their first events and what they wait for; those whose request key was not taken."""
    if not tasks:
        return set()
    rows = [_row(task, key, others) for task, key in zip(tasks, keys, strict=True)]
    inserted = await hot_repository.insert_tasks(tx, rows)
    stored = [task for task in tasks if task.id in inserted]
    await hot_repository.insert_events(tx, {task.id: [first_event(task)] for task in stored})
    for task in stored:
        open_ones = [each for each in task.depends_on if not _is_met(each, others)]
        if open_ones:
            ended = {id_: other.state for id_, other in others.items() if other.state in TERMINAL}
            await waiting_repository.insert_dependencies(tx, task.id, open_ones, ended)
    return inserted


async def _repeated(tx: AsyncConnection, key: RequestKey | None) -> Stored | WeirError:
    assert key is not None
    found = await repository.by_request_key(tx, key.key)
    assert found is not None
    try:
        key.check(found[1])
    except WeirError as error:
        return error
    return Stored(found[0], created=False)


def first_event(task: Task) -> Event:
    """The event that a task begins with."""
    return Event(1, 0, task.create_time, EventKind.STATE, state_body(TaskState.NONE, task.state))


def _row(task: Task, key: RequestKey | None, others: dict[UUID, Task]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": task.id,
        "project": task.project,
        "type": task.type,
        "type_version": task.type_version,
        "pack": task.pack,
        "queue": task.queue,
        "turn": task.priority.turn,
        "last_seq": task.last_seq,
        "input": task.input,
        "labels": task.labels,
        "limits": dump_limits(task.limits),
        "start_after": task.start_after,
        "deadline": task.deadline,
        "alarm_time": task.deadline,
        "retention": None if task.retention is None else int(task.retention.total_seconds()),
        "depends_on": dump_dependencies(task.depends_on),
        "concurrency": dump_concurrency(task.concurrency),
        "key_gate": key_of(task),
        "parent_id": task.parent_id,
        "retry_of": task.retry_of,
        "schedule_id": task.schedule_id,
        "fire_time": task.fire_time,
        "create_time": task.create_time,
        **creator_values(task.creator),
        **request_values(key),
    }
    waits = any(not _is_met(each, others) for each in task.depends_on)
    due = None if waits or task.parked_on else max(task.create_time, task.start_after or task.create_time)
    return repository.new_row(values, due) | waiting_values(task)

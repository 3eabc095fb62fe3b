"""Lets tasks pass their gates, or parks them at the first that is full; takes them out again.

Rows are taken in one order everywhere: tasks by id, then gates by name.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.tasks import gate_repository as repository
from weir_core.tasks.gates import Gate, is_key, key_gate, queue_gate, type_gate
from weir_core.tasks.models import NEVER, Task
from weir_core.tasks.states import TaskState


class Admission:
    """The gates of some tasks, held by one transaction."""

    def __init__(self, tx: AsyncConnection, gates: dict[str, Gate], minute: int) -> None:
        self._tx = tx
        self._gates = gates
        self._minute = minute

    @classmethod
    async def open(cls, tx: AsyncConnection, tasks: Iterable[Task]) -> "Admission":
        """Take the gates that limit any of the tasks; keys are opened where they are new."""
        names: set[str] = set()
        for task in tasks:
            names |= set(gates_of(task))
            if task.parked_on:
                names.add(task.parked_on)
        for task in tasks:
            if task.concurrency is not None and key_of(task) not in task.holds:
                await repository.open_key(tx, str(key_of(task)), task.concurrency.limit)
        limited = await repository.limited(tx, names) if names else set[str]()
        limited |= {task.parked_on for task in tasks if task.parked_on}
        gates, minute = await repository.lock(tx, limited) if limited else (dict[str, Gate](), 0)
        return cls(tx, gates, minute)

    def has_room(self, name: str) -> bool:
        """True where a gate would let one more in."""
        return name not in self._gates or self._gates[name].room(self._minute) > 0

    def undo(self, task: Task) -> None:
        """Take back what was counted for a task that was not stored."""
        for name in task.holds:
            self._gates[name].leave()
        self.unpark(task)

    def unpark(self, task: Task) -> Task:
        """Take a task away from the gate that it waits at."""
        if task.parked_on is None:
            return task
        if parked := self._gates.get(task.parked_on):
            parked.waiting = max(0, parked.waiting - 1)
        return replace(task, parked_on=None)

    def admit(self, task: Task) -> Task:
        """Let a task in: QUEUED, with the gates that it passed, or PENDING at the first full one."""
        wanted = [self._gates[name] for name in gates_of(task) if name in self._gates]
        full = next((gate for gate in wanted if not gate.room(self._minute)), None)
        if full is not None:
            full.waiting += 1
            return replace(task, state=TaskState.PENDING, parked_on=full.name)
        for gate in wanted:
            gate.enter(self._minute)
        holds = [*task.holds, *(gate.name for gate in wanted)]
        return replace(task, state=TaskState.QUEUED, parked_on=None, holds=holds)

    async def save(self) -> None:
        """Store the gates."""
        await repository.save(self._tx, self._gates.values())


async def leave(tx: AsyncConnection, task: Task, *, ended: bool) -> tuple[Task, list[str]]:
    """Take a task out of its gates, of its key's only when it has ended; the gates where others wait."""
    left = [name for name in task.holds if ended or not is_key(name)]
    names = [*left, task.parked_on] if task.parked_on else left
    if not names:
        return task, []
    gates, _ = await repository.lock(tx, names)
    for name in left:
        if name in gates:
            gates[name].leave()
    if task.parked_on in gates:
        gates[task.parked_on].waiting -= 1
    await repository.save(tx, gates.values())
    kept = [name for name in task.holds if name not in left]
    freed = [name for name in left if name in gates and gates[name].waiting > 0]
    return replace(task, holds=kept, parked_on=None), freed


def key_of(task: Task) -> str | None:
    """The gate of a task's concurrency key."""
    return None if task.concurrency is None else key_gate(task.project, task.concurrency.key)


def gates_of(task: Task) -> list[str]:
    """The gates that a task has yet to pass, in the order of their names."""
    names = [queue_gate(task.queue), type_gate(task.type)]
    if key := key_of(task):
        names.append(key)
    return sorted(name for name in names if name not in task.holds)


def waiting_values(task: Task) -> dict[str, Any]:
    """The columns that say where a task that was admitted or parked now stands."""
    values: dict[str, Any] = {
        "state": int(task.state),
        "holds": task.holds,
        "parked_on": task.parked_on,
    }
    return values | ({"due_time": NEVER} if task.parked_on else {})

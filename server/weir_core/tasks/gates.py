"""Limits that tasks share, each a gate: of a queue, of a task type, of a concurrency key. Pure.

A task passes all its gates at once, on its way from PENDING to QUEUED, so that
QUEUED lacks only a free worker. It leaves those of queue and type when its
attempt ends, that of its key when it ends itself. Only gates with a limit or a
pause are looked at; a task counts at the gates that it passed, and at no other.
"""

import time
from dataclasses import dataclass

_QUEUE, _TYPE, _KEY = "queue/", "type/", "key/"


@dataclass(slots=True)
class Gate:
    """One gate, as its row stands; 0 is no limit."""

    name: str
    paused: bool = False
    pause_reason: str = ""
    max_running: int = 0
    max_per_minute: int = 0
    running: int = 0
    waiting: int = 0
    minute: int = 0
    started: int = 0

    def room(self, minute: int) -> int:
        """How many may pass in that minute; a large number where nothing limits it."""
        if self.paused:
            return 0
        free = self.max_running - self.running if self.max_running else 1 << 30
        starts = self.started if self.minute == minute else 0
        return max(0, min(free, self.max_per_minute - starts if self.max_per_minute else free))

    def enter(self, minute: int) -> None:
        """Count one that passes."""
        if self.minute != minute:
            self.minute, self.started = minute, 0
        self.started += 1
        self.running += 1

    def leave(self) -> None:
        """Count one out."""
        self.running = max(0, self.running - 1)

    @property
    def idle(self) -> bool:
        """True for a key that nobody holds or waits for."""
        return is_key(self.name) and self.running == 0 and self.waiting == 0


def queue_gate(queue: str) -> str:
    """The gate of a queue."""
    return _QUEUE + queue


def type_gate(task_type: str) -> str:
    """The gate of a task type."""
    return _TYPE + task_type


def key_gate(project: str, key: str) -> str:
    """The gate of a concurrency key; keys are a project's own."""
    return f"{_KEY}{project}/{key}"


def is_key(name: str) -> bool:
    """True for the gate of a concurrency key, which is left only at the task's end."""
    return name.startswith(_KEY)


def described(name: str) -> str:
    """A gate in words."""
    kind, _, rest = name.partition("/")
    return f"{kind} {rest.partition('/')[2] if kind == 'key' else rest!r}"


def this_minute() -> int:
    """Minutes since 1970."""
    return int(time.time() // 60)

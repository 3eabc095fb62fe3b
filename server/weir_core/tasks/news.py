"""What one watcher of many tasks still has to be given: bounded, and in order within a task."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from weir_core.errors import PositionExpired
from weir_core.principals import Caller
from weir_core.tasks.events import Event, EventKind
from weir_core.tasks.models import Task
from weir_core.tasks.selection import Selection

_MOST: Final = 1000
_TAKEN: Final = 100
_TASK: Final = -1
_PROGRESS: Final = 0


@dataclass(frozen=True, slots=True)
class News:
    """An event of a task."""

    task_id: UUID
    project: str
    event: Event


@dataclass(frozen=True, slots=True)
class Batch:
    """What is given at a time: tasks as they are, or events; with neither there is nothing for now."""

    tasks: list[Task] = field(default_factory=list[Task])
    events: list[News] = field(default_factory=list[News])
    since: int | None = None
    """Where to go on after it; None within a snapshot."""
    snapshot_count: int | None = None
    """Set at a snapshot's end: how many tasks it had."""

    @property
    def is_empty(self) -> bool:
        """True where it brings nothing."""
        return not self.tasks and not self.events and self.snapshot_count is None


class Following:
    """One watcher: what it wants, where it stands, what waits for it.

    `since`: all changes up to that time, by the database's clock, have been given.
    Beyond 1,000 waiting entries all are dropped, and it is `behind`: what changed
    since is read from the database.
    """

    def __init__(self, wanted: Selection) -> None:
        self.wanted = wanted
        self.since = 0
        self.behind = False
        self.expired = False
        self.wake = asyncio.Event()
        self._waiting: OrderedDict[tuple[UUID | None, int], Task | News | int] = OrderedDict()
        # Tasks given as they were after their event of that number, for as long as older ones may come.
        self._given: dict[UUID, int] = {}
        self._given_before: dict[UUID, int] = {}

    def start(self, now: int, since: int | None) -> None:
        """Begin now, or behind, where an earlier watch stood."""
        self.since = now if since is None else since
        self.behind = since is not None

    def tell(self, news: News) -> None:
        """Take an event; newer progress takes the place of older."""
        progress = news.event.kind is EventKind.PROGRESS
        self._add((news.task_id, _PROGRESS if progress else news.event.seq), news)

    def tell_task(self, task: Task) -> None:
        """Take a task as it is now."""
        self._add((task.id, _TASK), task)

    def mark(self, since: int) -> None:
        """Note that all up to a time has been told."""
        if self._waiting:
            self._waiting[None, since] = since
        elif not self.behind:
            self.since = max(self.since, since)

    def give(self, tasks: list[Task]) -> None:
        """Note tasks that are given as they were read: what is older of them has no news."""
        self._given |= {task.id: task.last_seq for task in tasks}

    def catch_up(self) -> None:
        """Begin to read what has changed since."""
        self.behind = False
        self._waiting.clear()

    def forget_given(self) -> None:
        """Forget what was given two of these calls ago."""
        self._given, self._given_before = {}, self._given

    def take(self, caller: Caller) -> Batch:
        """What comes next that the caller may read, of one sort, at most 100. PositionExpired."""
        if self.expired:
            raise PositionExpired("a task was removed that may have changed since; take a snapshot anew")
        tasks, events = list[Task](), list[News]()
        while self._waiting and len(tasks) + len(events) < _TAKEN:
            key, item = next(iter(self._waiting.items()))
            if isinstance(item, int):
                self.since = max(self.since, item)
            elif (tasks and isinstance(item, News)) or (events and isinstance(item, Task)):
                break
            elif isinstance(item, Task):
                tasks += [item] if caller.holds("tasks.read", item.project) else []
            elif caller.holds("tasks.read", item.project) and item.event.seq > self._given_seq(item.task_id):
                events.append(item)
            del self._waiting[key]
        self.give(tasks)
        return Batch(tasks, events, self.since)

    def _add(self, key: tuple[UUID, int], item: Task | News) -> None:
        self._waiting.pop(key, None)
        self._waiting[key] = item
        if len(self._waiting) > _MOST:
            self._waiting.clear()
            self.behind = True
        self.wake.set()

    def _given_seq(self, task_id: UUID) -> int:
        return max(self._given.get(task_id, 0), self._given_before.get(task_id, 0))

"""What changes among all tasks, for watchers of many.

What is announced goes out at once. Whether it was all is seen in the database:
every two seconds the tasks are read that have changed lately, and one that is
not as it was told goes out as it is now. A transaction may commit some time
after its time of change, so that what changed lately is read again for a while.
A watcher that resumes, or is too slow, reads the same way what has changed since.
Nothing is done while nobody watches.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Final
from uuid import UUID

from weir_core.columns import MICROSECOND
from weir_core.db import Database
from weir_core.errors import WeirError
from weir_core.principals import Caller
from weir_core.tasks import change_repository
from weir_core.tasks.change_reading import SLACK, ChangeReader
from weir_core.tasks.change_repository import Look
from weir_core.tasks.events import OF_ONE_TASK, Event, EventKind
from weir_core.tasks.models import Task
from weir_core.tasks.news import Batch, Following, News
from weir_core.tasks.selection import Selection
from weir_core.tasks.states import TaskState

_log = logging.getLogger(__name__)

_CHECK_SECONDS: Final = 2.0
_QUIET_SECONDS: Final = 10.0
# An announcement is on its way for so long at most, or it is lost.
_GRACE: Final = timedelta(seconds=1) // MICROSECOND
_CHECKS_A_GENERATION: Final = 15
_HEARD: Final = 5_000
_KNOWN: Final = 20_000
_PAGE: Final = 500


@dataclass(slots=True)
class _Known:
    """A task, and what was told of it."""

    look: Look
    seq: int = 0
    """Of the newest event that was told."""
    told: tuple[TaskState, int] | None = None
    """The state and attempt that were told."""
    told_seq: int = 0
    """Of the event that told them."""


class ChangeFeed:
    """The watchers of many tasks in one process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._reader = ChangeReader(db)
        self._following: set[Following] = set()
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._heard: deque[tuple[UUID, list[Event]]] = deque(maxlen=_HEARD)
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._checked = 0

    @property
    def watched(self) -> bool:
        """True where somebody wants to be told."""
        return bool(self._following)

    def hear(self, task_id: UUID, events: list[Event]) -> None:
        """Take announced events; beyond 5,000 that wait the oldest are dropped, and noticed later."""
        self._heard.append((task_id, [event for event in events if event.kind not in OF_ONE_TASK]))
        self._wake.set()

    async def run(self) -> None:
        """Serve the watchers; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_on())
            group.create_task(self._check())

    async def watch(
        self, wanted: Selection, caller: Callable[[], Caller], since: int | None, *, snapshot: bool
    ) -> AsyncGenerator[Batch]:
        """All that changes, from now or from where an earlier watch stood; empty batches where nothing does.

        `caller` tells whose rights count at each moment. PositionExpired where the place is not kept.
        """
        following = Following(wanted)
        self._following.add(following)
        try:
            await self._begin()
            following.start(self._checked, since)
            if snapshot:
                async for batch in self._reader.snapshot(following, caller):
                    yield batch
            while True:
                if following.behind:
                    checked = self._checked
                    async for batch in self._reader.catch_up(following, caller):
                        yield batch
                    following.mark(checked)
                following.wake.clear()
                batch = following.take(caller())
                yield batch
                if batch.is_empty and not following.behind:
                    await _woken(following.wake)
        finally:
            self._following.discard(following)
            if not self._following:
                self._end()

    async def _begin(self) -> None:
        """Take what changed before the first watcher came as told."""
        if self._checked:
            return
        async with self._turn:
            if self._checked:
                return
            async with self._db.read() as tx:
                now = await change_repository.now(tx)
            async for page in self._reader.changed(now - SLACK, None):
                for look in page:
                    known = self._known.setdefault(look.id, _Known(look))
                    known.told = known.told or (look.state, look.attempt)
            self._checked = now - SLACK

    def _end(self) -> None:
        self._known.clear()
        self._heard.clear()
        self._checked = 0

    async def _pass_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            heard = list(self._heard)
            self._heard.clear()
            try:
                await self._learn({task_id for task_id, _ in heard})
            except WeirError as error:
                _log.warning("changes are passed on late: %s", error)
                continue
            for task_id, events in heard:
                if known := self._known.get(task_id):
                    self._tell(known, events)

    async def _learn(self, task_ids: set[UUID]) -> None:
        unknown = [task_id for task_id in task_ids if task_id not in self._known]
        for start in range(0, len(unknown), _PAGE):
            async with self._db.read() as tx:
                looks = await change_repository.looks(tx, unknown[start : start + _PAGE])
            for look in looks:
                self._known.setdefault(look.id, _Known(look))
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    def _tell(self, known: _Known, events: list[Event]) -> None:
        self._known.move_to_end(known.look.id)
        for event in events:
            ousted = known.told is not None and event.attempt < known.told[1]
            if event.seq <= known.seq or ousted:
                continue
            known.seq = event.seq
            states = (known.told[0] if known.told else known.look.state,)
            if event.kind is EventKind.STATE:
                states = (TaskState(event.body["from"]), TaskState(event.body["to"]))
                known.told, known.told_seq = (states[1], event.attempt), event.seq
            for following in self._following:
                if following.wanted.takes(*states) and following.wanted.fits(known.look):
                    following.tell(News(known.look.id, known.look.project, event))

    async def _check(self) -> None:
        for number in count(1):
            await asyncio.sleep(_CHECK_SECONDS)
            if not self._checked:
                continue
            try:
                async with self._turn:
                    await self._look()
            except WeirError as error:
                _log.warning("lost changes are noticed late: %s", error)
            if number % _CHECKS_A_GENERATION == 0:
                for following in self._following:
                    following.forget_given()

    async def _look(self) -> None:
        """Tell of what changed and was not told."""
        since = self._checked
        async with self._db.read() as tx:
            now = await change_repository.now(tx)
        async for page in self._reader.changed(since, now - _GRACE):
            missed = {look.id: look for look in page if self._is_missed(look)}
            for task in await self._reader.basics(list(missed)):
                self._tell_task(missed[task.id], task)
        async with self._db.read() as tx:
            removed = await change_repository.removed_through(tx)
        if self._checked == since:
            self._checked = max(since, now - SLACK)
            for following in self._following:
                following.expired = following.expired or removed > since
                following.mark(self._checked)

    def _is_missed(self, look: Look) -> bool:
        known = self._known.get(look.id)
        if known is None:
            return True
        return known.told != (look.state, look.attempt) or known.look.labels_text != look.labels_text

    def _tell_task(self, look: Look, task: Task) -> None:
        known = self._known.setdefault(look.id, _Known(look))
        before, told, now = known.look, known.told, (task.state, task.attempt)
        same = told == now and before.labels_text == look.labels_text
        if same or task.last_seq < known.told_seq:
            return
        known.look, known.told, known.seq = look, now, max(known.seq, task.last_seq)
        for following in self._following:
            wanted = following.wanted
            # Where nothing was told before, it may have been in any state.
            if (told is None or wanted.takes(told[0], task.state)) and (
                wanted.fits(before) or wanted.fits(look)
            ):
                following.tell_task(task)


async def _woken(wake: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_QUIET_SECONDS):
            await wake.wait()

"""Carries the events of running attempts out: live at once, into the archive every two seconds."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import RedisError

from weir_core.errors import WeirError
from weir_core.failpoints import reach
from weir_core.tasks.events import AttemptLog
from weir_core.tasks.execution import TaskExecution

_log = logging.getLogger(__name__)

_SEND_SECONDS: Final = 0.03
_ARCHIVE_SECONDS: Final = 2.0
_TRY_SECONDS: Final = 5.0
# Archived in one transaction: an attempt that ends waits for no more than that.
_TOGETHER: Final = 64


class Recorder:
    """Sends and archives the logs of a worker's attempts."""

    def __init__(
        self, execution: TaskExecution, fenced: Callable[[AttemptLog], None], holds: Callable[[], bool]
    ) -> None:
        self._execution = execution
        self._fenced = fenced
        self._holds = holds
        self._logs: set[AttemptLog] = set()
        self._changed: set[AttemptLog] = set()
        self._wake = asyncio.Event()
        # On their way to Redis, to the database; one may be on both at once.
        self._busy: Counter[AttemptLog] = Counter()
        self._turn = asyncio.Condition()

    def add(self, log: AttemptLog) -> None:
        """Carry out an attempt's events from now on."""
        self._logs.add(log)
        self.changed(log)

    def changed(self, log: AttemptLog) -> None:
        """There is something new in a log; one that was removed is left alone."""
        if log in self._logs:
            self._changed.add(log)
            self._wake.set()

    async def remove(self, log: AttemptLog) -> None:
        """Leave the log alone: what it holds is stored with its end."""
        self._logs.discard(log)
        self._changed.discard(log)
        if self._busy[log]:
            async with self._turn:
                await self._turn.wait_for(lambda: not self._busy[log])
        del self._busy[log]

    async def run(self) -> None:
        """Send and archive, neither held up by the other; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._archive())

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            # Another attempt may be talking by now; what is kept here goes out when the lease is renewed.
            if self._holds():
                await self._send_changed()
            await asyncio.sleep(_SEND_SECONDS)

    async def _send_changed(self) -> None:
        logs, self._changed = list(self._changed), set()
        for log in logs:
            log.number()
        async with self._holding(logs):
            try:
                async with asyncio.timeout(_TRY_SECONDS):
                    await self._execution.send(logs)
                reach("events.sent")
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("live events wait: %s", error)
                self._changed |= self._logs.intersection(logs)

    async def _archive(self) -> None:
        while True:
            await asyncio.sleep(_ARCHIVE_SECONDS)
            due = [log for log in self._logs if log.unarchived()]
            for start in range(0, len(due), _TOGETHER):
                part = [log for log in due[start : start + _TOGETHER] if log in self._logs]
                async with self._holding(part):
                    await self._store(part)
            if self._changed:
                self._wake.set()

    @asynccontextmanager
    async def _holding(self, logs: list[AttemptLog]) -> AsyncGenerator[None]:
        self._busy.update(logs)
        try:
            yield
        finally:
            self._busy.subtract(logs)
            for log in logs:
                if not self._busy[log] and log not in self._logs:
                    del self._busy[log]
            async with self._turn:
                self._turn.notify_all()

    async def _store(self, due: list[AttemptLog]) -> None:
        try:
            fenced = await self._execution.report(due)
        except WeirError as error:
            _log.warning("events are not archived yet: %s", error)
            return
        for log in fenced:
            self._logs.discard(log)
            self._fenced(log)
        kept = [log for log in due if log not in fenced]
        with contextlib.suppress(RedisError, OSError):
            await self._execution.trim(kept)
        # What its numbers had run out for can be sent now.
        self._changed |= self._logs.intersection(kept)

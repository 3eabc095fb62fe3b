"""Carries the events of running attempts out: live at once, into the archive every two seconds."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from redis.exceptions import RedisError

from weir_core.errors import WeirError
from weir_core.failpoints import reach
from weir_core.tasks.events import AttemptLog
from weir_core.tasks.execution import TaskExecution

_log = logging.getLogger(__name__)

_SEND_SECONDS: Final = 0.03
_ARCHIVE_SECONDS: Final = 2.0
_REDIS_SECONDS: Final = 5.0


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
        self._turn = asyncio.Lock()

    def add(self, log: AttemptLog) -> None:
        """Carry out an attempt's events from now on."""
        self._logs.add(log)
        self.changed(log)

    def changed(self, log: AttemptLog) -> None:
        """There is something new in a log."""
        self._changed.add(log)
        self._wake.set()

    async def remove(self, log: AttemptLog) -> None:
        """Leave the log alone: what it holds is stored with its end."""
        async with self._turn:
            self._logs.discard(log)
            self._changed.discard(log)

    async def run(self) -> None:
        """Send and archive; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._archive())

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            async with self._turn:
                # Another attempt may be talking by now; what is kept here goes out when the lease is renewed.
                if self._holds():
                    await self._send_changed()
            await asyncio.sleep(_SEND_SECONDS)

    async def _send_changed(self) -> None:
        logs, self._changed = list(self._changed), set()
        for log in logs:
            log.number()
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                await self._execution.send(logs)
            reach("events.sent")
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("live events wait: %s", error)
            self._changed.update(logs)

    async def _archive(self) -> None:
        while True:
            await asyncio.sleep(_ARCHIVE_SECONDS)
            async with self._turn:
                due = [log for log in self._logs if log.unarchived()]
                if due:
                    await self._store(due)
            if self._changed:
                self._wake.set()

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
        self._changed.update(kept)

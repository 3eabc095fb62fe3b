"""What running tasks report, on its way to the worker."""

import asyncio
from collections import Counter, deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from weir.task import Masks
from weir_workers.pipe import Pipe

_LINES: Final = 10_000
_FLUSH_SECONDS: Final = 0.02

Key = tuple[str, int]
"""A task's id and the number of the attempt."""


class Outbox:
    """Newest progress wins; at most 10,000 lines wait, what comes beyond is dropped and its number told."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._progress: dict[Key, dict[str, Any]] = {}
        self._lines: deque[dict[str, Any]] = deque()
        self._dropped: Counter[Key] = Counter()
        self._filled = asyncio.Event()

    def progress(self, key: Key, body: dict[str, Any]) -> None:
        """Take progress; what still waits of that task is replaced."""
        self._progress[key] = {"op": "progress", "id": key[0], "attempt": key[1], "body": body}
        self._filled.set()

    def line(self, key: Key, body: dict[str, Any]) -> None:
        """Take a log line."""
        if len(self._lines) < _LINES:
            self._lines.append({"op": "log", "id": key[0], "attempt": key[1], "body": body})
        else:
            self._dropped[key] += 1
        self._filled.set()

    async def run(self) -> None:
        """Send what comes; until cancelled, or until the worker is gone."""
        with suppress(OSError):
            while True:
                await self._filled.wait()
                self._filled.clear()
                await self.flush()
                await asyncio.sleep(_FLUSH_SECONDS)

    async def flush(self) -> None:
        """Send all that waits."""
        while self._lines:
            await self._pipe.send(self._lines.popleft())
        dropped, self._dropped = self._dropped, Counter()
        for (task_id, attempt), count in dropped.items():
            body = system_line(f"{count} log lines dropped: written faster than they are read")
            await self._pipe.send({"op": "log", "id": task_id, "attempt": attempt, "body": body})
        while self._progress:
            _, message = self._progress.popitem()
            await self._pipe.send(message)


class TaskSink:
    """Reports of one task, with its secrets taken out."""

    def __init__(self, outbox: Outbox, key: Key) -> None:
        self._outbox = outbox
        self._key = key
        self._masks = Masks()

    def mask(self, secret: str) -> None:
        self._masks.add(secret)

    def clean(self, text: str) -> str:
        return self._masks.clean(text)

    def progress(self, progress: dict[str, Any]) -> None:
        self._outbox.progress(self._key, self._masks.clean_progress(progress))

    def log(self, line: dict[str, Any]) -> None:
        self._outbox.line(self._key, self._masks.clean_line(line))


def output_line(text: str, *, error: bool) -> dict[str, Any]:
    """A line of a process's standard output or standard error."""
    return _line(3 if error else 2, 3 if error else 2, text)


def system_line(text: str) -> dict[str, Any]:
    """A line of Weir's own about the task."""
    return _line(3, 4, text)


def _line(level: int, source: int, text: str) -> dict[str, Any]:
    return {
        "level": level,
        "source": source,
        "text": text,
        "fields": {},
        "time": datetime.now(UTC).isoformat(),
    }

"""What a running task has in hand: who it is, its log, its progress."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

_LEVELS: Final = {"debug": 1, "info": 2, "warning": 3, "error": 4}


class Sink(Protocol):
    """Where a task's reports go. Calls return at once and never fail."""

    def progress(self, progress: dict[str, Any]) -> None:
        """Take the newest progress."""
        ...

    def log(self, line: dict[str, Any]) -> None:
        """Take one log line."""
        ...

    def mask(self, secret: str) -> None:
        """Keep a secret out of whatever the task reports from now on."""
        ...


class Logger:
    """The task's log; fields are kept beside the text."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def debug(self, text: str, **fields: object) -> None:
        """Detail for who writes the handler."""
        self._write("debug", text, fields)

    def info(self, text: str, **fields: object) -> None:
        """The normal course."""
        self._write("info", text, fields)

    def warning(self, text: str, **fields: object) -> None:
        """Odd, but going on."""
        self._write("warning", text, fields)

    def error(self, text: str, **fields: object) -> None:
        """Something failed."""
        self._write("error", text, fields)

    def _write(self, level: str, text: str, fields: dict[str, object]) -> None:
        self._sink.log(
            {
                "level": _LEVELS[level],
                "source": 1,
                "text": text,
                "fields": {key: str(value) for key, value in fields.items()},
                "time": datetime.now(UTC).isoformat(),
            }
        )


@dataclass(frozen=True)
class Context:
    """Given to a handler with its input. Cancellation arrives as `asyncio.CancelledError`."""

    task_id: str
    attempt: int
    project: str
    sink: Sink = field(repr=False)
    resources: Any = field(default=None, repr=False)
    """What a built-in pack shares between its handlers; None in a pack of one's own."""

    @property
    def log(self) -> Logger:
        """The task's log."""
        return Logger(self.sink)

    def progress(self, done: float, total: float = 0, *, unit: str = "", message: str = "") -> None:
        """Tell how far the task is; told often, only the newest counts."""
        self.sink.progress({"done": done, "total": total, "unit": unit, "message": message[:500]})

    def mask(self, secret: str) -> None:
        """Replace a secret by `[redacted]` in every log line, progress message and failure of this task."""
        self.sink.mask(secret)

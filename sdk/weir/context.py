"""What a running task has in hand: who it is, its log, its progress, checkpoint, children and files."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol, TypedDict, Unpack

from pydantic import BaseModel

from weir import asks
from weir.asks import Ask, Child, ChildEnd
from weir.scratch import Content, Scratch
from weir.secrets import InputSecrets

_LEVELS: Final = {"debug": 1, "info": 2, "warning": 3, "error": 4}
# One more than is kept, so that who keeps it sees that it was longer.
_TEXT: Final = 16_385
_FIELDS: Final = 32
_FIELD_TEXT: Final = 4096


class ChildOptions(TypedDict, total=False):
    """How a child differs from what its type says."""

    queue: str
    priority: Literal["LOW", "NORMAL", "HIGH"]
    labels: dict[str, str]


class Cancelled(BaseException):
    """Raised inside a plain `def` handler when its task is to stop.

    No `except Exception` holds it up, and `finally` runs. Who goes on regardless is killed after the
    grace time.
    """


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

    def clean(self, text: str) -> str:
        """The text without the secrets that are known by now."""
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
                # Cleaned before it is cut: of a secret at the edge a part would be left.
                "text": self._sink.clean(text)[:_TEXT],
                "fields": self._bounded(fields),
                "time": datetime.now(UTC).isoformat(),
            }
        )

    def _bounded(self, fields: dict[str, object]) -> dict[str, str]:
        """At most 32 fields and 4 KiB in all; what goes beyond is cut."""
        kept: dict[str, str] = {}
        room = _FIELD_TEXT
        for key, value in list(fields.items())[:_FIELDS]:
            kept[key] = self._sink.clean(str(value))[:room]
            room -= len(kept[key])
        return kept


@dataclass(frozen=True)
class Reports:
    """What each running task has: who it is, where its reports go."""

    task_id: str
    attempt: int
    project: str
    sink: Sink = field(repr=False)
    resources: Any = field(default=None, repr=False)
    """What a built-in pack shares between its handlers; None in a pack of one's own."""
    last_checkpoint: Any = field(default=None, repr=False)
    """What an earlier attempt kept last with `checkpoint`, as JSON; None where none did."""
    secrets: InputSecrets = field(default_factory=InputSecrets, kw_only=True, repr=False)
    """What its input refers to."""
    scratch: Scratch = field(default_factory=Scratch, kw_only=True, repr=False)
    """Where artifacts lie until the worker has taken them over."""

    @property
    def log(self) -> Logger:
        """The task's log."""
        return Logger(self.sink)

    def progress(self, done: float, total: float = 0, *, unit: str = "", message: str = "") -> None:
        """Tell how far the task is; told often, only the newest counts."""
        self.sink.progress(
            {
                "done": float(done),
                "total": float(total),
                "unit": str(unit),
                "message": self.sink.clean(str(message))[:500],
            }
        )

    def mask(self, secret: str) -> None:
        """Replace a secret by `[redacted]` in what this task logs, prints, fails with; not in its output."""
        self.sink.mask(secret)


@dataclass(frozen=True)
class Context(Reports):
    """Given to an `async def` handler with its input; cancellation arrives as `asyncio.CancelledError`."""

    ask: Callable[[Ask], Awaitable[Any]] = field(kw_only=True, repr=False)
    """Asks the worker; raises Refused."""

    async def checkpoint(self, value: Any) -> None:
        """Keep what the next attempt may go on from, in place of what was kept before.

        Anything that is JSON or a pydantic model, at most 256 KiB. It is stored when this returns. Raises
        ValueError for one with a secret of the input in it.
        """
        await self.ask(asks.checkpoint(value, self.secrets))

    async def artifact(self, name: str, content: Content, *, media_type: str = "") -> str:
        """Keep a file with the task: bytes, or a Path whose file is never read into memory; its id.

        It is stored when this returns, and there as long as this attempt is the task's newest. Raises
        TaskFailure: USER_ERROR where it is one too many or too large, RESOURCE where the disk is full.
        """
        asked = asks.artifact(self.sink.clean(name), self.sink.clean(media_type))
        handed, place = await asyncio.to_thread(self.scratch.put, content)
        try:
            return (await self.ask(asks.handed(asked, handed)))["id"]
        finally:
            place.unlink(missing_ok=True)

    async def submit(
        self, task_type: str, given: BaseModel | dict[str, Any], *, key: str, **options: Unpack[ChildOptions]
    ) -> Child:
        """Make a task that belongs to this one, in the name of who submitted it; raises Refused.

        `key` names it among this task's children: under the same key a later attempt finds the child that
        an earlier one made. A cancel of this task cancels its children. A secret of this task's input, given
        as the value that it is here, goes to the child as a reference; inside of a longer text it raises
        ValueError.
        """
        return Child(await self.ask(asks.submit(task_type, given, key, {**options}, self.secrets)), key)

    async def wait_for(self, *children: Child) -> list[ChildEnd]:
        """Wait for children to end; meanwhile this task takes none of its worker's slots.

        What limits its queue, type or concurrency key counts it all the same.
        """
        waiting = asks.waits(children, self.scratch)
        try:
            asked = next(waiting)
            while True:
                asked = waiting.send(await self.ask(asked))
        except StopIteration as done:
            return done.value


@dataclass(frozen=True)
class BlockingContext(Reports):
    """Given to a plain `def` handler with its input; cancellation arrives as `Cancelled`."""

    ask: Callable[[Ask], Any] = field(kw_only=True, repr=False)
    """Asks the worker and waits; raises Refused."""

    def checkpoint(self, value: Any) -> None:
        """As `Context.checkpoint`."""
        self.ask(asks.checkpoint(value, self.secrets))

    def artifact(self, name: str, content: Content, *, media_type: str = "") -> str:
        """As `Context.artifact`."""
        asked = asks.artifact(self.sink.clean(name), self.sink.clean(media_type))
        handed, place = self.scratch.put(content)
        try:
            return self.ask(asks.handed(asked, handed))["id"]
        finally:
            place.unlink(missing_ok=True)

    def submit(
        self, task_type: str, given: BaseModel | dict[str, Any], *, key: str, **options: Unpack[ChildOptions]
    ) -> Child:
        """As `Context.submit`."""
        return Child(self.ask(asks.submit(task_type, given, key, {**options}, self.secrets)), key)

    def wait_for(self, *children: Child) -> list[ChildEnd]:
        """As `Context.wait_for`."""
        waiting = asks.waits(children, self.scratch)
        try:
            asked = next(waiting)
            while True:
                asked = waiting.send(self.ask(asked))
        except StopIteration as done:
            return done.value

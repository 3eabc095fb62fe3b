"""What clients asked for and were told, as they saw it, and what was done to the system meanwhile."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """One event, by what tells it from others; `digest` stands for all that it says."""

    seq: int
    first_seq: int
    attempt: int
    kind: str
    digest: str
    is_last: bool = False
    before: int = 0
    after: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Submit:
    """One call of SubmitTask; `task_id` is empty where no answer came."""

    request_id: str
    task_id: str
    created: bool = True
    began: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class Watch:
    """What one watcher was given of one task, over all its connections."""

    watcher: str
    task_id: str
    seen: list[Seen] = field(default_factory=list[Seen])
    connections: int = 0
    ended: bool = False
    """The stream said that this was all."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One list read page by page to its end."""

    began: float
    ended: float
    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: `code` is OK or gRPC's name, `reason` the server's."""

    method: str
    code: str
    reason: str
    seconds: float
    deadline: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something done to the system."""

    kind: str
    target: str
    time: float
    worker_ids: tuple[str, ...] = ()


class History:
    """All of it, in memory and line by line in a file."""

    def __init__(self, file: Path | None = None) -> None:
        self.submits: list[Submit] = []
        self.watches: list[Watch] = []
        self.listings: list[Listing] = []
        self.answers: list[Answer] = []
        self.faults: list[Fault] = []
        self._file = file

    def submitted(self, submit: Submit) -> None:
        """A submit was answered, or is known not to have been."""
        self._keep(self.submits, submit)

    def watched(self, watch: Watch) -> None:
        """A watch is over."""
        self._keep(self.watches, watch)

    def listed(self, listing: Listing) -> None:
        """A list was read to its end."""
        self._keep(self.listings, listing)

    def answered(self, answer: Answer) -> None:
        """A call was answered."""
        self._keep(self.answers, answer)

    def did(self, kind: str, target: str = "", worker_ids: Iterable[str] = ()) -> None:
        """A fault is about to be made."""
        self._keep(self.faults, Fault(kind, target, time.time(), tuple(worker_ids)))

    def accepted(self) -> set[str]:
        """The tasks whose submit was answered with OK."""
        return {submit.task_id for submit in self.submits if submit.task_id}

    def redis_lost_data(self) -> bool:
        """Whether live events may be gone."""
        return any(fault.kind in {"flush", "restart redis"} for fault in self.faults)

    def _keep(self, where: list[T], what: T) -> None:
        where.append(what)
        if self._file is not None:
            entry: dict[str, Any] = {"what": type(what).__name__, **asdict(what)}  # pyright: ignore[reportArgumentType]
            with self._file.open("a") as file:
                file.write(json.dumps(entry) + "\n")

"""A run in numbers, and what was wrong with it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from tests.faults.books import Books
from tests.faults.history import History
from tests.faults.validator import Violation

_SHOWN = 20
# A third of the kills must hit a running task, else the run shows little.
_LEAST_HITS = 1 / 3


@dataclass
class Report:
    """What a scenario tells."""

    scenario: str
    numbers: dict[str, Any] = field(default_factory=dict[str, Any])
    violations: list[Violation] = field(default_factory=list[Violation])

    @property
    def holds(self) -> bool:
        """True where nothing is wrong."""
        return not self.violations

    def demand(self, what: str, *, kept: bool) -> None:
        """Note a promise that a scenario makes beyond the checks."""
        if not kept:
            self.violations.append(Violation("demand", self.scenario, what))

    def json(self) -> str:
        """For a program that reads it."""
        return json.dumps(asdict(self) | {"holds": self.holds})

    def text(self) -> str:
        """For people."""
        width = max(map(len, self.numbers), default=0)
        lines = [f"{self.scenario}", *(f"  {name:<{width}}  {told}" for name, told in self.numbers.items())]
        lines += [f"  {violation}" for violation in self.violations[:_SHOWN]]
        if len(self.violations) > _SHOWN:
            lines.append(f"  and {len(self.violations) - _SHOWN} more")
        counts = Counter(violation.check for violation in self.violations)
        told = ", ".join(f"{count} of {check}" for check, count in sorted(counts.items()))
        return "\n".join([*lines, f"  {'all of it holds' if self.holds else f'VIOLATIONS: {told}'}"])


def numbers(history: History, books: Books) -> dict[str, Any]:
    """What was done, and what came of it."""
    faults = Counter(fault.kind for fault in history.faults)
    attempts = [row.number for row in books.attempts]
    lost = sum("lost_worker" in row.failure for row in books.attempts)
    repeats = Counter(submit.request_id for submit in history.submits)
    told: dict[str, Any] = {
        "submits answered OK": len(history.accepted()),
        "submits sent again": sum(count > 1 for count in repeats.values()),
        "tasks by state": _counts(Counter(row.state.name for row in books.tasks)),
        "attempts": f"{len(attempts)}, {lost} lost with their worker",
        "faults": _counts(faults) or "none",
        "answers": _counts(Counter(f"{each.method} {each.code}" for each in history.answers)),
        "events in the archive": sum(map(len, books.events.values())),
        "watches": f"{len(history.watches)} over {sum(w.connections for w in history.watches)} connections,"
        f" {sum(len(w.seen) for w in history.watches)} events seen,"
        f" {sum(e.kind == 'gap' for w in history.watches for e in w.seen)} gaps",
        "lists": len(history.listings),
    }
    if kills := faults["kill worker"]:
        told["kills that hit a running task"] = f"{len(hits(history, books))} of {kills}"
    if waits := restarts(history, books):
        told["seconds from a kill to the next attempt"] = (
            f"median {median(waits):.1f}, greatest {max(waits):.1f}"
        )
    return told


def hits(history: History, books: Books) -> list[str]:
    """The workers that were killed while they ran a task: the books say that it was lost with them."""
    killed = {
        worker for fault in history.faults if fault.kind == "kill worker" for worker in fault.worker_ids
    }
    lost = {row.worker_id for row in books.attempts if "lost_worker" in row.failure}
    return sorted(killed & lost)


def hits_enough(history: History, books: Books) -> bool:
    """True where at least a third of the kills hit a running task."""
    kills = sum(fault.kind == "kill worker" for fault in history.faults)
    return len(hits(history, books)) >= kills * _LEAST_HITS


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


def restarts(history: History, books: Books) -> list[float]:
    """Seconds from the kill of a worker to the next attempt of each task that it held."""
    killed = {worker: fault.time for fault in history.faults for worker in fault.worker_ids}
    return [
        after.start_time - killed[before.worker_id]
        for before, after in pairwise(books.attempts)
        if before.task_id == after.task_id and before.worker_id in killed and "lost_worker" in before.failure
    ]

"""What a benchmark tells: one line a thing, with its ratio to a reference and the goal."""

import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from tests.bench.site import Site, Size


@dataclass(frozen=True)
class Line:
    """One thing measured, and what it was measured against."""

    what: str
    ours: str
    reference: str
    ratio: float | None = None
    goal: str = ""


Benchmark = Callable[[Site, Size], AsyncIterator[Line]]


def show(line: Line) -> None:
    """Print a line."""
    ratio = "" if line.ratio is None else f"ratio {line.ratio:.2f}"
    goal = f"[{line.goal}]" if line.goal else ""
    say(f"  {line.what:<44} {line.ours:>30}  | {line.reference:<44} {ratio:<12} {goal}".rstrip())


def say(text: str) -> None:
    """Print at once: a benchmark takes its time."""
    print(text, flush=True)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def milliseconds(seconds: float) -> str:
    """A duration as text."""
    return f"{seconds * 1000:.2f} ms"


def megabytes(size: float) -> str:
    """Bytes as text."""
    return f"{size / 1e6:.0f} MB"

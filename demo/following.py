"""Follows a run to its end by its events, and kills the worker on the way."""

from dataclasses import dataclass, field

import weir
from demo.screen import Bar, Screen
from demo.source import Record, Source
from demo.system import System
from weir.types import RunCounters, TaskEvent, TaskState

KILL_AFTER_SEGMENTS = 6


@dataclass(frozen=True)
class Kill:
    """The moment of the kill: what was committed, and what the source had been asked."""

    committed: RunCounters
    record: Record
    all_gone: bool


@dataclass
class Followed:
    """What the watcher saw."""

    numbers: list[int] = field(default_factory=list[int])
    gaps: list[str] = field(default_factory=list[str])
    kill: Kill | None = None
    attempts: int = 0
    last_state: str = ""


class Follower:
    """Watches one run."""

    def __init__(self, run: weir.RunHandle, system: System, source: Source, screen: Screen) -> None:
        self._run = run
        self._system = system
        self._source = source
        self._screen = screen
        self._seen = Followed()

    def follow(self, bar: Bar) -> Followed:
        """Watch to the terminal event."""
        for event in self._run.watch():
            self._seen.numbers.append(event.seq)
            self._seen.attempts = max(self._seen.attempts, event.attempt)
            self._show(event, bar)
            if self._seen.kill is None:
                self._kill_when_due()
        return self._seen

    def _show(self, event: TaskEvent, bar: Bar) -> None:
        match event.WhichOneof("payload"):
            case "progress":
                bar.show(int(event.progress.done), event.progress.message)
            case "state":
                self._show_state(event)
            case "log" if event.log.text.startswith("goes on"):
                self._screen.tell(f"attempt {event.attempt} {event.log.text}", "green")
            case "gap":
                self._seen.gaps.append(f"{event.gap.from_seq} to {event.gap.to_seq}: {event.gap.reason}")
            case _:
                pass

    def _show_state(self, event: TaskEvent) -> None:
        state = TaskState.Name(event.state.to_state).removeprefix("TASK_STATE_")
        self._seen.last_state = state
        attempt = f", attempt {event.attempt}" if event.attempt else ""
        reason = f": {event.state.reason}" if event.state.reason else ""
        self._screen.tell(f"{state}{attempt}{reason}", "dim")

    def _kill_when_due(self) -> None:
        if self._run.get().counters.segments < KILL_AFTER_SEGMENTS:
            return
        pid, all_gone = self._system.kill_worker()
        # Nothing of that worker runs any more, so what is committed now is what the next attempt finds.
        committed = self._run.get().counters
        self._seen.kill = Kill(committed, self._source.record(), all_gone)
        self._screen.tell(
            f"kill -9 {pid}: the worker is gone, {committed.segments} segments with "
            f"{committed.records_read:,} records are committed",
            "bold red",
        )

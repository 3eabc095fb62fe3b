"""The order of a task's events: each once, none left out, whatever a connection repeats or loses."""

from weir.v1.task_pb2 import (
    TASK_STATE_CANCELLED,
    TASK_STATE_FAILED,
    TASK_STATE_SUCCEEDED,
    Gap,
    TaskEvent,
    TaskState,
)

TERMINAL: frozenset[TaskState.ValueType] = frozenset(
    {TASK_STATE_SUCCEEDED, TASK_STATE_FAILED, TASK_STATE_CANCELLED}
)


class HoleError(Exception):
    """Events from `start` to `end` did not come, and nothing says that they are gone."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__(f"events {start} to {end} did not come")
        self.start = start
        self.end = end


class Sequence:
    """Where a watcher stands: `next_seq` is the first event that it has not had.

    `filtered`: some kinds or levels are not wanted, so numbers may be missing; then `through_seq` tells
    how far the server has come.
    """

    def __init__(self, from_seq: int, *, filtered: bool) -> None:
        self.next_seq = max(from_seq, 1)
        self._filtered = filtered

    def take(self, event: TaskEvent) -> bool:
        """True where the event is to be handed on, False where it was had; HoleError when one is missing."""
        if event.seq < self.next_seq:
            return False
        self._check_hole(_first_seq(event) - 1)
        self.next_seq = event.seq + 1
        return True

    def advance(self, through: int) -> None:
        """All up to this number has come, or was not wanted; HoleError where it was and did not come."""
        self._check_hole(through)
        self.next_seq = max(self.next_seq, through + 1)

    def give_up(self, hole: HoleError, task_id: str) -> TaskEvent:
        """The gap that stands for what never came; the watcher goes on behind it."""
        self.next_seq = hole.end + 1
        gap = Gap(from_seq=hole.start, to_seq=hole.end, reason="not sent by the server")
        return TaskEvent(task_id=task_id, seq=hole.end, gap=gap)

    def _check_hole(self, last: int) -> None:
        if not self._filtered and last >= self.next_seq:
            raise HoleError(self.next_seq, last)


def is_last(event: TaskEvent) -> bool:
    """Whether the event is the terminal one."""
    return event.WhichOneof("payload") == "state" and event.state.to_state in TERMINAL


def _first_seq(event: TaskEvent) -> int:
    return event.gap.from_seq if event.WhichOneof("payload") == "gap" else event.seq

"""States of a task, and the table of moves between them. Pure.

    submit ──► PENDING ◄──────────── retry, hand-back ──┐
                 │  ▲                                    │
due (sweeper)    ▼  │ type or worker gone                │
               QUEUED ──claim──► RUNNING ────────────────┤
                 │                 │  │                  │
          cancel │          cancel │  └─► SUCCEEDED      │
                 │                 ▼      FAILED         │
                 └──► CANCELLED ◄─ CANCELLING            │
                                   │  │                  │
           (a success that came first stays SUCCEEDED)   │
"""

from enum import IntEnum
from typing import Final


class TaskState(IntEnum):
    """States, numbered as in the contract; 0 stands for none yet."""

    NONE = 0
    PENDING = 1
    QUEUED = 2
    RUNNING = 3
    CANCELLING = 4
    SUCCEEDED = 5
    FAILED = 6
    CANCELLED = 7


class Priority(IntEnum):
    """Classes of urgency, numbered as in the contract."""

    LOW = 1
    NORMAL = 2
    HIGH = 3

    @property
    def turn(self) -> int:
        """Its place in every order by urgency: 1 is served first."""
        return 4 - self


class FailureKind(IntEnum):
    """Why something failed, by who has to act; numbered as in the contract."""

    INVALID_INPUT = 1
    USER_ERROR = 2
    RETRYABLE = 3
    DEPENDENCY = 4
    RATE_LIMITED = 5
    TIMEOUT = 6
    CANCELLED = 7
    LOST_WORKER = 8
    RESOURCE = 9
    EXIT = 10
    GUARD = 11
    UPSTREAM = 12
    INTERNAL = 13


class CancelPhase(IntEnum):
    """How far a cancellation has come; numbered as in the contract."""

    REQUESTED = 1
    SIGNALLED = 2
    KILLED = 3
    CONFIRMED = 4


class TimeoutKind(IntEnum):
    """Which time limit passed; numbered as in the contract."""

    DEADLINE = 1
    ATTEMPT = 2
    STALL = 3


class OnConflict(IntEnum):
    """What happens at the limit of a concurrency key; numbered as in the contract."""

    WAIT = 1
    REJECT = 2
    JOIN = 3
    REPLACE = 4


class Condition(IntEnum):
    """How a task that is depended on must have ended; numbered as in the contract."""

    SUCCEEDED = 1
    ENDED = 2

    def met_by(self, state: TaskState) -> bool:
        """True where that end is what was asked for."""
        return self is Condition.ENDED or state is TaskState.SUCCEEDED


TERMINAL: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED})
HELD: Final = frozenset({TaskState.RUNNING, TaskState.CANCELLING})
WAITING: Final = frozenset({TaskState.PENDING, TaskState.QUEUED})

MOVES: Final[dict[TaskState, frozenset[TaskState]]] = {
    TaskState.NONE: WAITING,
    TaskState.PENDING: frozenset({TaskState.QUEUED, TaskState.FAILED, TaskState.CANCELLED}),
    TaskState.QUEUED: frozenset(
        {TaskState.PENDING, TaskState.RUNNING, TaskState.FAILED, TaskState.CANCELLED}
    ),
    TaskState.RUNNING: frozenset({TaskState.PENDING, TaskState.CANCELLING}) | TERMINAL,
    TaskState.CANCELLING: TERMINAL,
    TaskState.SUCCEEDED: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}

RETRIED: Final = frozenset(
    {
        FailureKind.RETRYABLE,
        FailureKind.DEPENDENCY,
        FailureKind.RATE_LIMITED,
        FailureKind.TIMEOUT,
        FailureKind.LOST_WORKER,
        FailureKind.RESOURCE,
    }
)


def can_move(before: TaskState, after: TaskState) -> bool:
    """True where the table has that move."""
    return after in MOVES[before]


def after_failure(
    before: TaskState, kind: FailureKind, *, attempts_left: bool, kinds: frozenset[FailureKind]
) -> TaskState:
    """Where a failed attempt takes its task: another try, or its end."""
    if before is TaskState.CANCELLING:
        return TaskState.CANCELLED
    retried = kind in (kinds or RETRIED)
    return TaskState.PENDING if retried and attempts_left else TaskState.FAILED

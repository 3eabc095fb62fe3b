"""What the end of an attempt makes of its task. Pure, but for the jitter."""

import hashlib
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from weir_core.tasks.encoding import dump_failure
from weir_core.tasks.models import Cancellation, Failure, RetryPolicy, Task
from weir_core.tasks.states import RETRIED, CancelPhase, FailureKind, TaskState, after_failure

_SPREAD = 0.25


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: with an output, or with a failure, or handed back unfinished."""

    output: dict[str, Any] | None = None
    failure: Failure | None = None
    handed_back: str = ""
    unseen: str = ""
    """Where nobody saw it end: why it is certain all the same that nothing of it runs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the task goes, and what is stored with it."""

    state: TaskState
    reason: str = ""
    delay: timedelta | None = None
    failure: Failure | None = None
    charged: int = 0
    cancellation: Cancellation | None = field(default=None)


def judge(task: Task, ended: Ended) -> Verdict:
    """The verdict on an attempt that has ended and of which nothing runs any more."""
    cancellation = _confirmed(task.cancellation, ended.unseen)
    if ended.handed_back:
        if task.state is TaskState.CANCELLING:
            return Verdict(TaskState.CANCELLED, cancellation=cancellation)
        return Verdict(TaskState.PENDING, ended.handed_back, delay=timedelta(0), failure=task.failure)
    if ended.failure is None:
        return Verdict(TaskState.SUCCEEDED, cancellation=cancellation)
    return _failed(task, ended.failure, cancellation)


def retry_delay(policy: RetryPolicy, failures: int, asked: timedelta | None) -> timedelta:
    """The wait after a number of failures, spread; a longer one that was asked for is kept."""
    seconds = policy.initial_delay.total_seconds() * policy.multiplier ** (failures - 1)
    seconds = min(seconds, policy.max_delay.total_seconds()) * random.uniform(1 - _SPREAD, 1 + _SPREAD)
    return max(timedelta(seconds=seconds), asked or timedelta(0))


def fingerprint(task_type: str, failure: Failure) -> str:
    """The same for failures of the same origin."""
    cause = failure.causes[-1] if failure.causes else {}
    place = cause.get("location", "").rsplit(":", 1)[0]
    origin = "\0".join((task_type, failure.kind.name, failure.code, cause.get("type", ""), place))
    return hashlib.sha256(origin.encode()).hexdigest()[:16]


def outcome_body(task: Task, verdict: Verdict, output: dict[str, Any] | None) -> dict[str, Any]:
    """The outcome in a task's last event."""
    now = datetime.now(UTC)
    running = sum(((a.end_time or now) - a.start_time for a in task.attempts), timedelta(0))
    return {
        "output": output,
        "failure": dump_failure(verdict.failure),
        "attempts": task.attempt,
        "total_seconds": (now - task.create_time).total_seconds(),
        "run_seconds": running.total_seconds(),
    }


def _failed(task: Task, failure: Failure, cancellation: Cancellation | None) -> Verdict:
    policy = task.limits.retry
    charged = task.charged + 1
    state = after_failure(
        task.state, failure.kind, attempts_left=charged < policy.max_attempts, kinds=policy.kinds
    )
    failure = replace(
        failure,
        retryable=failure.kind in (policy.kinds or RETRIED),
        fingerprint=failure.fingerprint or fingerprint(task.type, failure),
    )
    if state is TaskState.CANCELLED:
        why = (cancellation and cancellation.reason) or "cancelled on request"
        failure = replace(failure, kind=FailureKind.CANCELLED, message=why, retryable=False)
    asked = failure.detail.get("retry_after")
    delay = None
    if state is TaskState.PENDING:
        delay = retry_delay(policy, charged, None if asked is None else timedelta(seconds=asked))
    reason = f"{failure.kind.name}: {failure.message}"[:500]
    return Verdict(state, reason, delay, failure, charged, cancellation)


def _confirmed(cancellation: Cancellation | None, unseen: str) -> Cancellation | None:
    if cancellation is None:
        return None
    return replace(cancellation, phase=CancelPhase.CONFIRMED, confirm_time=datetime.now(UTC), holdup=unseen)

"""What the end of an attempt makes of its task. Pure, but for the jitter."""

import hashlib
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from weir_core.files.models import File
from weir_core.tasks.encoding import dump_failure
from weir_core.tasks.models import Attempt, Cancellation, Failure, RetryPolicy, Task
from weir_core.tasks.states import RETRIED, CancelPhase, FailureKind, TaskState, TimeoutKind, after_failure

_SPREAD = 0.25
_MOST_CRASHES = 3


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: with an output, or with a failure, or handed back unfinished."""

    output: dict[str, Any] | None = None
    failure: Failure | None = None
    file: File | None = None
    """Has the output, where that is large; its content is stored."""
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
    crashes: int = 0
    held: bool = False
    cancellation: Cancellation | None = field(default=None)


def judge(task: Task, ended: Ended) -> Verdict:
    """The verdict on an attempt that has ended and of which nothing runs any more."""
    cancellation = task.cancellation and confirmed(task.cancellation, ended.unseen)
    if ended.handed_back:
        if task.state is TaskState.CANCELLING:
            return cancelled(task, cancellation)
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


def outcome_body(task: Task, attempts: list[Attempt], verdict: Verdict, ended: Ended) -> dict[str, Any]:
    """The outcome in a task's last event."""
    now = datetime.now(UTC)
    running = sum(((a.end_time or now) - a.start_time for a in attempts), timedelta(0))
    return {
        "output": ended.output,
        "output_file_id": ended.file and str(ended.file.id),
        "failure": dump_failure(verdict.failure),
        "attempts": task.attempt,
        "total_seconds": (now - task.create_time).total_seconds(),
        "run_seconds": running.total_seconds(),
    }


def timed_out(kind: TimeoutKind, message: str, limit: timedelta | None = None) -> Failure:
    """The failure of what ran out of time."""
    seconds = 0.0 if limit is None else limit.total_seconds()
    detail = {"kind": "timeout", "timeout": kind.name, "seconds": seconds}
    return Failure(FailureKind.TIMEOUT, message, code=f"timeout.{kind.name.lower()}", detail=detail)


def past_deadline(task: Task) -> Failure:
    """The failure of a task whose deadline came before its end."""
    assert task.deadline is not None
    return timed_out(
        TimeoutKind.DEADLINE,
        f"it had not ended by its deadline {task.deadline.isoformat(timespec='seconds')}",
        task.deadline - task.create_time,
    )


def removal_time(task: Task, end_time: datetime) -> datetime | None:
    """When a task that ends then is removed; None: with what refers to it."""
    return None if task.retention is None else end_time + task.retention


def confirmed(cancellation: Cancellation, unseen: str = "") -> Cancellation:
    """A cancellation of which nothing runs any more; `unseen`: how that is known if nobody saw it."""
    return replace(cancellation, phase=CancelPhase.CONFIRMED, confirm_time=datetime.now(UTC), holdup=unseen)


def cancelled(task: Task, cancellation: Cancellation | None) -> Verdict:
    """The verdict on a task of which nothing runs and whose cancel was asked for."""
    why = (cancellation and cancellation.reason) or "cancelled on request"
    failure = Failure(FailureKind.CANCELLED, why, code="cancelled")
    failure = replace(failure, fingerprint=fingerprint(task.type, failure))
    return Verdict(TaskState.CANCELLED, why, failure=failure, cancellation=cancellation)


def failed_waiting(task: Task, failure: Failure) -> Verdict:
    """The verdict on a task that fails without having been started (again)."""
    failure = replace(failure, fingerprint=fingerprint(task.type, failure))
    return Verdict(TaskState.FAILED, _reason(failure), failure=failure)


def _failed(task: Task, failure: Failure, cancellation: Cancellation | None) -> Verdict:
    policy = task.limits.retry
    charged = task.charged + 1
    crashes = task.crashes + (failure.kind is FailureKind.LOST_WORKER)
    final = failure.detail.get("timeout") == TimeoutKind.DEADLINE.name
    state = after_failure(
        task.state,
        failure.kind,
        attempts_left=charged < policy.max_attempts and not final,
        kinds=policy.kinds,
    )
    failure = replace(
        failure,
        retryable=failure.kind in (policy.kinds or RETRIED) and not final,
        fingerprint=failure.fingerprint or fingerprint(task.type, failure),
    )
    if state is TaskState.CANCELLED:
        why = (cancellation and cancellation.reason) or "cancelled on request"
        failure = replace(failure, kind=FailureKind.CANCELLED, message=why, retryable=False)
    verdict = Verdict(state, _reason(failure), None, failure, charged, crashes, cancellation=cancellation)
    return _again(task, verdict) if state is TaskState.PENDING else verdict


def _again(task: Task, verdict: Verdict) -> Verdict:
    """The retry of a failed attempt: after a delay, or held, or none where the deadline comes before it."""
    if verdict.crashes >= _MOST_CRASHES:
        reason = f"held: it took down {verdict.crashes} workers; {verdict.reason}"
        return replace(verdict, held=True, reason=reason[:500])
    assert verdict.failure is not None
    asked = verdict.failure.detail.get("retry_after")
    after = None if asked is None else timedelta(seconds=asked)
    delay = retry_delay(task.limits.retry, verdict.charged, after)
    if task.deadline is not None and datetime.now(UTC) + delay >= task.deadline:
        reason = f"no time for another attempt before the deadline; {verdict.reason}"
        return replace(verdict, state=TaskState.FAILED, reason=reason[:500])
    return replace(verdict, delay=delay)


def _reason(failure: Failure) -> str:
    return f"{failure.kind.name}: {failure.message}"[:500]

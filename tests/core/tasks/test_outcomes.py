from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from weir_core.principals import SYSTEM
from weir_core.tasks.models import Cancellation, Failure, Limits, RetryPolicy, Task
from weir_core.tasks.outcomes import Ended, judge, retry_delay
from weir_core.tasks.states import CancelPhase, FailureKind, TaskState

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def task(state: TaskState = TaskState.RUNNING, **values: Any) -> Task:
    given: dict[str, Any] = {
        "id": uuid4(),
        "project": "default",
        "type": "probe.echo",
        "type_version": 1,
        "pack": "probes",
        "queue": "default",
        "state": state,
        "attempt": 1,
        "charged": 0,
        "last_seq": 2,
        "reserved_seq": 100,
        "labels": {},
        "limits": Limits(),
        "creator": SYSTEM,
        "create_time": NOW,
    }
    return Task(**given | values)


def failed(kind: FailureKind = FailureKind.RETRYABLE, **values: Any) -> Ended:
    return Ended(failure=Failure(kind, "it broke", **values))


ASKED = Cancellation(CancelPhase.SIGNALLED, "enough", SYSTEM, NOW)


class TestJudge:
    def test_an_output_succeeds(self):
        assert judge(task(), Ended(output={})).state is TaskState.SUCCEEDED

    def test_a_success_after_a_cancel_request_stays_a_success_with_the_cancellation_confirmed(self):
        verdict = judge(task(TaskState.CANCELLING, cancellation=ASKED), Ended(output={}))
        assert verdict.state is TaskState.SUCCEEDED
        assert verdict.cancellation is not None
        assert verdict.cancellation.phase is CancelPhase.CONFIRMED

    def test_a_failure_after_a_cancel_request_is_the_cancellation(self):
        verdict = judge(task(TaskState.CANCELLING, cancellation=ASKED), failed())
        assert verdict.state is TaskState.CANCELLED
        assert verdict.failure is not None
        assert (verdict.failure.kind, verdict.failure.message) == (FailureKind.CANCELLED, "enough")

    def test_a_failure_is_charged_and_tried_again(self):
        verdict = judge(task(charged=1), failed())
        assert (verdict.state, verdict.charged) == (TaskState.PENDING, 2)

    def test_the_last_attempts_failure_is_the_tasks(self):
        verdict = judge(task(charged=2), failed())
        assert verdict.state is TaskState.FAILED
        assert verdict.failure is not None
        assert verdict.failure.retryable

    def test_a_hand_back_is_not_charged(self):
        verdict = judge(task(charged=2), Ended(handed_back="the worker was stopped"))
        assert (verdict.state, verdict.charged, verdict.delay) == (TaskState.PENDING, 0, timedelta(0))

    def test_failures_of_one_origin_share_a_fingerprint_whatever_the_values_in_their_text(self):
        cause = {"type": "ValueError", "message": "7", "location": "a.py:f:12", "stack_trace": ""}
        other = cause | {"message": "8", "location": "a.py:f:15"}
        elsewhere = cause | {"location": "b.py:g:1"}
        prints = [
            judge(task(), failed(FailureKind.USER_ERROR, causes=[each])).failure
            for each in (cause, other, elsewhere)
        ]
        one, two, three = (failure.fingerprint for failure in prints if failure)
        assert one == two != three


class TestRetryDelay:
    @pytest.mark.parametrize("failures,seconds", [(1, 1), (2, 2), (3, 4), (20, 300)])
    def test_grows_up_to_its_limit_spread_by_a_quarter(self, failures: int, seconds: int):
        for _ in range(50):
            delay = retry_delay(RetryPolicy(), failures, None).total_seconds()
            assert seconds * 0.75 <= delay <= seconds * 1.25

    def test_a_longer_delay_that_was_asked_for_is_kept(self):
        assert retry_delay(RetryPolicy(), 1, timedelta(minutes=10)) == timedelta(minutes=10)

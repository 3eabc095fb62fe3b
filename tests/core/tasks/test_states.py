from itertools import product

import pytest

from weir_core.tasks.states import MOVES, TERMINAL, WAITING, FailureKind, TaskState, after_failure, can_move

ALLOWED = {
    ("NONE", "PENDING"),
    ("NONE", "QUEUED"),
    ("PENDING", "QUEUED"),
    ("PENDING", "FAILED"),
    ("PENDING", "CANCELLED"),
    ("QUEUED", "PENDING"),
    ("QUEUED", "RUNNING"),
    ("QUEUED", "FAILED"),
    ("QUEUED", "CANCELLED"),
    ("RUNNING", "PENDING"),
    ("RUNNING", "CANCELLING"),
    ("RUNNING", "SUCCEEDED"),
    ("RUNNING", "FAILED"),
    ("RUNNING", "CANCELLED"),
    ("CANCELLING", "SUCCEEDED"),
    ("CANCELLING", "FAILED"),
    ("CANCELLING", "CANCELLED"),
}


@pytest.mark.parametrize("before,after", list(product(TaskState, TaskState)))
def test_each_pair_moves_as_the_table_says(before: TaskState, after: TaskState):
    assert can_move(before, after) == ((before.name, after.name) in ALLOWED)


def test_what_has_ended_stays():
    assert all(not MOVES[state] for state in TERMINAL)


def test_all_that_wait_can_be_cancelled():
    assert all(can_move(state, TaskState.CANCELLED) for state in WAITING)


class TestAfterFailure:
    @pytest.mark.parametrize("kind", list(FailureKind))
    def test_a_cancelled_task_ends_cancelled_whatever_failed(self, kind: FailureKind):
        after = after_failure(TaskState.CANCELLING, kind, attempts_left=True, kinds=frozenset())
        assert after is TaskState.CANCELLED

    @pytest.mark.parametrize(
        "kind,after",
        [
            (FailureKind.RETRYABLE, TaskState.PENDING),
            (FailureKind.DEPENDENCY, TaskState.PENDING),
            (FailureKind.RATE_LIMITED, TaskState.PENDING),
            (FailureKind.TIMEOUT, TaskState.PENDING),
            (FailureKind.LOST_WORKER, TaskState.PENDING),
            (FailureKind.RESOURCE, TaskState.PENDING),
            (FailureKind.USER_ERROR, TaskState.FAILED),
            (FailureKind.INVALID_INPUT, TaskState.FAILED),
            (FailureKind.GUARD, TaskState.FAILED),
            (FailureKind.INTERNAL, TaskState.FAILED),
        ],
    )
    def test_kinds_retried_by_default(self, kind: FailureKind, after: TaskState):
        assert after_failure(TaskState.RUNNING, kind, attempts_left=True, kinds=frozenset()) is after

    def test_without_attempts_left_it_fails(self):
        after = after_failure(
            TaskState.RUNNING, FailureKind.RETRYABLE, attempts_left=False, kinds=frozenset()
        )
        assert after is TaskState.FAILED

    def test_the_tasks_own_kinds_replace_the_default(self):
        kinds = frozenset({FailureKind.USER_ERROR})
        again = after_failure(TaskState.RUNNING, FailureKind.USER_ERROR, attempts_left=True, kinds=kinds)
        ended = after_failure(TaskState.RUNNING, FailureKind.RETRYABLE, attempts_left=True, kinds=kinds)
        assert (again, ended) == (TaskState.PENDING, TaskState.FAILED)

"""The validator itself: a run in which all is well passes, and each thing that can be wrong is found."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from tests.faults.books import AttemptRow, Books, Effect, FileRow, Left, TaskRow, WorkerRow
from tests.faults.history import Answer, Fault, History, Listing, Seen, Submit, Watch
from tests.faults.validator import CHECKS, validate
from weir_core.tasks.states import TaskState

ID = "task-1"
_P, _Q, _R, _S = TaskState.PENDING, TaskState.QUEUED, TaskState.RUNNING, TaskState.SUCCEEDED


def state(seq: int, attempt: int, before: TaskState, after: TaskState) -> Seen:
    return Seen(seq, seq, attempt, "state", f"d{seq}", after >= _S, before, after)


def log(seq: int, attempt: int) -> Seen:
    return Seen(seq, seq, attempt, "log", f"d{seq}")


def gap(first: int, last: int, attempt: int = 1) -> Seen:
    return Seen(last, first, attempt, "gap", f"d{last}", reason="lost live log")


def twice_tried() -> list[Seen]:
    """A task whose first attempt was lost with its worker, and whose second one succeeded."""
    return [
        state(1, 0, TaskState.NONE, _Q),
        state(2, 1, _Q, _R),
        log(3, 1),
        state(4, 1, _R, _P),
        state(5, 1, _P, _Q),
        state(6, 2, _Q, _R),
        Seen(7, 7, 2, "artifact", "d7"),
        state(8, 2, _R, _S),
    ]


@dataclass
class Run:
    """A run in which all is well, until a test changes it."""

    history: History = field(default_factory=History)
    books: Books = field(default_factory=Books)

    def __post_init__(self) -> None:
        events = twice_tried()
        output = {"attempt": 2, "nonce": "n2", "files": 1}
        self.books.tasks = [TaskRow(ID, _S, 2, 1, 8, "request-1", output, ended=True, create_time=10.0)]
        self.books.attempts = [
            AttemptRow(ID, 1, "worker-1", ended=True, failure="8 lost_worker"),
            AttemptRow(ID, 2, "worker-2", ended=True),
        ]
        self.books.events = {ID: events}
        self.books.workers = [WorkerRow("worker-1", "LOST", 100), WorkerRow("worker-2", "ACTIVE", -9)]
        self.books.ledger = [
            Effect(ID, 1, "n1", "start", 11, 1),
            Effect(ID, 1, "n1", "effect", 12, 1),
            Effect(ID, 2, "n2", "start", 13, 2),
            Effect(ID, 2, "n2", "effect", 14, 2),
        ]
        self.books.left = [Left("pending hint 1-0", 3)]
        self.books.fires = [("schedule-1", "12:00", ID), ("schedule-1", "12:01", ID)]
        self.books.files = [FileRow(ID, 1, "n1", b"n1"), FileRow(ID, 2, "n2", b"n2")]
        self.history.submits = [
            Submit("request-1", "", began=9.0, ended=9.5),
            Submit("request-1", ID, began=9.6, ended=10.0),
        ]
        self.history.watches = [Watch("watcher 1", ID, list(events), 3, ended=True)]
        self.history.listings = [Listing(20.0, 21.0, (ID,))]
        self.history.answers = [
            Answer("SubmitTask", "OK", "", 0.1, 10),
            Answer("X", "UNAVAILABLE", "D", 1, 10),
        ]

    @property
    def task(self) -> TaskRow:
        return self.books.tasks[0]

    @task.setter
    def task(self, row: TaskRow) -> None:
        self.books.tasks[0] = row

    @property
    def events(self) -> list[Seen]:
        return self.books.events[ID]

    @property
    def seen(self) -> list[Seen]:
        return self.history.watches[0].seen

    def found(self) -> set[str]:
        return {violation.check for violation in validate(self.history, self.books)}


def lost_submit(run: Run) -> None:
    run.history.submits.append(Submit("request-2", "task-2", ended=10.0))
    run.history.listings.clear()


def not_ended(run: Run) -> None:
    run.task = replace(run.task, state=_R, ended=False)


def ended_twice(run: Run) -> None:
    run.events[3] = state(4, 1, _R, _S)


def end_is_not_last(run: Run) -> None:
    run.events.append(log(9, 2))
    run.task = replace(run.task, last_seq=9)


def row_and_event_differ(run: Run) -> None:
    run.task = replace(run.task, state=TaskState.FAILED)


def hole_in_archive(run: Run) -> None:
    del run.events[2]


def stale_write_accepted(run: Run) -> None:
    run.events[6] = run.seen[6] = log(7, 1)


def moved_on_twice(run: Run) -> None:
    run.events[4] = run.seen[4] = state(5, 1, _P, _P)


def attempt_open(run: Run) -> None:
    run.books.attempts[0] = replace(run.books.attempts[0], ended=False)


def claim_not_told(run: Run) -> None:
    run.events[5] = run.seen[5] = log(6, 2)


def old_outcome_accepted(run: Run) -> None:
    run.task = replace(run.task, output={"attempt": 1, "nonce": "n1"})


def other_outcome_accepted(run: Run) -> None:
    run.task = replace(run.task, output={"attempt": 2, "nonce": "n1"})


def attempt_run_twice(run: Run) -> None:
    run.books.ledger.append(Effect(ID, 2, "n3", "start", 15, 3))


def attempt_unknown(run: Run) -> None:
    run.books.ledger.append(Effect(ID, 3, "n3", "start", 15, 3))


def watcher_missed_one(run: Run) -> None:
    del run.seen[4]


def watcher_saw_one_twice(run: Run) -> None:
    run.seen.insert(3, run.seen[2])


def watcher_out_of_order(run: Run) -> None:
    run.seen[2], run.seen[3] = run.seen[3], run.seen[2]


def watcher_saw_what_never_was(run: Run) -> None:
    run.seen[6] = replace(run.seen[6], digest="else")


def watcher_saw_an_end_that_was_taken_back(run: Run) -> None:
    run.seen[3:] = [state(4, 1, _R, _S)]


def watcher_saw_more_than_there_is(run: Run) -> None:
    run.seen.append(log(9, 2))


def watch_ended_early(run: Run) -> None:
    del run.seen[7]


def watch_never_ended(run: Run) -> None:
    run.history.watches[0].ended = False


def gap_without_a_loss(run: Run) -> None:
    run.events[2] = run.seen[2] = gap(3, 3)


def gap_that_is_not_archived(run: Run) -> None:
    run.history.faults.append(Fault("flush", "", 1.0))
    run.seen[2] = gap(3, 3)


def gap_for_another_reason(run: Run) -> None:
    run.history.faults.append(Fault("flush", "", 1.0))
    run.events[2] = run.seen[2] = replace(gap(3, 3), reason="not sent by the server")


def repeat_made_another(run: Run) -> None:
    run.history.submits.append(Submit("request-1", "task-2", created=False, ended=30.0))
    run.books.tasks.append(replace(run.task, id="task-2", request="request-1"))
    run.history.listings.clear()


def repeat_says_it_was_first(run: Run) -> None:
    run.history.submits.append(Submit("request-1", ID, created=True, ended=30.0))


def request_made_two(run: Run) -> None:
    run.books.tasks.append(replace(run.task, id="task-2"))


def lease_left(run: Run) -> None:
    run.books.workers[1] = replace(run.books.workers[1], overdue=60)


def hint_left(run: Run) -> None:
    run.books.left = [Left("pending hint 1-0", 60)]


def transaction_left(run: Run) -> None:
    run.books.left = [Left("open transaction of connection 7", 60)]


def process_left(run: Run) -> None:
    run.books.left = [Left("process 42 python", 0)]


def file_left(run: Run) -> None:
    run.books.left = [Left("unfinished file .unfinished-1", 3600)]


def list_misses_one(run: Run) -> None:
    run.history.listings = [Listing(20.0, 21.0, ())]


def list_has_one_twice(run: Run) -> None:
    run.history.listings = [Listing(20.0, 21.0, (ID, ID))]


def fired_twice(run: Run) -> None:
    run.books.fires.append(("schedule-1", "12:00", ID))


def fire_without_a_task(run: Run) -> None:
    run.books.fires.append(("schedule-1", "12:02", "task-9"))


def own_fault(run: Run) -> None:
    run.history.answers.append(Answer("GetTask", "INTERNAL", "INTERNAL", 0.1, 10, "internal error"))


def hung(run: Run) -> None:
    run.history.answers.append(Answer("GetTask", "DEADLINE_EXCEEDED", "", 60, 10))


def content_left(run: Run) -> None:
    run.books.left = [Left("content without a row task-1.00000001.file-1", 3600)]


def file_lost(run: Run) -> None:
    run.books.files.pop()


def file_not_told(run: Run) -> None:
    run.events[6] = run.seen[6] = log(7, 2)


def file_damaged(run: Run) -> None:
    run.books.files[1] = FileRow(ID, 2, "n2", None)


def file_of_another_attempt(run: Run) -> None:
    run.books.files[1] = FileRow(ID, 2, "n1", b"n1")


def file_of_an_attempt_that_never_was(run: Run) -> None:
    run.books.files.append(FileRow(ID, 3, "n3", b"n3"))


WRONG: list[tuple[str, Callable[[Run], None]]] = [
    ("V1", lost_submit),
    ("V2", not_ended),
    ("V2", ended_twice),
    ("V2", end_is_not_last),
    ("V2", row_and_event_differ),
    ("V2", hole_in_archive),
    ("V2", stale_write_accepted),
    ("V2", moved_on_twice),
    ("V2", attempt_open),
    ("V2", claim_not_told),
    ("V3", old_outcome_accepted),
    ("V3", other_outcome_accepted),
    ("V3", attempt_run_twice),
    ("V3", attempt_unknown),
    ("V4", watcher_missed_one),
    ("V4", watcher_saw_one_twice),
    ("V4", watcher_out_of_order),
    ("V4", watcher_saw_what_never_was),
    ("V4", watcher_saw_an_end_that_was_taken_back),
    ("V4", watcher_saw_more_than_there_is),
    ("V4", watch_ended_early),
    ("V4", watch_never_ended),
    ("V4", gap_without_a_loss),
    ("V4", gap_that_is_not_archived),
    ("V4", gap_for_another_reason),
    ("V5", repeat_made_another),
    ("V5", repeat_says_it_was_first),
    ("V5", request_made_two),
    ("V6", lease_left),
    ("V6", hint_left),
    ("V6", transaction_left),
    ("V6", process_left),
    ("V6", file_left),
    ("V6", content_left),
    ("V7", list_misses_one),
    ("V7", list_has_one_twice),
    ("V8", fired_twice),
    ("V8", fire_without_a_task),
    ("V9", own_fault),
    ("V9", hung),
    ("V10", file_lost),
    ("V10", file_not_told),
    ("V10", file_damaged),
    ("V10", file_of_another_attempt),
    ("V10", file_of_an_attempt_that_never_was),
]


def test_a_run_in_which_all_is_well_passes():
    assert validate(Run().history, Run().books) == []


def test_a_gap_passes_where_redis_lost_data_also_after_what_was_seen_live():
    run = Run()
    run.history.faults = [Fault("flush", "", 1.0)]
    run.books.events[ID] = [*run.events[:2], gap(3, 4100), state(4101, 1, _R, _S)]
    run.task = replace(run.task, attempt=1, last_seq=4101, output={"attempt": 1, "nonce": "n1"})
    run.books.attempts.pop()
    del run.books.ledger[2:]
    del run.books.files[1:]
    live = [*run.seen[:2], log(3, 1), gap(3, 4100), run.events[-1]]
    run.history.watches = [
        Watch("live", ID, live, 1, ended=True),
        Watch("late", ID, [*run.events], 1, ended=True),
    ]
    assert validate(run.history, run.books) == []


@pytest.mark.parametrize("check, wrong", WRONG, ids=[wrong.__name__ for _, wrong in WRONG])
def test_what_is_wrong_is_found(check: str, wrong: Callable[[Run], None]):
    run = Run()
    wrong(run)
    assert check in run.found()


def test_each_check_has_a_run_that_it_fails():
    assert {check for check, _ in WRONG} == set(CHECKS)

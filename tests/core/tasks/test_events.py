from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from weir_core.tasks.events import (
    RESERVE,
    AttemptLog,
    Event,
    EventKind,
    Numbering,
    contiguous,
    decode,
    encode,
    gap_body,
    state_body,
)
from weir_core.tasks.states import TaskState

NOW = datetime(2026, 11, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
EVENTS = st.builds(
    Event,
    seq=st.integers(1, 10**12),
    attempt=st.integers(0, 100),
    time=st.integers(0, 10**9).map(lambda n: NOW + timedelta(microseconds=n)),
    kind=st.sampled_from(EventKind),
    body=st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3),
)


def line(text: str) -> dict[str, Any]:
    return {"level": 2, "source": 1, "text": text, "fields": {}}


def log(reserved: int = RESERVE) -> AttemptLog:
    first = Event(2, 1, NOW, EventKind.STATE, state_body(TaskState.QUEUED, TaskState.RUNNING))
    return AttemptLog(uuid4(), 1, first, reserved)


def event(seq: int) -> Event:
    return Event(seq, 1, NOW, EventKind.LOG, line(str(seq)))


@given(st.lists(EVENTS, max_size=5))
def test_archived_chunks_read_back_as_they_were(events: list[Event]):
    assert [event for _, chunk in encode(events) for event in decode(chunk)] == events


class TestContiguous:
    def test_stops_at_the_first_hole(self):
        assert [e.seq for e in contiguous([event(n) for n in (3, 4, 6, 7)], 3)] == [3, 4]

    def test_leaves_out_what_was_given_before(self):
        assert [e.seq for e in contiguous([event(n) for n in (3, 4, 5)], 4)] == [4, 5]

    def test_a_gap_closes_the_hole_it_names(self):
        gap = Event(9, 0, NOW, EventKind.GAP, gap_body(5, 9, "lost live log"))
        assert [e.seq for e in contiguous([event(4), gap, event(10)], 4)] == [4, 9, 10]


class TestAttemptLog:
    def test_numbers_follow_the_claims_base_without_a_hole(self):
        attempt = log()
        for number in range(5):
            attempt.add_log(line(str(number)))
        attempt.number()
        assert [e.seq for e in attempt.unsent()] == [2, 3, 4, 5, 6, 7]

    def test_of_progress_told_often_the_newest_counts(self):
        attempt = log()
        for done in range(10):
            attempt.add_progress({"done": done, "total": 10, "unit": "", "message": ""})
        attempt.number()
        told = [e for e in attempt.unsent() if e.kind is EventKind.PROGRESS]
        assert [e.body["done"] for e in told] == [9]

    def test_no_number_is_used_that_was_not_reserved(self):
        attempt = log(reserved=4)
        for number in range(10):
            attempt.add_log(line(str(number)))
        attempt.number()
        assert attempt.last_seq == 4
        attempt.archived(4, 100)
        attempt.number()
        assert attempt.last_seq == 12

    def test_at_its_end_all_that_waits_is_numbered(self):
        attempt = log(reserved=3)
        for number in range(10):
            attempt.add_log(line(str(number)))
        attempt.number_all()
        assert attempt.last_seq == 12

    def test_after_its_end_it_takes_nothing_and_gives_no_number_that_the_end_gives_out(self):
        attempt = log()
        attempt.number_all()
        last, kept = attempt.last_seq, attempt.unsent()
        attempt.add(EventKind.STATE, {})
        attempt.add(EventKind.CANCEL, {})
        attempt.add_progress({"current": 1})
        attempt.add_log(line("late"))
        attempt.number()
        assert (attempt.last_seq, attempt.unsent(), attempt.told_cancel) == (last, kept, False)

    def test_too_many_lines_are_dropped_and_the_drop_is_told(self):
        attempt = log(reserved=2)
        for number in range(6000):
            attempt.add_log(line(str(number)))
        attempt.number_all()
        attempt.number_all()
        texts = [e.body["text"] for e in attempt.unsent() if e.kind is EventKind.LOG]
        assert len(texts) == 4097
        assert texts[-1].startswith("1904 log lines were dropped")

    def test_a_drop_right_before_the_end_is_told_too(self):
        attempt = log(reserved=2)
        for number in range(6000):
            attempt.add_log(line(str(number)))
        attempt.number_all()
        texts = [each.body["text"] for each in attempt.unarchived()]
        assert len(texts) == 4097
        assert texts[-1].startswith("1904 log lines were dropped")

    def test_what_is_archived_and_sent_is_forgotten(self):
        attempt = log()
        attempt.add_log(line("a"))
        attempt.number()
        attempt.sent_seq = 3
        attempt.archived(3, 100)
        assert attempt.everything() == []

    def test_a_long_line_is_cut_and_marked(self):
        attempt = log()
        attempt.add_log(line("x" * 20_000))
        attempt.number()
        text = attempt.unsent()[-1].body["text"]
        assert len(text) <= 16_384
        assert text.endswith("[cut]")


def test_a_gap_in_a_numbering_stands_for_all_numbers_up_to_its_own():
    numbering = Numbering(10, 1)
    numbering.add_gap(20, "lost live log")
    numbering.add(EventKind.STATE, state_body(TaskState.RUNNING, TaskState.PENDING))
    assert [(e.first_seq, e.seq) for e in numbering.events] == [(11, 20), (21, 21)]

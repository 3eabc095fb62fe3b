from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from tests.fixtures.engine import person
from weir_core.errors import FilterInvalid, PositionExpired
from weir_core.principals import Caller, Principal, PrincipalKind
from weir_core.tasks.change_repository import Look
from weir_core.tasks.events import Event, EventKind, state_body
from weir_core.tasks.models import Limits, Task
from weir_core.tasks.news import Following, News
from weir_core.tasks.selection import selection
from weir_core.tasks.states import TaskState

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ANYONE = person(everywhere={"tasks.read"})
# The same in all of pytest's processes: their names for a test must agree.
PARENT, STRANGER = UUID(int=1), UUID(int=2)
LOOK = Look(
    uuid4(), "lab", "probe.echo", "gpu", PARENT, None, '{"who":"ann","a.b":"c"}', TaskState.RUNNING, 1, 1_000
)
TASK = Task(
    id=LOOK.id,
    project="lab",
    type="probe.echo",
    type_version=1,
    pack="probes",
    queue="gpu",
    state=TaskState.RUNNING,
    attempt=1,
    charged=0,
    last_seq=7,
    reserved_seq=0,
    labels={},
    limits=Limits(),
    creator=Principal(PrincipalKind.PERSON, uuid4(), "ann"),
    create_time=NOW,
)


def progress(seq: int, task_id: UUID = LOOK.id, project: str = "lab") -> News:
    return News(task_id, project, Event(seq, 1, NOW, EventKind.PROGRESS, {"done": seq}))


def state(seq: int, task_id: UUID = LOOK.id, project: str = "lab") -> News:
    body = state_body(TaskState.QUEUED, TaskState.RUNNING)
    return News(task_id, project, Event(seq, 1, NOW, EventKind.STATE, body))


def taken(following: Following, caller: Caller = ANYONE) -> list[int]:
    return [news.event.seq for news in following.take(caller).events]


class TestSelection:
    @pytest.mark.parametrize(
        "text,fits",
        [
            ("", True),
            ("project = lab", True),
            ("project = other", False),
            ('type = "probe.echo" AND queue = gpu', True),
            ('type = "probe.echo" AND queue = cpu', False),
            ("labels.who = ann", True),
            ("labels.who = bob", False),
            ("labels.a.b = c", True),
            ("labels.none = x", False),
            (f'parent_task_id = "{PARENT}" AND (project = lab AND queue = gpu)', True),
            (f'parent_task_id = "{STRANGER}"', False),
        ],
    )
    def test_fits(self, text: str, fits: bool):
        assert selection(text).fits(LOOK) is fits

    def test_takes_any_of_the_states_that_it_is_asked_about(self):
        assert selection("").takes(TaskState.FAILED)
        assert selection("state = RUNNING").takes(TaskState.RUNNING, TaskState.SUCCEEDED)
        assert not selection("state = RUNNING").takes(TaskState.PENDING, TaskState.QUEUED)
        assert not selection("state = RUNNING AND state = FAILED").takes(TaskState.RUNNING, TaskState.FAILED)

    @pytest.mark.parametrize(
        "text",
        [
            "project = a OR project = b",
            "project != a",
            'create_time > "2026-11-01T00:00:00Z"',
            "held = true",
            "nothing = x",
            "state = NO_SUCH",
            "parent_task_id = x",
            "labels = x",
            "project =",
        ],
    )
    def test_what_it_does_not_take_is_refused(self, text: str):
        with pytest.raises(FilterInvalid, match="filter: "):
            selection(text)


class TestFollowing:
    def test_events_come_in_the_order_they_were_told(self):
        following = Following(selection(""))
        other = uuid4()
        for news in (state(3), state(1, other), state(4), state(2, other)):
            following.tell(news)
        assert taken(following) == [3, 1, 4, 2]
        assert taken(following) == []

    def test_newer_progress_takes_the_place_of_older_and_stays_behind_what_came_between(self):
        following = Following(selection(""))
        for news in (progress(1), progress(2), state(3), progress(4), progress(5)):
            following.tell(news)
        assert taken(following) == [3, 5]

    def test_at_most_a_hundred_are_taken_at_a_time(self):
        following = Following(selection(""))
        for seq in range(1, 251):
            following.tell(state(seq))
        assert [len(taken(following)) for _ in range(4)] == [100, 100, 50, 0]

    def test_beyond_the_bound_it_is_behind_and_goes_on_from_its_place(self):
        following = Following(selection(""))
        following.start(5_000, None)
        for seq in range(1, 1_100):
            following.tell(state(seq))
        assert following.behind
        following.mark(9_000)
        assert following.since == 5_000

    def test_a_mark_counts_once_all_before_it_was_taken(self):
        following = Following(selection(""))
        following.start(5_000, None)
        following.mark(6_000)
        assert following.since == 6_000
        for seq in range(1, 151):
            following.tell(state(seq))
        following.mark(7_000)
        following.tell(state(151))
        assert following.take(ANYONE).since == 6_000
        assert following.take(ANYONE).since == 7_000

    def test_tasks_and_events_are_not_mixed_and_keep_their_order(self):
        following = Following(selection(""))
        following.tell(state(6))
        following.tell_task(TASK)
        following.tell(state(8))
        assert taken(following) == [6]
        assert following.take(ANYONE).tasks == [TASK]
        assert taken(following) == [8]

    def test_what_is_older_than_the_task_that_was_given_has_no_news(self):
        following = Following(selection(""))
        following.tell(state(6))
        following.give([TASK])
        following.tell(state(7))
        following.tell(state(8))
        following.forget_given()
        assert taken(following) == [8]
        following.tell(state(7))
        assert taken(following) == []
        following.forget_given()
        following.tell(state(7))
        assert taken(following) == [7]

    def test_p13_what_the_caller_may_not_read_is_left_out(self):
        following = Following(selection(""))
        following.tell(state(1))
        following.tell(state(2, uuid4(), "other"))
        following.tell_task(replace(TASK, id=uuid4(), project="other"))
        batch = following.take(person(lab={"tasks.read"}))
        assert [news.event.seq for news in batch.events] == [1]
        assert batch.tasks == []

    def test_one_that_may_have_missed_a_removal_is_told_so(self):
        following = Following(selection(""))
        following.expired = True
        with pytest.raises(PositionExpired):
            following.take(ANYONE)

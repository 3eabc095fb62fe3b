import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.fixtures.engine import ECHO, SECRET, Engine, person
from weir_core.errors import (
    FilterInvalid,
    InvalidArgument,
    NotFound,
    PermissionMissing,
    RequestIdReused,
    SchemaMismatch,
)
from weir_core.paging import Page
from weir_core.tasks.events import EventKind
from weir_core.tasks.history import EventFilter
from weir_core.tasks.states import CancelPhase, TaskState
from weir_core.tasks.submitting import NewTask


@pytest.fixture(autouse=True)
async def known(engine: Engine):
    await engine.worker()


class TestSubmit:
    async def test_is_queued_and_reads_back(self, engine: Engine):
        made = await engine.submit("hello", labels={"team": "data"})
        found = await engine.get(made.task.id)
        assert made.created
        assert (found.state, found.input, found.labels) == (
            TaskState.QUEUED,
            {"text": "hello"},
            {"team": "data"},
        )
        assert found.creator == engine.caller.principal

    async def test_p08_the_same_request_id_and_content_give_the_same_task(self, engine: Engine):
        first = await engine.submit(request_id="order/17")
        again = await engine.submit(request_id="order/17")
        assert (again.task.id, again.created) == (first.task.id, False)

    async def test_p08_many_at_once_with_one_request_id_make_one_task(self, engine: Engine):
        made = await asyncio.gather(*(engine.submit(request_id="order/17") for _ in range(8)))
        assert len({each.task.id for each in made}) == 1
        assert sum(each.created for each in made) == 1

    async def test_p08_other_content_under_a_used_request_id_is_refused(self, engine: Engine):
        await engine.submit("one", request_id="order/17")
        with pytest.raises(RequestIdReused, match="order/17"):
            await engine.submit("two", request_id="order/17")

    async def test_p08_another_callers_request_id_is_its_own(self, engine: Engine):
        first = await engine.submit(request_id="order/17")
        engine.caller = person(everywhere={"tasks.*"})
        assert (await engine.submit(request_id="order/17")).task.id != first.task.id

    async def test_an_unknown_type_is_named(self, engine: Engine):
        with pytest.raises(InvalidArgument, match=r"spec\.type.*'no\.such'"):
            await engine.runtime.tasks.newest_type("no.such")

    async def test_an_input_that_does_not_fit_names_each_place(self, engine: Engine):
        with pytest.raises(SchemaMismatch) as refused:
            await engine.submit(input={"text": 5, "items": [1, "x"]})
        assert {each.field for each in refused.value.violations} == {"spec.input.text", "spec.input.items[1]"}

    async def test_an_input_over_its_limit_is_refused(self, engine: Engine):
        with pytest.raises(InvalidArgument, match=r"spec\.input: is .* bytes; at most 1,048,576"):
            await engine.submit("x" * (1 << 20))

    async def test_a_time_in_the_future_waits(self, engine: Engine):
        made = await engine.submit(start_after=datetime.now(UTC) + timedelta(hours=1))
        assert made.task.state is TaskState.PENDING
        assert await engine.runtime.promotion.due() == 0

    async def test_p13_without_the_permission_in_the_project_it_is_refused(self, engine: Engine):
        engine.caller = person(other={"tasks.submit"})
        with pytest.raises(PermissionMissing) as refused:
            await engine.submit()
        assert refused.value.metadata == {"permission": "tasks.submit", "project": "default"}

    async def test_p13_a_types_own_permission_is_asked_for(self, engine: Engine):
        kind = await engine.runtime.tasks.newest_type(SECRET.name)
        with pytest.raises(PermissionMissing, match=r"containers\.run"):
            await engine.runtime.tasks.submit(engine.caller, NewTask("default", SECRET.name, {}), kind)

    async def test_an_unknown_project_does_not_exist(self, engine: Engine):
        kind = await engine.runtime.tasks.newest_type(ECHO.name)
        with pytest.raises(NotFound, match="project 'nowhere'"):
            await engine.runtime.tasks.submit(
                engine.caller, NewTask("nowhere", ECHO.name, {"text": ""}), kind
            )


class TestGet:
    async def test_p13_a_task_of_a_project_out_of_sight_looks_absent(self, engine: Engine):
        task = (await engine.submit()).task
        with pytest.raises(NotFound) as hidden:
            await engine.runtime.tasks.get(person(other={"tasks.read"}), task.id)
        with pytest.raises(NotFound) as absent:
            await engine.runtime.tasks.get(engine.caller, uuid4())
        assert type(hidden.value) is type(absent.value)


class TestList:
    async def test_pages_follow_each_other_newest_first(self, engine: Engine):
        made = [(await engine.submit(str(n))).task.id for n in range(5)]
        found = await engine.runtime.tasks.list_tasks(engine.caller, Page(2), "")
        assert [task.id for task in found] == made[:-4:-1]
        rest = await engine.runtime.tasks.list_tasks(engine.caller, Page(2, [str(found[1].id)]), "")
        assert [task.id for task in rest] == made[2::-1]

    async def test_a_filter_chooses(self, engine: Engine):
        task = (await engine.submit(queue="gpu")).task
        await engine.submit()
        for text in (
            'queue = "gpu"',
            "queue = gpu AND state = QUEUED",
            f"creator.id = {engine.caller.principal.id}",
        ):
            found = await engine.runtime.tasks.list_tasks(engine.caller, Page(10), text)
            assert task.id in {each.id for each in found}, text
        assert await engine.runtime.tasks.list_tasks(engine.caller, Page(10), "state = FAILED") == []

    @pytest.mark.parametrize(
        "text", ["color = red", "state = LOST", "create_time > yesterday", "state < FAILED", "a ="]
    )
    async def test_what_can_not_be_read_is_named(self, engine: Engine, text: str):
        with pytest.raises(FilterInvalid, match="filter: "):
            await engine.runtime.tasks.list_tasks(engine.caller, Page(10), text)

    async def test_p13_only_projects_in_sight_are_listed(self, engine: Engine):
        await engine.submit()
        assert await engine.runtime.tasks.list_tasks(person(other={"tasks.read"}), Page(10), "") == []


class TestCancel:
    async def test_what_waits_is_cancelled_at_once_with_its_phases(self, engine: Engine):
        task = (await engine.submit()).task
        ended = await engine.runtime.stopping.cancel(engine.caller, task.id, "enough", None)
        events, _ = await engine.runtime.history.page(task.id, 0, 50, EventFilter(), descending=False)
        assert ended.state is TaskState.CANCELLED
        assert [event.seq for event in events] == [1, 2, 3, 4]
        assert [e.body["phase"] for e in events if e.kind is EventKind.CANCEL] == [
            CancelPhase.REQUESTED,
            CancelPhase.CONFIRMED,
        ]
        assert events[-1].is_last

    async def test_what_has_ended_stays_as_it_is(self, engine: Engine):
        task = (await engine.submit()).task
        first = await engine.runtime.stopping.cancel(engine.caller, task.id, "enough", None)
        again = await engine.runtime.stopping.cancel(engine.caller, task.id, "once more", None)
        assert again.cancellation == first.cancellation

    async def test_p13_reading_alone_does_not_suffice(self, engine: Engine):
        task = (await engine.submit()).task
        with pytest.raises(PermissionMissing):
            await engine.runtime.stopping.cancel(person(default={"tasks.read"}), task.id, "", None)
        with pytest.raises(NotFound):
            await engine.runtime.stopping.cancel(person(other={"tasks.*"}), task.id, "", None)


class TestHistory:
    async def test_reads_both_ways_in_pages(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        for number in range(5):
            claimed.log.add_log({"level": number % 4 + 1, "source": 1, "text": str(number), "fields": {}})
        claimed.log.number()
        await engine.runtime.execution.report([claimed.log])
        history, everything = engine.runtime.history, EventFilter()
        forth, place = await history.page(claimed.task.id, 0, 4, everything, descending=False)
        rest, end = await history.page(claimed.task.id, place, 50, everything, descending=False)
        back, _ = await history.page(claimed.task.id, 0, 50, everything, descending=True)
        assert [event.seq for event in forth + rest] == [1, 2, 3, 4, 5, 6, 7]
        assert end == 0
        assert back == (forth + rest)[::-1]

    async def test_live_events_follow_the_archive(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        claimed.log.add_log({"level": 2, "source": 1, "text": "live", "fields": {}})
        claimed.log.number()
        await engine.runtime.execution.send([claimed.log])
        forth, _ = await engine.runtime.history.page(claimed.task.id, 0, 50, EventFilter(), descending=False)
        back, _ = await engine.runtime.history.page(claimed.task.id, 0, 50, EventFilter(), descending=True)
        assert [event.seq for event in forth] == [1, 2, 3]
        assert [event.seq for event in back] == [3, 2, 1]

    async def test_kinds_and_levels_choose(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        for level in (1, 2, 3, 4):
            claimed.log.add_log({"level": level, "source": 1, "text": str(level), "fields": {}})
        claimed.log.number()
        await engine.runtime.execution.report([claimed.log])
        wanted = EventFilter(frozenset({EventKind.LOG}), 3)
        found, _ = await engine.runtime.history.page(claimed.task.id, 0, 50, wanted, descending=False)
        assert [event.body["text"] for event in found] == ["3", "4"]

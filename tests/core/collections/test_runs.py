import asyncio
from uuid import uuid4

import pytest

from tests.fixtures.collecting import Ground, caller
from weir_core.collections.models import SyncMode
from weir_core.collections.runs import RUN_TASK
from weir_core.errors import NotFound, RequestIdReused, StateConflict
from weir_core.paging import Page
from weir_core.tasks.errors import Fenced
from weir_core.tasks.states import TaskState


class TestStart:
    async def test_a_run_is_a_task_of_its_project(self, ground: Ground):
        collection = await ground.collection()
        run, created = await ground.runs.start(ground.editor, collection.id)
        task = await ground.tasks.get(ground.editor, run.id)
        assert created
        assert (task.type, task.project, task.state) == (RUN_TASK, "default", TaskState.QUEUED)
        assert (run.state, run.mode, run.collection_id) == (
            TaskState.QUEUED,
            SyncMode.INCREMENTAL,
            collection.id,
        )

    async def test_one_run_goes_at_a_time(self, ground: Ground):
        collection = await ground.collection()
        started = await asyncio.gather(*(ground.runs.start(ground.editor, collection.id) for _ in range(4)))
        assert len({run.id for run, _ in started}) == 1
        assert sum(created for _, created in started) == 1

    async def test_another_span_waits_for_its_end(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        with pytest.raises(StateConflict, match="INCREMENTAL"):
            await ground.runs.start(ground.editor, collection.id, full=True)
        await attempt.finish()
        run, created = await ground.runs.start(ground.editor, collection.id, full=True)
        assert (run.mode, created) == (SyncMode.FULL, True)

    async def test_a_run_that_is_being_cancelled_is_not_given_as_the_new_one(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        await ground.end(attempt.run_id, TaskState.CANCELLING)
        with pytest.raises(StateConflict, match="cancelled"):
            await ground.runs.start(ground.editor, collection.id)

    async def test_in_mode_full_both_spans_are_the_same(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first, _ = await ground.runs.start(ground.editor, collection.id)
        second, created = await ground.runs.start(ground.editor, collection.id, full=True)
        assert (first.id, created) == (second.id, False)

    async def test_p08_the_same_request_gives_the_same_run_even_after_its_end(self, ground: Ground):
        collection = await ground.collection()
        first, _ = await ground.runs.start(ground.editor, collection.id, request_id="r1")
        await ground.end(first.id, TaskState.SUCCEEDED)
        again, created = await ground.runs.start(ground.editor, collection.id, request_id="r1")
        assert (again.id, created) == (first.id, False)

    async def test_p08_a_request_answered_with_a_run_in_progress_keeps_that_answer(self, ground: Ground):
        collection = await ground.collection()
        first, _ = await ground.runs.start(ground.editor, collection.id)
        joined, _ = await ground.runs.start(ground.editor, collection.id, request_id="r1")
        await ground.end(first.id, TaskState.SUCCEEDED)
        again, _ = await ground.runs.start(ground.editor, collection.id, request_id="r1")
        assert first.id == joined.id == again.id

    async def test_p08_other_content_is_refused(self, ground: Ground):
        collection, other = await ground.collection(), await ground.collection("others")
        await ground.runs.start(ground.editor, collection.id, request_id="r1")
        with pytest.raises(RequestIdReused):
            await ground.runs.start(ground.editor, other.id, request_id="r1")
        assert await ground.runs.list_runs(ground.editor, Page(9), f'collection_id = "{other.id}"') == []

    async def test_p13_who_may_not_run_it_finds_nothing(self, ground: Ground):
        collection = await ground.collection()
        with pytest.raises(NotFound):
            await ground.runs.start(caller("collections.read"), collection.id)


class TestBegin:
    async def test_p12_the_plan_has_the_secret_and_does_not_show_it(self, ground: Ground):
        attempt = await ground.start(await ground.collection())
        assert attempt.plan.secrets == {"token": "abcd"}
        assert "abcd" not in repr(attempt.plan)
        run = await ground.runs.get(ground.editor, attempt.run_id)
        assert run.connection_revision == 1

    async def test_p11_the_next_attempt_goes_on_after_the_last_commit(self, ground: Ground):
        collection = await ground.collection()
        first = await ground.start(collection)
        await first.commit(1, 2, position={"page": 3})
        await first.write(3)
        await ground.requeue(first.run_id)
        second = await ground.claim(first.run_id)
        plan = second.plan
        assert (plan.position, plan.reached, plan.cursor) == ({"page": 3}, 2, None)
        assert (plan.commits, plan.counters.segments, plan.columns_fixed) == (1, 1, True)
        await second.commit(3)
        assert await ground.ids(collection.dataset_id) == [1, 2, 3]

    async def test_an_older_attempt_learns_that_it_is_one(self, ground: Ground):
        first = await ground.start(await ground.collection())
        await ground.requeue(first.run_id)
        await ground.claim(first.run_id)
        with pytest.raises(Fenced):
            await ground.runs.begin(first.run_id, first.number)

    async def test_p11_a_run_after_a_failed_one_goes_on_where_that_was_committed(self, ground: Ground):
        collection = await ground.collection()
        failed = await ground.start(collection)
        await failed.commit(1, 2, position={"page": 3})
        await ground.end(failed.run_id, TaskState.FAILED)
        following = await ground.start(collection)
        assert (following.plan.position, following.plan.reached) == ({"page": 3}, 2)
        await following.commit(3)
        await following.finish()
        assert await ground.ids(collection.dataset_id) == [1, 2, 3]
        assert (await ground.collections.get_collection(ground.editor, collection.id)).cursor == 3

    async def test_a_full_run_after_a_failed_one_starts_anew(self, ground: Ground):
        collection = await ground.collection()
        failed = await ground.start(collection)
        await failed.commit(1, 2, position={"page": 3})
        await ground.end(failed.run_id, TaskState.FAILED)
        full = await ground.start(collection, full=True)
        assert (full.plan.position, full.plan.reached, full.plan.columns_fixed) == (None, None, False)
        await full.commit(1, 2, 3)
        await full.finish()
        assert (await ground.start(collection)).plan.position is None


class TestFinish:
    async def test_the_cursor_moves_only_when_all_was_read(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        await attempt.commit(5, 9, 7)
        assert (await ground.collections.get_collection(ground.editor, collection.id)).cursor is None
        await attempt.finish()
        assert (await ground.collections.get_collection(ground.editor, collection.id)).cursor == 9
        second = await ground.start(collection)
        assert (second.plan.cursor, second.plan.position) == (9, None)

    async def test_a_run_that_found_nothing_leaves_cursor_and_version(self, ground: Ground):
        collection = await ground.collection()
        first = await ground.start(collection)
        await first.commit(5)
        await first.finish()
        second = await ground.start(collection)
        await second.finish()
        run = await ground.runs.get(ground.editor, second.run_id)
        assert run.dataset_version == 0
        assert (await ground.collections.get_collection(ground.editor, collection.id)).cursor == 5
        assert (await ground.datasets.get(ground.editor, collection.dataset_id)).version == 1

    async def test_an_attempt_after_the_last_transaction_publishes_nothing_twice(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first = await ground.start(collection)
        await first.commit(1)
        await ground.runs.finish(first.run_id, 1)
        await ground.requeue(first.run_id)
        second = await ground.claim(first.run_id)
        assert second.plan.finished
        await second.finish()
        assert (await ground.datasets.get(ground.editor, collection.dataset_id)).version == 1

    async def test_p02_an_older_attempt_can_not_publish(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first = await ground.start(collection)
        await first.commit(1)
        await ground.requeue(first.run_id)
        await ground.claim(first.run_id)
        with pytest.raises(Fenced):
            await first.finish()
        assert await ground.ids(collection.dataset_id) == []


class TestGet:
    async def test_p13_what_the_caller_may_not_see_looks_absent(self, ground: Ground):
        attempt = await ground.start(await ground.collection())
        with pytest.raises(NotFound):
            await ground.runs.get(caller("collections.read", project="system"), attempt.run_id)
        with pytest.raises(NotFound):
            await ground.runs.get(ground.editor, uuid4())


class TestListRuns:
    async def test_newest_first_page_by_page_and_by_state(self, ground: Ground):
        collection = await ground.collection()
        started = list[str]()
        for _ in range(3):
            attempt = await ground.start(collection)
            await attempt.finish()
            started.insert(0, str(attempt.run_id))
        await ground.start(await ground.collection("others"))
        mine = f'collection_id = "{collection.id}"'
        found = await ground.runs.list_runs(ground.editor, Page(2), mine)
        assert [str(run.id) for run in found] == started
        rest = await ground.runs.list_runs(ground.editor, Page(2, [started[1]]), mine)
        assert [str(run.id) for run in rest] == started[2:]
        running = await ground.runs.list_runs(ground.editor, Page(9), "state = RUNNING")
        assert [run.collection_id for run in running] != []
        assert collection.id not in {run.collection_id for run in running}

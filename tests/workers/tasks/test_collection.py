"""The task `collection.run`, done by its real handler against a source on a real socket."""

import asyncio
from collections import Counter

import pytest
from aiohttp import web

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import HttpSource, hang, raw, status
from weir.task import TaskFailure
from weir_core.collections.models import SyncMode
from weir_core.tasks.errors import Fenced
from weir_core.tasks.states import TaskState
from weir_core.tasks.submitting import NewTask


@pytest.fixture
async def hands(engine: Engine) -> Hands:
    """A worker with segments of 20 rows, for a caller who may collect."""
    runtime = await engine.another(segment_rows=20)
    made = Hands(runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


class TestFull:
    async def test_everything_is_read_into_segments(self, hands: Hands, http_source: HttpSource):
        collection = await hands.collection(http_source.url)
        output = await hands.work(await hands.start(collection))
        assert (output.records_read, output.records_written, output.segments) == (35, 35, 2)
        assert output.dataset_version == 1
        assert output.requests == len(http_source.asked)
        assert await hands.ids(collection.dataset_id) == list(range(35))

    async def test_p11_the_next_attempt_asks_for_no_page_of_a_committed_segment(
        self, hands: Hands, http_source: HttpSource
    ):
        collection = await hands.collection(http_source.url)
        run_id = await hands.start(collection)
        http_source.faults[3] = [hang]
        await hands.break_off(run_id, "segment 1 committed")
        before = len(http_source.asked)
        await hands.leave(run_id, TaskState.QUEUED)
        output = await hands.work(run_id)
        assert sorted(set(http_source.pages_asked()[before:])) == [3, 4]
        assert "goes on after segment 1, page 2" in hands.told.lines
        assert output.records_written == 35
        assert await hands.ids(collection.dataset_id) == list(range(35))

    async def test_what_was_read_before_a_failure_is_committed(self, hands: Hands, http_source: HttpSource):
        collection = await hands.collection(http_source.url)
        run_id = await hands.start(collection)
        http_source.faults[4] = [status(404)]
        with pytest.raises(TaskFailure) as caught:
            await hands.attempt(run_id)
        assert (caught.value.kind, caught.value.http_status, caught.value.host) == (
            "INVALID_INPUT",
            404,
            "127.0.0.1",
        )
        before = len(http_source.asked)
        await hands.leave(run_id, TaskState.QUEUED)
        await hands.work(run_id)
        assert http_source.pages_asked()[before:] == [4]
        assert await hands.ids(collection.dataset_id) == list(range(35))

    async def test_records_that_do_not_fit_go_to_quarantine(self, hands: Hands, http_source: HttpSource):
        http_source.records[7] = {"id": "seven", "name": "odd"}
        http_source.records[21] = {"name": "none"}
        collection = await hands.collection(http_source.url)
        output = await hands.work(await hands.start(collection))
        assert (output.records_read, output.records_written, output.records_quarantined) == (35, 33, 2)
        dataset = await hands.runtime.collecting.datasets.get(hands.caller, collection.dataset_id)
        assert (dataset.record_count, dataset.quarantine_count) == (33, 2)


class TestIncremental:
    async def test_the_next_run_reads_only_what_is_new(self, hands: Hands, http_source: HttpSource):
        collection = await hands.collection(http_source.url, SyncMode.INCREMENTAL)
        await hands.work(await hands.start(collection))
        http_source.records += [{"id": number, "name": "new"} for number in range(35, 40)]
        output = await hands.work(await hands.start(collection))
        assert output.records_written == 5
        assert http_source.asked[-1].query["since"] == "34"
        found = await hands.ids(collection.dataset_id)
        assert [one for one, count in Counter(found).items() if count > 1] == []
        assert found == list(range(40))

    async def test_p11_a_run_after_one_that_failed_for_good_doubles_nothing(
        self, hands: Hands, http_source: HttpSource
    ):
        collection = await hands.collection(http_source.url, SyncMode.INCREMENTAL)
        failed = await hands.start(collection)
        http_source.faults[4] = [status(404)]
        with pytest.raises(TaskFailure):
            await hands.attempt(failed)
        await hands.leave(failed, TaskState.FAILED)
        await hands.work(await hands.start(collection))
        assert await hands.ids(collection.dataset_id) == list(range(35))


class TestReports:
    async def test_progress_grows_from_the_first_page_on(self, hands: Hands, http_source: HttpSource):
        collection = await hands.collection(http_source.url)
        await hands.work(await hands.start(collection))
        done = [one["done"] for one in hands.told.progress_told]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (10, 35)

    async def test_progress_is_told_again_while_the_source_is_slow(
        self, hands: Hands, http_source: HttpSource
    ):
        collection = await hands.collection(http_source.url)
        http_source.faults[2] = [hang]
        working = asyncio.create_task(hands.attempt(await hands.start(collection)))
        async with asyncio.timeout(20):
            while len(hands.told.progress_told) < 4:
                await asyncio.sleep(0.01)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert {one["done"] for one in hands.told.progress_told} == {10}

    async def test_fields_without_a_column_are_told(self, hands: Hands, http_source: HttpSource):
        for record in http_source.records:
            record["colour"] = "red"
        await hands.work(await hands.start(await hands.collection(http_source.url)))
        assert "left out: the dataset has no column for colour" in hands.told.lines

    async def test_p12_the_secret_is_sent_and_masked(self, hands: Hands, http_source: HttpSource):
        secret = "hunter2-hunter2"
        collection = await hands.collection(http_source.url, secret=secret)
        await hands.work(await hands.start(collection))
        assert http_source.asked[0].headers["Authorization"] == f"Bearer {secret}"
        assert hands.told.masked == [secret]
        assert secret not in str(hands.told.lines)


class TestEnds:
    async def test_p02_an_attempt_that_was_taken_over_publishes_nothing(
        self, hands: Hands, http_source: HttpSource
    ):
        release = asyncio.Event()

        async def held(_: web.Request, body: bytes) -> web.StreamResponse:
            await release.wait()
            return web.Response(body=body)

        collection = await hands.collection(http_source.url)
        run_id = await hands.start(collection)
        http_source.faults[2] = [held]
        working = asyncio.create_task(hands.attempt(run_id))
        await hands.told.first_progress.wait()
        await hands.leave(run_id, TaskState.QUEUED)
        await hands.work(run_id)
        release.set()
        with pytest.raises(Fenced):
            await working
        assert await hands.ids(collection.dataset_id) == list(range(35))

    async def test_a_task_that_no_run_belongs_to_says_how_runs_are_started(self, hands: Hands):
        tasks = hands.runtime.tasks
        kind = await tasks.newest_type("collection.run")
        new = NewTask("default", "collection.run", {"collection_id": str(hands.worker_id)})
        made = await tasks.submit(hands.caller, new, kind)
        with pytest.raises(TaskFailure, match="RunCollection"):
            await hands.attempt(made.task.id)

    async def test_an_attempt_after_the_last_transaction_asks_for_nothing(
        self, hands: Hands, http_source: HttpSource
    ):
        collection = await hands.collection(http_source.url)
        run_id = await hands.start(collection)
        first = await hands.attempt(run_id)
        before = len(http_source.asked)
        await hands.leave(run_id, TaskState.QUEUED)
        assert await hands.work(run_id) == first
        assert len(http_source.asked) == before

    async def test_a_body_of_another_shape_fails_with_its_cause(self, hands: Hands, http_source: HttpSource):
        http_source.faults[1] = [raw(b'{"oops": 1}')]
        with pytest.raises(TaskFailure, match="results") as caught:
            await hands.attempt(await hands.start(await hands.collection(http_source.url)))
        assert caught.value.kind == "INVALID_INPUT"


class TestSchema:
    async def test_a_new_field_of_the_source_becomes_a_column_and_is_told(
        self, hands: Hands, http_source: HttpSource
    ):
        collection = await hands.collection(http_source.url, SyncMode.APPEND, columns=[])
        await hands.work(await hands.start(collection))
        http_source.records[:] = [{"id": 1.5, "name": "half", "note": "new"}] * 12
        run_id = await hands.start(collection)
        output = await hands.work(run_id)
        run = await hands.runtime.collecting.runs.get(hands.caller, run_id)
        assert (output.records_written, output.records_quarantined) == (12, 0)
        assert run.schema_changes == ("note is new: string", "id is now double, was int64")
        assert len(await hands.ids(collection.dataset_id)) == 47

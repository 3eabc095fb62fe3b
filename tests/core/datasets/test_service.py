from dataclasses import replace

import pytest

from tests.fixtures.collecting import Ground, caller
from weir_core.collections.models import SyncMode
from weir_core.datasets.commits import Commit, Counts
from weir_core.datasets.models import ColumnInfo
from weir_core.datasets.reader import RecordQuery
from weir_core.errors import NotFound
from weir_core.paging import Page
from weir_core.tasks.errors import Fenced
from weir_core.tasks.states import TaskState


class TestCommit:
    async def test_p11_segment_counters_quarantine_and_position_become_visible_together(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        commit = await attempt.commit(1, 2, 3, rejects=2)
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        run = await ground.runs.get(ground.editor, attempt.run_id)
        assert (dataset.version, dataset.record_count, dataset.segment_count) == (1, 3, 1)
        assert (dataset.quarantine_count, dataset.schema_version) == (2, 1)
        assert dataset.columns == [ColumnInfo("id", "int64", nullable=False), ColumnInfo("name", "string")]
        assert (run.counters.records_read, run.counters.records_written) == (5, 3)
        assert (run.counters.records_quarantined, run.counters.segments) == (2, 1)
        assert (run.counters.bytes_read, run.counters.requests, run.cursor_after) == (30, 1, 3)
        assert commit.segment is not None
        assert run.counters.bytes_written == dataset.size_bytes == commit.segment.bytes
        assert await ground.ids(dataset.id) == [1, 2, 3]

    async def test_p11_a_failed_commit_leaves_nothing_of_it(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        first = await attempt.commit(1, 2)
        second = await attempt.write(3, rejects=1)
        assert first.segment
        assert second.segment
        # The path is the last thing that can clash: by then all else has been written.
        clash = replace(second, segment=replace(second.segment, path=first.segment.path))
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            await attempt.send(clash)
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        run = await ground.runs.get(ground.editor, attempt.run_id)
        assert (dataset.version, dataset.record_count, dataset.quarantine_count) == (1, 2, 0)
        assert (run.counters.records_read, run.counters.segments, run.cursor_after) == (2, 1, 2)

    async def test_p02_an_older_attempt_can_commit_nothing(self, ground: Ground):
        collection = await ground.collection()
        old = await ground.start(collection)
        stale = await old.write(1, 2)
        await ground.requeue(old.run_id)
        new = await ground.claim(old.run_id)
        with pytest.raises(Fenced):
            await old.send(stale)
        await new.commit(1, 2)
        assert await ground.ids(collection.dataset_id) == [1, 2]

    async def test_a_run_that_is_being_cancelled_commits_nothing(self, ground: Ground):
        attempt = await ground.start(await ground.collection())
        commit = await attempt.write(1)
        await ground.end(attempt.run_id, TaskState.CANCELLING)
        with pytest.raises(Fenced):
            await attempt.send(commit)

    async def test_a_commit_sent_again_because_its_answer_was_lost_changes_nothing(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        commit = await attempt.write(1, 2, rejects=1)
        first = await ground.datasets.commit(attempt.run_id, 1, 1, commit)
        again = await ground.datasets.commit(attempt.run_id, 1, 1, commit)
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert first == again
        assert (dataset.version, dataset.record_count, dataset.quarantine_count) == (1, 2, 1)

    async def test_a_commit_that_leaves_one_out_is_refused(self, ground: Ground):
        attempt = await ground.start(await ground.collection())
        commit = await attempt.write(1)
        with pytest.raises(ValueError, match="does not follow"):
            await ground.datasets.commit(attempt.run_id, 1, 2, commit)

    async def test_a_position_without_records_makes_no_version(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        await attempt.send(Commit(None, {"page": 2}, None, counts=Counts(0, 100, 1)))
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        plan = await ground.runs.begin(attempt.run_id, 1)
        assert dataset.version == 0
        assert (plan.position, plan.counters.bytes_read) == ({"page": 2}, 100)

    async def test_p14_a_position_beyond_its_limit_is_refused(self, ground: Ground):
        attempt = await ground.start(await ground.collection())
        with pytest.raises(ValueError, match="65,536"):
            await attempt.send(Commit(None, {"at": "x" * 70_000}, None))


class TestFull:
    async def test_nothing_is_visible_before_the_run_is_complete(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        attempt = await ground.start(collection)
        await attempt.commit(1, 2, rejects=1)
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert (dataset.version, dataset.record_count, dataset.quarantine_count) == (0, 0, 0)
        await attempt.commit(3)
        await attempt.finish()
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert (dataset.version, dataset.record_count, dataset.segment_count) == (1, 3, 2)
        assert dataset.quarantine_count == 1
        assert await ground.ids(dataset.id) == [1, 2, 3]

    async def test_the_next_run_swaps_all_at_once(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first = await ground.start(collection)
        await first.commit(1, 2, rejects=2)
        await first.finish()
        second = await ground.start(collection)
        await second.commit(7, 8, 9)
        assert await ground.ids(collection.dataset_id) == [1, 2]
        await second.finish()
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert await ground.ids(dataset.id) == [7, 8, 9]
        assert (dataset.version, dataset.record_count, dataset.quarantine_count) == (2, 3, 0)

    async def test_the_version_before_the_swap_can_still_be_read(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        for ids in ((1, 2), (7, 8)):
            attempt = await ground.start(collection)
            await attempt.commit(*ids)
            await attempt.finish()
        assert await ground.ids(collection.dataset_id, version=1) == [1, 2]

    async def test_p11_a_failed_run_leaves_nothing_visible(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first = await ground.start(collection)
        await first.commit(1)
        await first.finish()
        second = await ground.start(collection)
        await second.commit(8, rejects=1)
        await ground.end(second.run_id, TaskState.FAILED)
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert await ground.ids(dataset.id) == [1]
        assert (dataset.version, dataset.record_count, dataset.quarantine_count) == (1, 1, 0)

    async def test_a_source_that_has_become_empty_empties_the_dataset(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first = await ground.start(collection)
        await first.commit(1)
        await first.finish()
        second = await ground.start(collection)
        await second.finish()
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert (dataset.version, dataset.record_count) == (2, 0)
        assert await ground.ids(dataset.id) == []


class TestGet:
    async def test_p13_what_the_caller_may_not_see_looks_absent(self, ground: Ground):
        collection = await ground.collection()
        for stranger in (caller("datasets.read", project="other"), caller("collections.read")):
            with pytest.raises(NotFound):
                await ground.datasets.get(stranger, collection.dataset_id)
            with pytest.raises(NotFound):
                await ground.datasets.open(stranger, RecordQuery(collection.dataset_id))


class TestList:
    async def test_by_name_page_by_page(self, ground: Ground):
        for name in ("cats", "ants", "bees"):
            await ground.collection(name)
        first = await ground.datasets.list_datasets(ground.editor, Page(2), "")
        assert [one.name for one in first] == ["ants", "bees", "cats"]
        key = [first[1].name, str(first[1].id)]
        rest = await ground.datasets.list_datasets(ground.editor, Page(2, key), "")
        assert [one.name for one in rest] == ["cats"]

    async def test_p13_other_projects_are_left_out(self, ground: Ground):
        await ground.collection()
        assert (
            await ground.datasets.list_datasets(caller("datasets.read", project="other"), Page(9), "") == []
        )
        here = caller("datasets.read", project="default")
        assert len(await ground.datasets.list_datasets(here, Page(9), 'name = "orders"')) == 1

"""Small segments become few: what is read stays the same, and runs never lose by it."""

import random
from typing import Any

import pyarrow as pa
import pytest

from tests.core.datasets.test_merging import SCHEMA as KEYED
from tests.core.datasets.test_merging import newest, ordered
from tests.fixtures.collecting import Attempt, Ground, caller
from weir_core.collections.models import Collection, Span, SyncMode
from weir_core.datasets.models import Dataset
from weir_core.datasets.reader import RecordQuery
from weir_core.datasets.rewriting import Written
from weir_core.errors import ChecksumMismatch, NotFound, PositionExpired, StateConflict
from weir_core.tasks.errors import Fenced


async def seen(ground: Ground, collection: Collection) -> Dataset:
    return await ground.datasets.get(ground.editor, collection.dataset_id)


async def filled(ground: Ground, segments: int = 6) -> tuple[Collection, Attempt]:
    """A dataset of segments with two rows each, and the run that goes on with it."""
    collection = await ground.collection()
    attempt = await ground.start(collection)
    for at in range(segments):
        await attempt.commit(2 * at, 2 * at + 1)
    return collection, attempt


class TestEveryVersion:
    @pytest.mark.parametrize("seed", [1, 2])
    async def test_reads_the_same_before_and_after_random_compactions_and_the_newest_of_each_key_is_shown(
        self, ground: Ground, seed: int
    ):
        chance = random.Random(seed)
        rules: dict[str, Any] = {"key_fields": ("k", "j"), "cursor_field": "c", "deleted_field": "d"}
        collection = await ground.collection(mode=SyncMode.MERGE, **rules)
        attempt = await ground.start(collection, schema=KEYED)
        stored: list[list[dict[str, Any]]] = []
        versions: dict[int, list[dict[str, Any]]] = {}
        done: list[bool] = []

        async def commit(_: Written | None = None) -> None:
            if _ is None or chance.random() < 0.3:
                rows = [record(chance) for _ in range(chance.randint(1, 5))]
                await attempt.commit_rows(rows, KEYED)
                stored.append(rows)
                versions[(await seen(ground, collection)).version] = await ground.rows(collection.dataset_id)

        for _ in range(14):
            await commit()
            if chance.random() < 0.4:
                done += await ground.compact(collection.dataset_id, commit)
                dataset = await seen(ground, collection)
                shown = await ground.rows(collection.dataset_id)
                assert shown == versions[max(versions)]
                assert ordered(shown) == ordered(newest(stored))
                assert dataset.record_count == len(shown)
                versions[dataset.version] = shown
        assert set(done) == {True, False}
        for version, rows in versions.items():
            assert await ground.rows(collection.dataset_id, version) == rows
        await ground.sweep.sweep()
        assert await ground.rows(collection.dataset_id) == versions[max(versions)]
        assert len(list(ground.store.files())) == (await seen(ground, collection)).segment_count


def record(chance: random.Random) -> dict[str, Any]:
    return {
        "k": chance.randint(0, 4),
        "j": chance.choice("ab"),
        "c": chance.choice([None, 1, 2, 3, 4, 5]),
        "d": chance.choice([None, False, False, True]),
    }


class TestCompact:
    async def test_neighbours_become_one_that_the_manifest_knows_all_about(self, ground: Ground):
        collection, attempt = await filled(ground, 9)
        before, rows = await seen(ground, collection), await ground.rows(collection.dataset_id)
        assert await ground.compact(collection.dataset_id) == [True, True]
        after = await seen(ground, collection)
        assert (before.segment_count, after.segment_count, after.version) == (9, 2, before.version + 2)
        assert (after.record_count, after.commit_time) == (before.record_count, before.commit_time)
        assert await ground.rows(collection.dataset_id) == rows
        assert [row["id"] for row in await ground.rows(collection.dataset_id, filter_text="id > 13")] == [
            14,
            15,
            16,
            17,
        ]
        await ground.sweep.sweep()
        files = [file.size for file in ground.store.files()]
        assert (len(files), sum(files)) == (2, after.size_bytes)
        with pytest.raises(PositionExpired):
            await ground.rows(collection.dataset_id, before.version)
        await attempt.commit(18)
        await attempt.finish()
        assert await ground.ids(collection.dataset_id) == list(range(19))

    async def test_the_manifest_has_the_least_and_greatest_values_of_all_columns(self, ground: Ground):
        schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("text", pa.string())])
        collection = await ground.collection(mode=SyncMode.APPEND)
        attempt = await ground.start(collection, schema=schema)
        for at in (5, 3, 9):
            await attempt.commit_rows([{"id": at, "at": at * 10**6, "text": "x" * 10 * at}], schema)
        found: list[Written] = []

        async def keep(written: Written) -> None:
            found.append(written)

        assert await ground.compact(collection.dataset_id, keep) == [True]
        assert found[0].segment
        # The text of 90 letters is too long to be kept.
        assert found[0].segment.bounds == {
            "id": (3, 9),
            "at": ("1970-01-01T00:00:03Z", "1970-01-01T00:00:09Z"),
        }

    async def test_columns_that_came_later_are_null_and_those_that_were_widened_hold_all(
        self, ground: Ground
    ):
        collection = await ground.collection(mode=SyncMode.APPEND)
        attempt = await ground.start(collection, schema=None)
        await attempt.commit_rows([{"id": 1}])
        await attempt.commit_rows([{"id": 2.5, "name": "b", "more": {"x": 1}}])
        await attempt.commit_rows([{"id": 3.0, "name": "c", "more": {"x": 2, "y": "z"}}])
        rows = await ground.rows(collection.dataset_id)
        assert await ground.compact(collection.dataset_id) == [True]
        assert await ground.rows(collection.dataset_id) == rows
        assert await ground.ids(collection.dataset_id, 1) == [1]

    async def test_what_a_backfill_has_replaced_is_gone_for_good(self, ground: Ground):
        collection, attempt = await filled(ground)
        await attempt.finish()
        fill = await ground.start(collection, backfill=Span(0, 6))
        await fill.commit(5)
        await fill.finish()
        assert await ground.compact(collection.dataset_id) == [True]
        dataset = await seen(ground, collection)
        assert (dataset.record_count, dataset.segment_count) == (7, 1)
        assert await ground.ids(collection.dataset_id) == [5, 6, 7, 8, 9, 10, 11]
        await ground.sweep.sweep()
        (file,) = ground.store.files()
        assert file.size == dataset.size_bytes

    async def test_of_segments_that_show_nothing_nothing_is_left(self, ground: Ground):
        collection, attempt = await filled(ground, 2)
        await attempt.commit(*range(4, 20))
        await attempt.finish()
        empty = await ground.start(collection, backfill=Span(0, 4))
        await empty.finish()
        assert await ground.compact(collection.dataset_id) == [True]
        dataset = await seen(ground, collection)
        assert (dataset.record_count, dataset.segment_count) == (16, 1)
        assert await ground.ids(collection.dataset_id) == list(range(4, 20))
        await ground.sweep.sweep()
        assert [file.size for file in ground.store.files()] == [dataset.size_bytes]

    async def test_a_reading_that_has_begun_goes_on_in_its_version(self, ground: Ground):
        collection, _ = await filled(ground)
        reading = await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id))
        portion = await anext(aiter(reading.portions(2)))
        query = RecordQuery(collection.dataset_id, resume_token=portion.token_after(1))
        await ground.compact(collection.dataset_id)
        rest = await ground.datasets.open(ground.editor, query)
        found = [row["id"] async for part in rest.portions(100) for row in part.records.to_pylist()]
        assert found == list(range(1, 12))


class TestBesideRuns:
    async def test_a_full_run_that_is_shown_meanwhile_wins(self, ground: Ground):
        collection, attempt = await filled(ground)
        await attempt.finish()
        full = await ground.start(collection, full=True)
        await full.commit(7)

        async def finish(_: Written) -> None:
            await full.finish()

        assert await ground.compact(collection.dataset_id, finish) == [False]
        assert await ground.ids(collection.dataset_id) == [7]
        await ground.sweep.sweep()
        assert len(list(ground.store.files())) == 1

    async def test_one_that_adds_meanwhile_loses_nothing_and_nothing_is_given_up(self, ground: Ground):
        collection, attempt = await filled(ground)

        async def add(_: Written) -> None:
            await attempt.commit(12, 13)

        assert await ground.compact(collection.dataset_id, add) == [True]
        assert await ground.ids(collection.dataset_id) == list(range(14))
        run = await ground.runs.get(ground.editor, attempt.run_id)
        assert (run.cursor_after, run.counters.segments) == (13, 7)

    async def test_what_was_settled_before_is_settled_anew(self, ground: Ground):
        collection, attempt = await filled(ground)
        await attempt.finish()
        fill = await ground.start(collection, backfill=Span(0, 4))
        await fill.commit(1)
        settled = await fill.settle()
        await ground.compact(collection.dataset_id)
        with pytest.raises(Exception, match="settled"):
            await ground.runs.finish(fill.run_id, fill.number, settled)
        await fill.finish()
        assert await ground.ids(collection.dataset_id) == [1, *range(4, 12)]


class TestTask:
    async def test_p02_an_older_attempt_replaces_nothing_and_its_file_is_swept(self, ground: Ground):
        collection, _ = await filled(ground)
        task_id = (await ground.compaction.start(ground.keeper, collection.dataset_id)).task.id

        async def take_over(_: Written) -> None:
            await ground.requeue(task_id)
            await ground.execution.claim([task_id], ground.worker_id, {"dataset.compact": 1})

        with pytest.raises(Fenced):
            await ground.compact(collection.dataset_id, take_over)
        assert (await seen(ground, collection)).segment_count == 6
        assert await ground.sweep.sweep_orphans() == 1

    async def test_a_commit_that_is_sent_again_changes_nothing(self, ground: Ground):
        collection, _ = await filled(ground)
        task_id = (await ground.compaction.start(ground.keeper, collection.dataset_id)).task.id
        (claimed,) = await ground.execution.claim([task_id], ground.worker_id, {"dataset.compact": 1})
        plan = await ground.compaction.plan(task_id, collection.dataset_id)
        name = f"datasets/{collection.dataset_id}/{task_id}/0001-000000.parquet"
        written = await ground.compaction.write(name, plan, plan.groups[0])
        assert written
        for _ in range(2):
            assert await ground.compaction.replace(
                task_id, claimed.task.attempt, plan, plan.groups[0], written
            )
        assert (await seen(ground, collection)).version == 7

    async def test_there_is_one_at_a_time_for_a_dataset(self, ground: Ground):
        collection, _ = await filled(ground)
        one, other = [await ground.compaction.start(ground.keeper, collection.dataset_id) for _ in range(2)]
        assert (one.created, other.created, one.task.id) == (True, False, other.task.id)

    async def test_it_starts_by_itself_once_it_is_worth_while(self, ground: Ground):
        collection, attempt = await filled(ground, 4)
        assert await ground.compaction.start_if_due(collection.dataset_id) is None
        await attempt.commit(8, 9)
        started = await ground.compaction.start_if_due(collection.dataset_id)
        assert started
        assert await ground.compaction.start_if_due(collection.dataset_id) == started
        found = await ground.tasks.get(ground.editor, started)
        assert (found.creator.name, found.project) == ("weir", "default")

    async def test_it_is_refused_where_it_can_not_be_done(self, ground: Ground):
        collection, attempt = await filled(ground)
        await attempt.finish()
        with pytest.raises(NotFound):
            await ground.compaction.start(caller("tasks.*"), collection.dataset_id)
        await ground.collections.delete_collection(ground.editor, collection.id)
        with pytest.raises(StateConflict, match="no collection writes"):
            await ground.compaction.start(ground.keeper, collection.dataset_id)
        assert await ground.compaction.start_if_due(collection.dataset_id) is None

    async def test_segments_that_are_not_what_the_manifest_says_stay(self, ground: Ground):
        collection, _ = await filled(ground)
        files = sorted(file.name for file in ground.store.files())
        ground.store.put(files[0], b"no parquet")
        with pytest.raises(ChecksumMismatch):
            await ground.compact(collection.dataset_id)
        assert (await seen(ground, collection)).segment_count == 6

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.collecting import Ground
from tests.fixtures.stores import ON_BOTH_STORES
from weir_core.collections.models import Collection, Span, SyncMode
from weir_core.datasets.evolution import SchemaMismatch
from weir_core.datasets.reader import RecordQuery
from weir_core.datasets.settling import Outdated
from weir_core.errors import InvalidArgument, PositionExpired, StateConflict
from weir_core.tasks.states import TaskState

MERGED = pa.schema(
    [("id", pa.int64()), ("rev", pa.int64()), ("name", pa.string()), pa.field("gone", pa.bool_())]
)


async def merging(ground: Ground, **wanted: Any) -> Collection:
    wanted = {"key_fields": ("id",), "cursor_field": "rev", "deleted_field": "gone"} | wanted
    return await ground.collection(mode=SyncMode.MERGE, **wanted)


def row(key: int | None, rev: int | None, name: str = "", *, gone: bool = False) -> dict[str, Any]:
    return {"id": key, "rev": rev, "name": name or f"{key}.{rev}", "gone": gone}


async def names(ground: Ground, collection: Collection, version: int = 0, filter_text: str = "") -> list[str]:
    return sorted(one["name"] for one in await ground.rows(collection.dataset_id, version, filter_text))


class TestMerge:
    @ON_BOTH_STORES
    async def test_of_each_key_the_newest_record_is_shown_and_counted(self, ground: Ground):
        collection = await merging(ground)
        first = await ground.start(collection, schema=MERGED)
        await first.commit_rows([row(1, 1), row(2, 1), row(1, 2)], MERGED)
        await first.commit_rows([row(3, 3), row(2, 0)], MERGED)
        await first.finish()
        assert await names(ground, collection) == ["1.2", "2.1", "3.3"]
        second = await ground.start(collection, schema=MERGED)
        await second.commit_rows([row(1, 4), row(3, 3, "3.3 again")], MERGED)
        await second.finish()
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        run = await ground.runs.get(ground.editor, first.run_id)
        assert await names(ground, collection) == ["1.4", "2.1", "3.3 again"]
        assert await names(ground, collection, filter_text="rev < 3") == ["2.1"]
        assert (dataset.record_count, run.counters.records_written) == (3, 3)

    async def test_a_version_before_stays_as_it_was_while_it_is_kept(self, ground: Ground):
        collection = await merging(ground)
        attempt = await ground.start(collection, schema=MERGED)
        await attempt.commit_rows([row(1, 1), row(2, 1)], MERGED)
        await attempt.commit_rows([row(1, 2)], MERGED)
        assert await names(ground, collection, 1) == ["1.1", "2.1"]
        await attempt.commit_rows([row(2, 3)], MERGED)
        assert await names(ground, collection, 2) == ["1.2", "2.1"]
        await ground.sweep.sweep()
        assert await names(ground, collection) == ["1.2", "2.3"]
        with pytest.raises(PositionExpired):
            await names(ground, collection, 1)

    async def test_a_reading_goes_on_where_it_broke_off_among_hidden_rows(self, ground: Ground):
        collection = await merging(ground)
        attempt = await ground.start(collection, schema=MERGED)
        await attempt.commit_rows([row(key, 1) for key in range(20)], MERGED)
        await attempt.commit_rows([row(key, 2) for key in range(0, 20, 3)], MERGED)
        whole = [one["name"] for one in await ground.rows(collection.dataset_id)]
        found: list[str] = []
        token = ""
        for _ in range(20):
            query = RecordQuery(collection.dataset_id, resume_token=token)
            reading = await ground.datasets.open(ground.editor, query)
            portion = await anext(aiter(reading.portions(3)))
            found.append(portion.records.column("name")[0].as_py())
            token = portion.token_after(1)
        assert found == whole

    async def test_what_the_source_has_deleted_is_not_shown_nor_brought_back_by_an_older_record(
        self, ground: Ground
    ):
        collection = await merging(ground)
        attempt = await ground.start(collection, schema=MERGED)
        await attempt.commit_rows([row(1, 1), row(2, 1)], MERGED)
        await attempt.commit_rows([row(1, 3, gone=True)], MERGED)
        await attempt.commit_rows([row(1, 2)], MERGED)
        assert await names(ground, collection) == ["2.1"]
        await attempt.commit_rows([row(1, 4)], MERGED)
        assert await names(ground, collection) == ["1.4", "2.1"]

    async def test_a_record_without_its_key_goes_to_quarantine(self, ground: Ground):
        collection = await merging(ground)
        attempt = await ground.start(collection, schema=MERGED)
        await attempt.commit_rows([row(1, 1), row(None, 2), row(None, 3)], MERGED)
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert await names(ground, collection) == ["1.1"]
        assert dataset.quarantine_count == 2

    async def test_a_full_run_swaps_in_one_record_of_each_key(self, ground: Ground):
        collection = await merging(ground)
        attempt = await ground.start(collection, schema=MERGED)
        await attempt.commit_rows([row(1, 1), row(9, 1)], MERGED)
        await attempt.finish()
        full = await ground.start(collection, full=True, schema=MERGED)
        await full.commit_rows([row(1, 5), row(2, 5)], MERGED)
        await full.commit_rows([row(1, 6), row(2, 4)], MERGED)
        await full.finish()
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert await names(ground, collection) == ["1.6", "2.5"]
        assert dataset.record_count == 2

    async def test_what_was_settled_for_another_version_is_refused_and_settled_anew(self, ground: Ground):
        collection = await merging(ground)
        attempt = await ground.start(collection, schema=MERGED)
        await attempt.commit_rows([row(1, 1), row(5, 4)], MERGED)
        await attempt.finish()
        fill = await ground.start(collection, backfill=Span(0, 3), schema=MERGED)
        await fill.commit_rows([row(1, 2)], MERGED)
        settled = await fill.settle()
        live = await ground.start(collection, schema=MERGED)
        await live.commit_rows([row(1, 7)], MERGED)
        with pytest.raises(Outdated):
            await ground.runs.finish(fill.run_id, fill.number, settled)
        await fill.finish()
        assert await names(ground, collection) == ["1.7", "5.4"]

    async def test_a_key_that_is_no_column_is_refused(self, ground: Ground):
        collection = await merging(ground, key_fields=("number",))
        with pytest.raises(SchemaMismatch, match="number"):
            await ground.start(collection, schema=MERGED)

    @pytest.mark.parametrize(
        "wanted,field",
        [
            ({"key_fields": ()}, "key_fields"),
            ({"cursor_field": ""}, "cursor_field"),
            ({"mode": SyncMode.INCREMENTAL}, "key_fields"),
            ({"mode": SyncMode.APPEND, "key_fields": (), "cursor_field": ""}, "lag"),
        ],
    )
    async def test_what_does_not_go_together_is_refused(self, ground: Ground, wanted: Any, field: str):
        given = {"mode": SyncMode.MERGE, "key_fields": ("id",), "cursor_field": "rev", "lag": timedelta(1)}
        with pytest.raises(InvalidArgument) as refused:
            await ground.collection(**given | wanted)
        assert refused.value.violations[0].field == f"collection.{field}"


class TestLag:
    async def test_a_run_begins_so_long_before_its_cursor(self, ground: Ground):
        schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us", "UTC"))])
        collection = await ground.collection(
            mode=SyncMode.MERGE, key_fields=("id",), cursor_field="at", lag=timedelta(minutes=10)
        )
        first = await ground.start(collection, schema=schema)
        await first.commit_rows([{"id": 1, "at": datetime(2026, 1, 1, 12, tzinfo=UTC)}], schema)
        await first.finish()
        second = await ground.start(collection, schema=schema)
        assert (second.plan.cursor, second.plan.inclusive) == ("2026-01-01T11:50:00Z", True)
        assert second.plan.reached == "2026-01-01T12:00:00Z"


class TestBackfill:
    async def filled(self, ground: Ground) -> Collection:
        collection = await ground.collection()
        attempt = await ground.start(collection)
        await attempt.commit(1, 2, 3, 4)
        await attempt.commit(5, 6)
        await attempt.finish()
        return collection

    @ON_BOTH_STORES
    async def test_takes_the_place_of_its_span_when_it_is_whole_and_leaves_the_cursor(self, ground: Ground):
        collection = await self.filled(ground)
        fill = await ground.start(collection, backfill=Span(2, 6))
        assert (fill.plan.cursor, fill.plan.inclusive, fill.plan.span) == (2, True, Span(2, 6))
        commit = await fill.write(2, 3, rejects=1)
        await fill.send(commit)
        assert await ground.ids(collection.dataset_id) == [1, 2, 3, 4, 5, 6]
        await fill.finish()
        assert await ground.ids(collection.dataset_id) == [1, 2, 3, 6]
        found = await ground.collections.get_collection(ground.editor, collection.id)
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert found.cursor == 6
        assert (dataset.record_count, dataset.quarantine_count) == (4, 1)
        await ground.sweep.sweep()
        assert await ground.ids(collection.dataset_id) == [1, 2, 3, 6]

    async def test_goes_beside_a_live_run_and_only_one_at_a_time(self, ground: Ground):
        collection = await self.filled(ground)
        fill = await ground.start(collection, backfill=Span(1, 3))
        live = await ground.start(collection)
        again, created = await ground.runs.start(ground.editor, collection.id, backfill=Span(1, 3))
        assert (again.id, created) == (fill.run_id, False)
        with pytest.raises(StateConflict, match="from 1 to 3"):
            await ground.runs.start(ground.editor, collection.id, backfill=Span(1, 4))
        await live.commit(7)
        await fill.commit(1)
        await live.finish()
        await fill.finish()
        assert await ground.ids(collection.dataset_id) == [1, 3, 4, 5, 6, 7]

    async def test_one_that_fails_leaves_nothing(self, ground: Ground):
        collection = await self.filled(ground)
        fill = await ground.start(collection, backfill=Span(1, 3))
        await fill.commit(1, 2, rejects=2)
        await ground.end(fill.run_id, TaskState.FAILED)
        await ground.sweep.sweep()
        dataset = await ground.datasets.get(ground.editor, collection.dataset_id)
        assert (dataset.record_count, dataset.quarantine_count, dataset.segment_count) == (6, 0, 2)
        assert await ground.ids(collection.dataset_id) == [1, 2, 3, 4, 5, 6]
        assert len(list(ground.store.files("datasets"))) == 2

    @pytest.mark.parametrize(
        "span,says", [(Span(3, 3), "end after"), (Span("x", 4), "no value"), (Span(2, 7), "cursor 6")]
    )
    async def test_a_span_that_can_not_be_read_is_refused(self, ground: Ground, span: Span, says: str):
        collection = await self.filled(ground)
        with pytest.raises(InvalidArgument, match=says):
            await ground.runs.start(ground.editor, collection.id, backfill=span)

    async def test_before_the_first_run_there_is_nothing_to_fill_back(self, ground: Ground):
        collection = await ground.collection()
        with pytest.raises(StateConflict, match="run it first"):
            await ground.runs.start(ground.editor, collection.id, backfill=Span(1, 2))


class TestAppend:
    async def test_all_is_added_at_each_run(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.APPEND)
        for _ in range(2):
            attempt = await ground.start(collection)
            assert attempt.plan.cursor is None
            await attempt.commit(1, 2)
            await attempt.finish()
        assert await ground.ids(collection.dataset_id) == [1, 1, 2, 2]

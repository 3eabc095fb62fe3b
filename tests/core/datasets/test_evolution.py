from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.collecting import Ground
from weir_core.collections.models import Collection, SyncMode
from weir_core.datasets.evolution import SchemaMismatch, evolved
from weir_core.datasets.values import SchemaPolicy

KNOWN = pa.schema([pa.field("id", pa.int32(), nullable=False), ("box", pa.struct([("w", pa.int32())]))])


class TestEvolved:
    @pytest.mark.parametrize(
        "brought,kept",
        [
            ([pa.field("id", pa.int64(), nullable=False)], ["id: int64 not null", "box: struct<w: int32>"]),
            ([("id", pa.float64())], ["id: double", "box: struct<w: int32>"]),
            ([("new", pa.string())], ["id: int32 not null", "box: struct<w: int32>", "new: string"]),
            (
                [("box", pa.struct([("h", pa.string()), ("w", pa.int64())]))],
                ["id: int32 not null", "box: struct<w: int64, h: string>"],
            ),
        ],
    )
    def test_numbers_and_objects_widen_and_new_columns_come_at_the_end(self, brought: Any, kept: list[str]):
        found = evolved(KNOWN, pa.schema(brought), SchemaPolicy.EVOLVE)
        assert [f"{one.name}: {one.type}{'' if one.nullable else ' not null'}" for one in found] == kept

    @pytest.mark.parametrize("kind", [pa.string(), pa.bool_(), pa.list_(pa.int32())])
    def test_a_column_of_another_kind_is_refused(self, kind: pa.DataType):
        with pytest.raises(SchemaMismatch, match="'id' holds"):
            evolved(KNOWN, pa.schema([("id", kind)]), SchemaPolicy.EVOLVE)

    def test_frozen_columns_stay(self):
        assert evolved(KNOWN, pa.schema([("new", pa.string())]), SchemaPolicy.FREEZE) == KNOWN

    def test_strict_ones_refuse_what_differs_and_say_what(self):
        brought = pa.schema([("id", pa.int64()), ("new", pa.string())])
        with pytest.raises(SchemaMismatch, match="new: new; missing: box; id holds int64, not int32"):
            evolved(KNOWN, brought, SchemaPolicy.STRICT)


class TestRun:
    async def grown(self, ground: Ground, policy: SchemaPolicy) -> tuple[Collection, Any]:
        collection = await ground.collection(mode=SyncMode.APPEND, schema_policy=policy)
        first = await ground.start(collection, schema=None)
        await first.commit_rows([{"id": 1, "price": 3}])
        await first.finish()
        return collection, await ground.start(collection, schema=None)

    async def test_new_columns_and_wider_numbers_are_taken_over_and_told(self, ground: Ground):
        collection, attempt = await self.grown(ground, SchemaPolicy.EVOLVE)
        await attempt.commit_rows([{"id": 2, "price": 3.5, "note": "n"}])
        await attempt.finish()
        run = await ground.runs.get(ground.editor, attempt.run_id)
        assert await ground.rows(collection.dataset_id) == [
            {"id": 1, "price": 3.0, "note": None},
            {"id": 2, "price": 3.5, "note": "n"},
        ]
        assert run.schema_changes == ("note is new: string", "price is now double, was int64")
        assert await ground.rows(collection.dataset_id, 1) == [{"id": 1, "price": 3}]

    async def test_columns_that_change_within_a_segment_are_those_of_all_of_it(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.APPEND)
        attempt = await ground.start(collection, schema=None)
        await attempt.commit_rows([{"id": 1}])
        await attempt.commit_rows([{"id": 2, "note": "n"}])
        await attempt.commit_rows([{"id": 3}])
        assert [one["note"] for one in await ground.rows(collection.dataset_id)] == [None, "n", None]

    async def test_whole_numbers_that_a_double_can_not_hold_are_not_made_doubles(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.APPEND)
        attempt = await ground.start(collection, schema=None)
        await attempt.commit_rows([{"id": 2**53 + 1}])
        with pytest.raises(SchemaMismatch, match="beyond 2"):
            await attempt.commit_rows([{"id": 0.5}])

    async def test_frozen_columns_leave_the_others_out(self, ground: Ground):
        collection, attempt = await self.grown(ground, SchemaPolicy.FREEZE)
        await attempt.commit_rows([{"id": 2, "note": "n"}])
        assert await ground.rows(collection.dataset_id) == [{"id": 1, "price": 3}, {"id": 2, "price": None}]

    async def test_a_strict_collection_refuses_them(self, ground: Ground):
        _, attempt = await self.grown(ground, SchemaPolicy.STRICT)
        with pytest.raises(SchemaMismatch, match="STRICT"):
            await attempt.commit_rows([{"id": 2, "note": "n"}])

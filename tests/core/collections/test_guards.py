from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.collecting import Ground
from weir_core.collections.guards import Check, Found, Guard, complaint
from weir_core.collections.models import SyncMode
from weir_core.collections.runs import GuardStopped
from weir_core.errors import InvalidArgument


class TestComplaint:
    @pytest.mark.parametrize(
        "guard,found,says",
        [
            (Guard(Check.MIN_RECORDS, 3), Found(2, 0), "2 records, at least 3 are wanted"),
            (Guard(Check.MIN_RECORDS, 3), Found(3, 0), None),
            (Guard(Check.MAX_RECORDS, 3), Found(4, 0), "4 records, at most 3 are wanted"),
            (Guard(Check.MAX_RECORDS, 3), Found(3, 0), None),
            (Guard(Check.MIN_SHARE_OF_USUAL, 0.5), Found(4, 0, [100, 9, 10]), "usual are 10"),
            (Guard(Check.MIN_SHARE_OF_USUAL, 0.5), Found(5, 0, [100, 9, 10]), None),
            (Guard(Check.MIN_SHARE_OF_USUAL, 0.5), Found(0, 0), None),
            (
                Guard(Check.MAX_QUARANTINE_SHARE, 0.1),
                Found(8, 2),
                "2 records are in quarantine, 20.0% of all",
            ),
            (Guard(Check.MAX_QUARANTINE_SHARE, 0.2), Found(8, 2), None),
            (
                Guard(Check.MAX_AGE, 60),
                Found(1, 0, age=timedelta(minutes=2)),
                "is 0:02:00 old; at most 0:01:00",
            ),
            (Guard(Check.MAX_AGE, 60), Found(1, 0, age=timedelta(minutes=1)), None),
            (Guard(Check.MAX_AGE, 60), Found(0, 0), "no record tells"),
            (Guard(Check.MAX_NULL_SHARE, 0.5, "a"), Found(4, 0, nulls={"a": 3}), "75.0% of 'a' is null"),
            (Guard(Check.MAX_NULL_SHARE, 0.5, "a"), Found(4, 0, nulls={"a": 2}), None),
        ],
    )
    def test_says_what_is_wrong_and_what_would_be_right(self, guard: Guard, found: Found, says: str | None):
        said = complaint(guard, found)
        assert (said is None) == (says is None)
        assert (says or "") in (said or "")


class TestRun:
    async def test_one_that_is_stopped_leaves_the_dataset_as_it_was_and_says_why(self, ground: Ground):
        guards = (Guard(Check.MIN_RECORDS, 2), Guard(Check.MAX_QUARANTINE_SHARE, 0.5, warn_only=True))
        collection = await ground.collection(guards=guards)
        first = await ground.start(collection)
        await first.commit(1, 2)
        assert await ground.ids(collection.dataset_id) == []
        await first.finish()
        assert await ground.ids(collection.dataset_id) == [1, 2]
        second = await ground.start(collection)
        await second.commit(3, rejects=4)
        with pytest.raises(GuardStopped, match="1 records, at least 2 are wanted"):
            await second.finish()
        run = await ground.runs.get(ground.editor, second.run_id)
        found = await ground.collections.get_collection(ground.editor, collection.id)
        assert await ground.ids(collection.dataset_id) == [1, 2]
        assert found.cursor == 2
        assert [said.split(",")[0] for said in run.warnings] == ["4 records are in quarantine", "1 records"]

    async def test_one_that_is_only_warned_of_is_shown(self, ground: Ground):
        guards = (Guard(Check.MAX_NULL_SHARE, 0.4, "name", warn_only=True),)
        collection = await ground.collection(guards=guards)
        attempt = await ground.start(collection, schema=None)
        schema = pa.schema([("id", pa.int64()), ("name", pa.string())])
        await attempt.commit_rows([{"id": 1, "name": "a"}, {"id": 2, "name": None}], schema)
        await attempt.commit_rows([{"id": 3, "name": "c"}, {"id": 4, "name": None}], schema)
        await attempt.finish()
        run = await ground.runs.get(ground.editor, attempt.run_id)
        assert run.warnings == ("50.0% of 'name' is null; at most 40.0% may be",)
        assert await ground.ids(collection.dataset_id) == [1, 2, 3, 4]

    async def test_usual_is_the_median_of_the_last_runs_that_were_shown(self, ground: Ground):
        collection = await ground.collection(
            mode=SyncMode.FULL, guards=(Guard(Check.MIN_SHARE_OF_USUAL, 0.5),)
        )
        for count in (10, 20, 4):
            attempt = await ground.start(collection)
            await attempt.commit(*range(count))
            if count == 4:
                with pytest.raises(GuardStopped, match="4 records, usual are 15"):
                    await attempt.finish()
            else:
                await attempt.finish()
        assert len(await ground.ids(collection.dataset_id)) == 20

    async def test_the_age_is_that_of_the_newest_record_by_the_cursor_field(self, ground: Ground):
        schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us"))])
        collection = await ground.collection(cursor_field="at", guards=(Guard(Check.MAX_AGE, 3600),))
        now = datetime.now(UTC).replace(tzinfo=None)
        old: list[dict[str, Any]] = [{"id": 1, "at": now - timedelta(hours=2)}]
        attempt = await ground.start(collection, schema=schema)
        await attempt.commit_rows(old, schema)
        with pytest.raises(GuardStopped, match=r"newest record is 2:00:0\d old"):
            await attempt.finish()
        await attempt.commit_rows([{"id": 2, "at": now}], schema)
        await attempt.finish()

    async def test_a_guard_on_the_age_needs_a_cursor_field(self, ground: Ground):
        with pytest.raises(InvalidArgument) as refused:
            await ground.collection(mode=SyncMode.FULL, guards=(Guard(Check.MAX_AGE, 60),))
        assert refused.value.violations[0].field == "collection.guards[0].max_age"

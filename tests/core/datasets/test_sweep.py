import pytest

from tests.fixtures.collecting import Ground
from tests.fixtures.stores import ON_BOTH_STORES
from weir_core.collections.models import SyncMode
from weir_core.datasets.reader import RecordQuery
from weir_core.errors import PositionExpired
from weir_core.tasks.states import TaskState

pytestmark = ON_BOTH_STORES


def paths(ground: Ground) -> set[str]:
    return {file.name for file in ground.store.files()}


class TestSweepReplaced:
    async def test_replaced_segments_go_and_their_version_is_expired(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        for ids in ((1, 2), (7, 8)):
            attempt = await ground.start(collection)
            last = await attempt.commit(*ids)
            await attempt.finish()
        assert await ground.sweep.sweep_replaced() == 1
        assert last.segment
        assert paths(ground) == {last.segment.path}
        assert await ground.ids(collection.dataset_id) == [7, 8]
        with pytest.raises(PositionExpired):
            await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id, version=1))

    async def test_what_the_newest_version_shows_stays(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        await attempt.commit(1)
        await attempt.commit(2)
        assert await ground.sweep.sweep() == 0
        assert await ground.ids(collection.dataset_id) == [1, 2]


class TestSweepResidue:
    async def test_segments_of_a_failed_full_run_go(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        attempt = await ground.start(collection)
        await attempt.commit(1, rejects=1)
        assert await ground.sweep.sweep_residue() == 0
        await ground.end(attempt.run_id, TaskState.FAILED)
        assert await ground.sweep.sweep_residue() == 1
        assert paths(ground) == set()
        assert await ground.sweep.sweep_residue() == 0

    async def test_segments_of_a_full_run_that_succeeded_stay(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        attempt = await ground.start(collection)
        await attempt.commit(1)
        await attempt.finish()
        assert await ground.sweep.sweep_residue() == 0
        assert await ground.ids(collection.dataset_id) == [1]


class TestSweepOrphans:
    async def test_p11_a_file_that_an_older_attempt_left_goes(self, ground: Ground):
        collection = await ground.collection()
        old = await ground.start(collection)
        await old.commit(1)
        await old.write(2)
        await ground.requeue(old.run_id)
        await ground.claim(old.run_id)
        assert await ground.sweep.sweep_orphans() == 1
        assert await ground.ids(collection.dataset_id) == [1]

    async def test_a_file_that_a_live_attempt_is_about_to_commit_stays(self, ground: Ground):
        collection = await ground.collection()
        attempt = await ground.start(collection)
        commit = await attempt.write(1)
        assert await ground.sweep.sweep_orphans() == 0
        await attempt.send(commit)
        assert await ground.ids(collection.dataset_id) == [1]

    async def test_a_file_of_a_run_that_has_ended_goes(self, ground: Ground):
        attempt = await ground.start(await ground.collection())
        await attempt.write(1)
        await ground.end(attempt.run_id, TaskState.CANCELLED)
        assert await ground.sweep.sweep_orphans() == 1
        assert paths(ground) == set()

    async def test_files_that_are_no_segments_are_left_alone(self, ground: Ground):
        ground.store.put("datasets/readme.txt", b"mine")
        assert await ground.sweep.sweep_orphans() == 0
        assert paths(ground) == {"datasets/readme.txt"}

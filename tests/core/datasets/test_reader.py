import pytest

from tests.fixtures.collecting import Ground
from tests.fixtures.stores import ON_BOTH_STORES
from weir_core.collections.models import Collection, SyncMode
from weir_core.datasets.reader import Portion, RecordQuery, Records
from weir_core.errors import ChecksumMismatch, FilterInvalid, InvalidArgument, PositionExpired


@pytest.fixture
async def collection(ground: Ground) -> Collection:
    """A dataset of ids 1 to 9 in three segments."""
    made = await ground.collection()
    attempt = await ground.start(made)
    for first in (1, 4, 7):
        await attempt.commit(first, first + 1, first + 2)
    return made


async def portions(records: Records, most: int = 100) -> list[Portion]:
    return [portion async for portion in records.portions(most)]


async def ids(records: Records, most: int = 100) -> list[int]:
    return [one for part in await portions(records, most) for one in part.records.column("id").to_pylist()]


class TestOpen:
    @ON_BOTH_STORES
    async def test_columns_filter_and_limit(self, ground: Ground, collection: Collection):
        query = RecordQuery(collection.dataset_id, ("id",), "id > 2 AND id != 5", limit=4)
        reading = await ground.datasets.open(ground.editor, query)
        found = await portions(reading)
        assert found[0].records.schema.names == ["id"]
        assert [one for part in found for one in part.records.column("id").to_pylist()] == [3, 4, 6, 7]

    async def test_a_reading_stays_with_its_version(self, ground: Ground, collection: Collection):
        reading = await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id))
        assert reading.version == 3
        # The dataset grows while it is read.
        attempt = await ground.claim_again(collection)
        await attempt.commit(10)
        assert await ids(reading) == list(range(1, 10))
        assert await ground.ids(collection.dataset_id, version=1) == [1, 2, 3]
        assert await ground.ids(collection.dataset_id) == list(range(1, 11))

    @pytest.mark.parametrize("limit", [0, 7])
    @pytest.mark.parametrize("text", ["", "id != 5"])
    async def test_it_can_be_resumed_after_every_row(
        self, ground: Ground, collection: Collection, limit: int, text: str
    ):
        query = RecordQuery(collection.dataset_id, filter=text, limit=limit)
        whole = await ids(await ground.datasets.open(ground.editor, query))
        tokens = [
            part.token_after(row)
            for part in await portions(await ground.datasets.open(ground.editor, query), 2)
            for row in range(1, part.records.num_rows + 1)
        ]
        assert len(tokens) == len(whole) == (limit or len(whole))
        for given, token in enumerate(tokens, 1):
            resumed = RecordQuery(collection.dataset_id, filter=text, limit=limit, resume_token=token)
            assert await ids(await ground.datasets.open(ground.editor, resumed)) == whole[given:]

    @ON_BOTH_STORES
    async def test_arrow_messages_resume_too(self, ground: Ground, collection: Collection):
        query = RecordQuery(collection.dataset_id)
        reading = await ground.datasets.open(ground.editor, query)
        got = [(message.rows, token) async for message, token in reading.messages(1 << 20)]
        assert [rows for rows, _ in got] == [0, 3, 3, 3]
        resumed = RecordQuery(collection.dataset_id, resume_token=got[2][1])
        assert await ids(await ground.datasets.open(ground.editor, resumed)) == [7, 8, 9]

    @pytest.mark.parametrize("changed", [{"limit": 3}, {"filter": "id > 1"}, {"columns": ("id",)}])
    async def test_a_token_is_good_for_its_query_only(
        self, ground: Ground, collection: Collection, changed: dict[str, object]
    ):
        (first, *_) = await portions(
            await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id))
        )
        token = first.token_after(1)
        other = RecordQuery(collection.dataset_id, resume_token=token, **changed)  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidArgument) as caught:
            await ground.datasets.open(ground.editor, other)
        assert caught.value.violations[0].field == "query.resume_token"

    async def test_a_token_resumes_in_its_version_although_the_dataset_grew(
        self, ground: Ground, collection: Collection
    ):
        reading = await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id))
        token = (await portions(reading))[0].token_after(2)
        attempt = await ground.claim_again(collection)
        await attempt.commit(10)
        resumed = RecordQuery(collection.dataset_id, resume_token=token)
        assert await ids(await ground.datasets.open(ground.editor, resumed)) == list(range(3, 10))

    async def test_a_token_of_a_version_that_is_gone_is_expired(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first = await ground.start(collection)
        await first.commit(1, 2)
        await first.finish()
        reading = await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id))
        token = (await portions(reading))[0].token_after(1)
        second = await ground.start(collection)
        await second.commit(3)
        await second.finish()
        await ground.sweep.sweep()
        with pytest.raises(PositionExpired):
            await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id, resume_token=token))

    @ON_BOTH_STORES
    async def test_a_version_that_goes_while_it_is_read_is_told(self, ground: Ground):
        collection = await ground.collection(mode=SyncMode.FULL)
        first = await ground.start(collection)
        await first.commit(1)
        await first.finish()
        reading = await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id))
        second = await ground.start(collection)
        await second.finish()
        await ground.sweep.sweep()
        with pytest.raises(PositionExpired):
            await portions(reading)

    @ON_BOTH_STORES
    async def test_a_damaged_segment_is_told_whatever_it_lacks(self, ground: Ground, collection: Collection):
        path, size = next((file.name, file.size) for file in ground.store.files("datasets"))
        content = ground.store.read(path, 0, size)
        spoilt = bytes(byte ^ 0x5A for byte in content[4:80])
        for damaged in (content[:-20], b"", content[:4] + spoilt + content[80:]):
            ground.store.put(path, damaged)
            with pytest.raises(ChecksumMismatch, match=r"segment \S+\.parquet is damaged"):
                await ground.ids(collection.dataset_id)

    async def test_a_version_beyond_the_newest_is_refused(self, ground: Ground, collection: Collection):
        with pytest.raises(InvalidArgument, match=r"query.version: 9 is not reached yet; the newest is 3"):
            await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id, version=9))

    async def test_a_filter_that_does_not_fit_is_refused(self, ground: Ground, collection: Collection):
        with pytest.raises(FilterInvalid):
            await ground.datasets.open(ground.editor, RecordQuery(collection.dataset_id, filter="id = soon"))

    async def test_a_dataset_without_records_gives_none(self, ground: Ground):
        empty = await ground.collection("empty")
        assert await ground.ids(empty.dataset_id) == []

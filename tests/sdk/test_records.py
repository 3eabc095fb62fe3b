import io
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc

from tests.sdk.fake import Fail, FakeServer
from weir import AsyncClient, errors, methods
from weir.v1.collection_service_pb2 import ReadArrowResponse, ReadRecordsResponse
from weir.values import to_struct

LOST = Fail("UNAVAILABLE")
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def rows(*numbers: int) -> ReadRecordsResponse:
    return ReadRecordsResponse(
        records=[struct for number in numbers if (struct := to_struct({"id": number}))],
        resume_token=f"after-{numbers[-1]}",
    )


def arrow_messages(*batches: list[int]) -> list[ReadArrowResponse]:
    """As the server cuts them: the schema first, then a batch a message."""
    messages = [ReadArrowResponse(data=SCHEMA.serialize().to_pybytes())]
    for numbers in batches:
        columns = [pa.array(numbers, pa.int64()), pa.array([f"n{each}" for each in numbers])]
        data = pa.record_batch(columns, SCHEMA).serialize().to_pybytes()
        token = f"after-{numbers[-1]}"
        messages.append(ReadArrowResponse(data=data, row_count=len(numbers), resume_token=token))
    return messages


def one_stream(*batches: list[int]) -> ReadArrowResponse:
    """A whole IPC stream in one message, end mark included."""
    sink = io.BytesIO()
    with ipc.new_stream(sink, SCHEMA) as writer:
        for numbers in batches:
            writer.write_batch(pa.record_batch([pa.array(numbers), pa.array(["x"] * len(numbers))], SCHEMA))
    return ReadArrowResponse(data=sink.getvalue(), resume_token="end")


def tokens(server: FakeServer, method: Any) -> list[str]:
    return [request.query.resume_token for request in server.requests(method)]


class TestReadRecords:
    async def test_rows_come_as_dicts(self, server: FakeServer, client: AsyncClient):
        server.script(methods.READ_RECORDS, [rows(1, 2), rows(3)])
        read = client.collections.read_records("d1", columns=["id"], filter="id > 0", limit=3)
        assert [row async for row in read] == [{"id": 1}, {"id": 2}, {"id": 3}]
        query = server.requests(methods.READ_RECORDS)[0].query
        assert (query.dataset_id, list(query.columns), query.filter, query.limit) == (
            "d1",
            ["id"],
            "id > 0",
            3,
        )

    async def test_goes_on_by_token_where_the_connection_broke(self, server: FakeServer, client: AsyncClient):
        server.script(methods.READ_RECORDS, [rows(1, 2), LOST], [LOST], [rows(3)])
        assert [row["id"] async for row in client.collections.read_records("d1")] == [1, 2, 3]
        assert tokens(server, methods.READ_RECORDS) == ["", "after-2", "after-2"]

    async def test_an_expired_place_is_raised(self, server: FakeServer, client: AsyncClient):
        server.script(methods.READ_RECORDS, [rows(1), LOST], [Fail("OUT_OF_RANGE", "POSITION_EXPIRED")])
        with pytest.raises(errors.PositionExpired):
            [row async for row in client.collections.read_records("d1")]

    async def test_gives_up_on_a_server_that_stays_away(
        self, server: FakeServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("weir.aio.records.PATIENCE", 0.3)
        server.script(methods.READ_RECORDS, [rows(1), LOST], [LOST])
        with pytest.raises(errors.Unavailable):
            [row async for row in client.collections.read_records("d1")]


class TestReadArrow:
    async def test_gives_one_table(self, server: FakeServer, client: AsyncClient):
        server.script(methods.READ_ARROW, arrow_messages([1, 2], [3]))
        table = await client.collections.read_arrow("d1")
        assert table.schema == SCHEMA
        assert table.to_pydict() == {"id": [1, 2, 3], "name": ["n1", "n2", "n3"]}

    async def test_an_empty_dataset_has_its_schema(self, server: FakeServer, client: AsyncClient):
        server.script(methods.READ_ARROW, arrow_messages())
        table = await client.collections.read_arrow("d1")
        assert (table.schema, table.num_rows) == (SCHEMA, 0)

    async def test_batches_come_one_by_one_over_a_broken_connection(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.READ_ARROW, [*arrow_messages([1, 2]), LOST], arrow_messages([3], [4]))
        batches = [batch async for batch in client.collections.read_batches("d1")]
        assert [batch.column("id").to_pylist() for batch in batches] == [[1, 2], [3], [4]]
        assert tokens(server, methods.READ_ARROW) == ["", "after-2"]

    async def test_schema_and_batches_may_share_a_message(self, server: FakeServer, client: AsyncClient):
        server.script(methods.READ_ARROW, [one_stream([1], [2, 3])])
        assert (await client.collections.read_arrow("d1")).column("id").to_pylist() == [1, 2, 3]

    async def test_another_schema_on_the_way_is_no_silent_mix(self, server: FakeServer, client: AsyncClient):
        other = ReadArrowResponse(data=pa.schema([("x", pa.int8())]).serialize().to_pybytes())
        server.script(methods.READ_ARROW, [*arrow_messages([1]), LOST], [other])
        with pytest.raises(errors.DataLoss, match="another schema"):
            await client.collections.read_arrow("d1")

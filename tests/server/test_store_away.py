"""A server whose bucket goes away: what callers and operators are told."""

import asyncio
from typing import Any

import grpc
import pytest

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import HttpSource
from tests.fixtures.proxy import Proxy
from tests.fixtures.server import ServerUnderTest, refused
from weir.v1 import collection_service_pb2 as pb
from weir.v1 import system_pb2, system_service_pb2

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
async def store_settings(far_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    # While it answers it is asked every half minute.
    monkeypatch.setattr("weir_core.system.storage._EVERY", 0.0)
    return far_settings


async def storage(server: ServerUnderTest) -> system_pb2.Part:
    answer = await server.admin.system.GetStatus(system_service_pb2.GetStatusRequest())
    return next(part for part in answer.status.parts if part.name == "storage")


async def test_who_reads_is_told_which_store_does_not_answer(
    server: ServerUnderTest, http_source: HttpSource, bucket_proxy: Proxy
):
    hands = Hands(server.runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await hands.register()
    collection = await hands.collection(http_source.url)
    await hands.work(await hands.start(collection))
    query = pb.RecordQuery(dataset_id=str(collection.dataset_id), filter="id >= 30", columns=["id"])
    bucket_proxy.cut()
    for call in (
        server.admin.collections.ReadArrow(pb.ReadArrowRequest(query=query)),
        server.admin.collections.ReadRecords(pb.ReadRecordsRequest(query=query)),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_DOWN")
        assert "the store s3://tests-" in error.message
        assert error.metadata["part"] == "storage"
    bucket_proxy.heal()
    messages = [one async for one in server.admin.collections.ReadArrow(pb.ReadArrowRequest(query=query))]
    assert sum(one.row_count for one in messages) == 5


async def test_p16_its_state_is_told_and_so_is_its_return(server: ServerUnderTest, bucket_proxy: Proxy):
    assert (await storage(server)).state == system_pb2.PART_STATE_OK
    bucket_proxy.cut()
    await until(server, system_pb2.PART_STATE_DOWN)
    assert "the store s3://tests-" in (await storage(server)).message
    bucket_proxy.heal()
    await until(server, system_pb2.PART_STATE_OK)


async def until(server: ServerUnderTest, state: int) -> None:
    async with asyncio.timeout(30):
        while (await storage(server)).state != state:
            await asyncio.sleep(0.05)

"""P16: health tells the truth, soon."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from tests.fixtures.database import MariaDB
from tests.fixtures.proxy import Proxy, dial_database, proxied, through
from tests.fixtures.server import PASSWORD, ServerUnderTest, refused, running, sign_in
from weir.v1 import system_pb2, system_service_pb2
from weir.v1 import user_service_pb2 as pb
from weir_core.config import Settings
from weir_core.runtime import Runtime

CODE = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ["", "weir.v1.TaskService", "weir.v1.CollectionService", "weir.v1.UserService"]


async def state(channel: grpc.aio.Channel, service: str = "") -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)).status


async def until(channel: grpc.aio.Channel, service: str, wanted: int) -> None:
    """Waits for a state; the promise is 5 s."""
    async with asyncio.timeout(5):
        while await state(channel, service) != wanted:
            await asyncio.sleep(0.05)


@dataclass
class Far:
    """A server that reaches its database over a proxy."""

    channel: grpc.aio.Channel
    proxy: Proxy


@pytest.fixture
async def far(mariadb: MariaDB, redis_url: str, tmp_path: Path) -> AsyncGenerator[Far]:
    url = await mariadb.fresh()
    async with proxied(tmp_path / "db.sock", dial_database(url)) as proxy:
        settings = Settings(
            database_url=SecretStr(through(url, proxy)),
            redis_url=SecretStr(redis_url),
            master_key=SecretStr("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
            data_dir=tmp_path,
            listen="127.0.0.1:0",
        )
        async with Runtime.open(settings) as parts:
            await parts.people.users.bootstrap(PASSWORD)
            async with running(parts) as (_, channel):
                yield Far(channel, proxy)
            proxy.heal()


class TestCheck:
    @pytest.mark.parametrize("service", [*SERVICES, "db", "redis", "storage"])
    async def test_all_serve_when_all_is_well(self, server: ServerUnderTest, service: str):
        assert await state(server.channel, service) == SERVING

    async def test_an_unknown_service_is_not_found(self, server: ServerUnderTest):
        stub: Any = health_pb2_grpc.HealthStub(server.channel)
        error = await refused(stub.Check(health_pb2.HealthCheckRequest(service="moon")))
        assert (error.code, error.reason) == (CODE.NOT_FOUND, "NOT_FOUND")


class TestLossOfTheDatabase:
    @pytest.mark.parametrize("fault", ["cut", "freeze"])
    async def test_p16_it_shows_within_5_s_and_so_does_its_return(self, far: Far, fault: str):
        await until(far.channel, "", SERVING)
        getattr(far.proxy, fault)()
        await until(far.channel, "", NOT_SERVING)
        assert await state(far.channel, "db") == NOT_SERVING
        assert await state(far.channel, "weir.v1.TaskService") == NOT_SERVING
        assert await state(far.channel, "redis") == SERVING
        far.proxy.heal()
        await until(far.channel, "", SERVING)

    @pytest.mark.parametrize("fault", ["cut", "freeze"])
    async def test_calls_are_told_what_is_down_and_work_again_after(self, far: Far, fault: str):
        client = await sign_in(far.channel, "admin", PASSWORD)
        getattr(far.proxy, fault)()
        error = await refused(client.users.ListUsers(pb.ListUsersRequest(), timeout=40))
        assert (error.code, error.reason) == (CODE.UNAVAILABLE, "DEPENDENCY_DOWN")
        assert error.metadata["part"] == "db"
        far.proxy.heal()
        await until(far.channel, "", SERVING)
        assert (await client.users.ListUsers(pb.ListUsersRequest())).users

    async def test_watchers_hear_of_it(self, far: Far):
        stub: Any = health_pb2_grpc.HealthStub(far.channel)
        seen = aiter(stub.Watch(health_pb2.HealthCheckRequest(), timeout=20))
        assert (await anext(seen)).status == SERVING
        far.proxy.cut()
        assert (await anext(seen)).status == NOT_SERVING
        far.proxy.heal()
        assert (await anext(seen)).status == SERVING


class TestLossOfRedis:
    async def test_only_redis_is_down(self, settings: Settings):
        away = settings.model_copy(update={"redis_url": SecretStr("unix:///nowhere/redis.sock")})
        async with Runtime.open(away) as parts, running(parts) as (_, channel):
            assert await state(channel, "redis") == NOT_SERVING
            assert await state(channel, "") == SERVING


class TestGetStatus:
    async def test_parts_and_numbers(self, server: ServerUnderTest):
        answer = await server.admin.system.GetStatus(system_service_pb2.GetStatusRequest())
        parts = {part.name: part for part in answer.status.parts}
        assert set(parts) == {"db", "redis", "storage", "scheduler"}
        assert parts["db"].state == system_pb2.PART_STATE_OK
        assert parts["db"].version.startswith("SQLite") or "MariaDB" in parts["db"].version
        assert parts["redis"].version.split()[0] in {"Redis", "Valkey"}
        # No scheduler runs here, and the worst part is what counts.
        assert parts["scheduler"].state == system_pb2.PART_STATE_DOWN
        assert "weir scheduler" in parts["scheduler"].message
        assert answer.status.state == system_pb2.PART_STATE_DOWN
        assert answer.status.disk_free_bytes > 0

    async def test_it_needs_the_permission_in_all_projects(self, server: ServerUnderTest):
        operator = await server.user("ann", "operator", "default")
        error = await refused(operator.system.GetStatus(system_service_pb2.GetStatusRequest()))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "system.read")
        operator = await server.user("bob", "operator", "*")
        await operator.system.GetStatus(system_service_pb2.GetStatusRequest())

"""P14: what is done to the connection itself does not bring the server down."""

import asyncio
import resource

import grpc
import pytest

from tests.fixtures.server import ServerUnderTest, refused
from weir.v1 import user_service_pb2 as pb

CODE = grpc.StatusCode
LOGIN = "/weir.v1.UserService/Login"

# None of this is about the database.
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


async def still_serves(server: ServerUnderTest) -> None:
    await server.admin.users.GetUser(pb.GetUserRequest(user_id="self"), timeout=5)


class TestSize:
    async def test_p14_a_compressed_bomb_is_refused_and_takes_no_room(self, server: ServerUnderTest):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        bomb = bytes(64 * 1024 * 1024)
        for _ in range(5):
            call = server.channel.unary_unary(LOGIN)(bomb, compression=grpc.Compression.Gzip, timeout=20)
            error = await refused(call)
            assert error.code == CODE.RESOURCE_EXHAUSTED
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        # The bomb itself is of this process; five of them inflated would be 320 MiB more.
        assert grown < 200 * 1024
        await still_serves(server)

    async def test_a_message_beyond_the_limit_is_refused(self, server: ServerUnderTest):
        error = await refused(server.channel.unary_unary(LOGIN)(bytes(5 * 1024 * 1024), timeout=20))
        assert error.code == CODE.RESOURCE_EXHAUSTED
        await still_serves(server)

    async def test_metadata_beyond_the_limit_is_refused(self, server: ServerUnderTest):
        metadata = (("authorization", "Bearer " + "x" * 20_000),)
        error = await refused(server.channel.unary_unary(LOGIN)(b"", metadata=metadata, timeout=20))
        assert error.code in {CODE.RESOURCE_EXHAUSTED, CODE.UNAVAILABLE, CODE.INTERNAL}
        await still_serves(server)


class TestConnections:
    async def test_p14_one_that_says_nothing_is_closed(self, server: ServerUnderTest):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.server.port)
        async with asyncio.timeout(10):
            while await reader.read(1000):
                pass
        writer.close()
        await still_serves(server)

    async def test_noise_is_no_harm(self, server: ServerUnderTest):
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", bytes(10_000)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.server.port)
            writer.write(noise)
            async with asyncio.timeout(10):
                while await reader.read(1000):
                    pass
            writer.close()
        await still_serves(server)

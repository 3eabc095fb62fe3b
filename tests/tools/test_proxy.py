"""The proxy that tests put before servers: each way of its to harm a connection."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.fixtures.proxy import Proxy, Streams, proxied_port

_SECONDS = 30
_SOON = 0.2


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(100):
        writer.write(content)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncGenerator[Proxy]:
    """A proxy before an echo."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with proxied_port(lambda: asyncio.open_connection("127.0.0.1", port)) as proxy:
        yield proxy
    server.close()


async def _said(streams: Streams, word: bytes) -> bytes:
    reader, writer = streams
    writer.write(word)
    async with asyncio.timeout(_SECONDS):
        return await reader.read(100)


async def _silent(streams: Streams, word: bytes) -> bool:
    try:
        async with asyncio.timeout(_SOON):
            await _said(streams, word)
    except TimeoutError:
        return True
    return False


async def _connected(proxy: Proxy) -> Streams:
    streams = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await _said(streams, b"here") == b"here"
    return streams


async def test_cut_ends_what_is_open_and_what_comes(proxy: Proxy):
    before = await _connected(proxy)
    proxy.cut()
    assert await before[0].read(1) == b""
    after = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await after[0].read(1) == b""
    proxy.heal()
    for _, writer in (before, after, await _connected(proxy)):
        writer.close()


async def test_reset_breaks_what_is_open(proxy: Proxy):
    before = await _connected(proxy)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await before[0].read(1)
    (await _connected(proxy))[1].close()


async def test_frozen_bytes_come_later(proxy: Proxy):
    streams = await _connected(proxy)
    proxy.freeze()
    assert await _silent(streams, b"late")
    proxy.heal()
    async with asyncio.timeout(_SECONDS):
        assert await streams[0].read(100) == b"late"
    streams[1].close()


async def test_swallowed_bytes_never_come_and_their_connection_is_dead(proxy: Proxy):
    streams = await _connected(proxy)
    proxy.swallow()
    assert await _silent(streams, b"lost")
    proxy.heal()
    assert await _silent(streams, b"again")
    for _, writer in (streams, await _connected(proxy)):
        writer.close()


async def test_slowed_bytes_take_their_time(proxy: Proxy):
    streams = await _connected(proxy)
    proxy.slow(2 * _SOON)
    assert await _silent(streams, b"slow")
    async with asyncio.timeout(_SECONDS):
        assert await streams[0].read(100) == b"slow"
    streams[1].close()

"""What an open watch takes of a server's memory, beside a bare stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import orjson

from tests.bench.clients import channels, known_type, store
from tests.bench.report import Line
from tests.bench.site import Program, Server, Site, Size
from weir.v1 import task_service_pb2 as pb

_SECONDS = 60.0
_SETTLE = 1.0
_FIRST = 10


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """Streams on fresh servers, which wait for what does not come."""
    ground = await site.ground()
    await ground.rest()
    kind = await known_type(ground)
    made = await store(ground, kind, [{"tell": ""}] * (size.streams + _FIRST))
    requests = [pb.WatchTaskRequest(task_id=str(each.id)).SerializeToString() for each in made]
    async with ground.server() as server:
        ours = await _each(server.program, server.address, requests, _watch(server))
    with site.bare("serve") as bare:
        address = f"127.0.0.1:{bare.said().split()[1]}"
        waiting = [orjson.dumps({"after": 3600, "count": 1})] * len(requests)
        reference = await _each(bare, address, waiting, lambda channel: channel.unary_stream("/bare/Ticks"))
    await ground.tidy()
    yield Line(
        f"memory a watcher, of {size.streams}",
        f"{ours / 1024:.1f} KiB",
        f"bare stream {reference / 1024:.1f} KiB",
        ours / reference,
        "at most 40 KiB",
    )


def _watch(server: Server) -> Callable[[grpc.aio.Channel], Any]:
    def opened(channel: grpc.aio.Channel) -> Any:
        call = channel.unary_stream("/weir.v1.TaskService/WatchTask")
        return lambda request: call(request, metadata=server.metadata)

    return opened


async def _each(
    program: Program, address: str, requests: list[bytes], method: Callable[[grpc.aio.Channel], Any]
) -> float:
    """Bytes a stream, once some were opened that make what all share."""
    count = len(requests) - _FIRST
    async with channels(address, len(requests)) as opened, _open(opened, requests[:_FIRST], method):
        before = program.memory()
        async with _open(opened, requests[_FIRST:], method):
            return (program.memory() - before) / count


@asynccontextmanager
async def _open(
    opened: list[grpc.aio.Channel], requests: list[bytes], method: Callable[[grpc.aio.Channel], Any]
) -> AsyncGenerator[None]:
    """Streams that have given their first message."""
    calls = [method(opened[place % len(opened)])(request) for place, request in enumerate(requests)]
    async with asyncio.timeout(_SECONDS):
        await asyncio.gather(*(call.read() for call in calls))
    await asyncio.sleep(_SETTLE)
    try:
        yield
    finally:
        for call in calls:
            call.cancel()

"""From an event's writing in a handler to a watcher's seeing it: many watchers, an event a second each."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc
import orjson

from tests.bench.clients import channels, store
from tests.bench.report import Line, milliseconds, percentile
from tests.bench.site import SLOTS, Ground, Server, Site, Size
from weir.v1 import task_service_pb2 as pb
from weir_core.tasks.promotion import hint_of

_SECONDS = 120.0
# All streams are opened at once, and all tasks started: what was written until that is over is told apart.
_OPENING_TICKS = 8


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """Weir's watchers, then as many bare streams that tick alike."""
    ground = await site.ground()
    server, worker = await ground.usual_server(), await ground.worker(max(SLOTS, size.watchers))
    cpu = server.program.cpu(), worker.cpu()
    opening, ours = await _watch(ground, server, size)
    used = server.program.cpu() - cpu[0], worker.cpu() - cpu[1]
    with site.bare("serve") as bare:
        reference = await _bare(f"127.0.0.1:{bare.said().split()[1]}", size)
    await ground.tidy()
    for part, name, goal in ((0.5, "p50", ""), (0.99, "p99", "p99 within 100 ms")):
        seen, ticked = percentile(ours, part), percentile(reference, part)
        what = f"event to watcher, {size.watchers} at 1/s, {name}"
        yield Line(what, milliseconds(seen), f"bare streams {milliseconds(ticked)}", seen / ticked, goal)
    late = milliseconds(percentile(opening, 0.99))
    yield Line("while all of them were being opened, p99", late, f"the first {_OPENING_TICKS} events of each")
    each = [f"{seconds / len(ours + opening) * 1e6:.0f} µs" for seconds in used]
    yield Line("CPU an event", f"server {each[0]}", f"worker with its child {each[1]}")


async def _watch(ground: Ground, server: Server, size: Size) -> tuple[list[float], list[float]]:
    """How late the events were that were written during the opening, and later."""
    kind = await ground.runtime.tasks.newest_type("bench.tick")
    made = await store(ground, kind, [{"count": size.watch_seconds + _OPENING_TICKS}] * size.watchers)
    late: tuple[list[float], list[float]] = ([], [])
    async with channels(server.address, size.watchers) as opened:
        watches = [
            asyncio.create_task(_follow(opened[place % len(opened)], server, str(each.id), late))
            for place, each in enumerate(made)
        ]
        await ground.runtime.queue.hint([hint_of(each) for each in made])
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*watches)
    return late


async def _follow(
    channel: grpc.aio.Channel, server: Server, task_id: str, late: tuple[list[float], list[float]]
) -> None:
    watch = channel.unary_stream(
        "/weir.v1.TaskService/WatchTask", response_deserializer=pb.WatchTaskResponse.FromString
    )
    request = pb.WatchTaskRequest(task_id=task_id).SerializeToString()
    ticks = 0
    async for message in watch(request, metadata=server.metadata):
        for event in message.events:
            if not event.HasField("log"):
                continue
            ticks += 1
            late[ticks > _OPENING_TICKS].append(time.time() - float(event.log.text))


async def _bare(address: str, size: Size) -> list[float]:
    late: list[float] = []

    async def follow(channel: grpc.aio.Channel, after: float) -> None:
        ticks = channel.unary_stream("/bare/Ticks")
        async for message in ticks(orjson.dumps({"after": after, "count": size.watch_seconds})):
            if message:
                late.append(time.time() - float(message))  # noqa: PERF401 - many write into it

    async with channels(address, size.watchers) as opened, asyncio.timeout(_SECONDS):
        await asyncio.gather(
            *(follow(opened[place % len(opened)], place / size.watchers) for place in range(size.watchers))
        )
    return late

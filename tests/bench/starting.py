"""From a submit to the handler's first line on an idle system, beside the bare steps that it is made of."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
from redis.asyncio import from_url

from tests.bench.clients import NOOP, store
from tests.bench.driver import open_driver, stored
from tests.bench.pack import STARTED
from tests.bench.report import Line, milliseconds, percentile
from tests.bench.site import SLOTS, Ground, Server, Site, Size
from weir.v1 import task_service_pb2 as pb

_IDLE = 0.05
_SECONDS = 30.0


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """On MariaDB and on SQLite."""
    for kind in ("mariadb", "sqlite"):
        ground = await site.ground(kind)
        await ground.worker(SLOTS)
        whole, steps = await _alternate(ground, await ground.usual_server(), size.starts)
        bare = [sum(parts) for parts in steps]
        for part, name in ((0.5, "p50"), (0.99, "p99")):
            named = zip(("insert", "message", "claim"), zip(*steps, strict=True), strict=True)
            each = " + ".join(f"{step} {percentile(values, part) * 1000:.2f}" for step, values in named)
            ours, reference = percentile(whole, part), percentile(bare, part)
            yield Line(
                f"submit to handler, {kind}, {name}",
                milliseconds(ours),
                f"{milliseconds(reference)} = {each}",
                ours / reference,
                "at most 2",
            )


async def _alternate(
    ground: Ground, server: Server, count: int
) -> tuple[list[float], list[tuple[float, ...]]]:
    """A start, then the bare steps, again and again, with a pause between."""
    whole: list[float] = []
    steps: list[tuple[float, ...]] = []
    redis_url = ground.environment["WEIR_REDIS_URL"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        path = ground.folder / "told.sock"
        path.unlink(missing_ok=True)
        told.bind(str(path))
        told.setblocking(False)
        async with (
            grpc.aio.insecure_channel(server.address) as channel,
            open_driver(ground.environment["WEIR_DATABASE_URL"]) as driver,
            from_url(redis_url, protocol=2) as sender,
            from_url(redis_url, protocol=2) as receiver,
        ):
            submit = channel.unary_unary("/weir.v1.TaskService/SubmitTask")
            [made] = await store(ground, await ground.runtime.tasks.newest_type(NOOP), [{"tell": ""}])
            pattern = await driver.pattern(made.id.bytes)
            for _ in range(count + 2):
                await asyncio.sleep(_IDLE)
                whole.append(await _start(submit, server, told))
                await asyncio.sleep(_IDLE)
                key = uuid4().bytes
                insert = await _timed(driver.insert(stored(pattern, key)))
                message = await _message(sender, receiver)
                steps.append((insert, message, await _timed(driver.claim(key))))
    # The first ones open connections.
    return whole[2:], steps[2:]


async def _start(submit: Any, server: Server, told: socket.socket) -> float:
    request = pb.SubmitTaskRequest(request_id=str(uuid4()))
    request.spec.type = NOOP
    request.spec.input.update({"tell": told.getsockname()})
    began = time.time()
    async with asyncio.timeout(_SECONDS):
        await submit(request.SerializeToString(), metadata=server.metadata)
        heard = await asyncio.get_running_loop().sock_recv(told, STARTED.size)
    return STARTED.unpack(heard)[0] - began


async def _message(sender: Any, receiver: Any) -> float:
    """One message over a stream to who waits for it."""
    stream = "bench:stream"
    last = (await sender.xinfo_stream(stream))["last-generated-id"] if await sender.exists(stream) else "0"
    waiting = asyncio.create_task(receiver.xread({stream: last}, block=4000))
    await asyncio.sleep(0.01)
    began = time.perf_counter()
    await sender.xadd(stream, {"data": b"x" * 100}, maxlen=10)
    await waiting
    return time.perf_counter() - began


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began

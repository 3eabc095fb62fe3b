"""What a run tells while it goes: how soon, how often, and what an event costs."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import aiohttp

from tests.bench.clients import channels, store
from tests.bench.report import Line, milliseconds
from tests.bench.runs import PAGE_NUMBERS, collect, ended, start, web_collection
from tests.bench.site import PER_PAGE, SLOTS, Ground, Program, Server, Site, Size
from weir.v1 import task_service_pb2 as pb
from weir_core.collections.models import Collection
from weir_core.tasks.promotion import hint_of

# A run tells so many a second.
_RATE = 2.5
_MOMENTS_A_SECOND = 10


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """A run that is watched; then many events of a task, for what one takes."""
    ground = await site.ground()
    worker, server = await ground.worker(SLOTS), await ground.usual_server()
    with site.bare("source", str(size.pages), str(PER_PAGE)) as source:
        url = f"http://127.0.0.1:{(await asyncio.to_thread(source.said)).split()[1]}"
        collected = await web_collection(ground, "telling", url, "/rows", PAGE_NUMBERS)
        await collect(ground, worker, collected)
        firsts: list[float] = []
        gaps: list[float] = []
        for _ in range(size.tries):
            await _first_page(url)
            moments = await _watched(ground, server, collected)
            firsts.append(moments[0] - await _first_page(url))
            gaps.append(max((after - before for before, after in pairwise(moments)), default=0))
    what = f"run of {size.records:,} records"
    yield Line(f"{what}, first page to first event", milliseconds(min(firsts)), "", goal="within 300 ms")
    yield Line(f"{what}, longest wait for the next event", milliseconds(min(gaps)), "", goal="within 500 ms")
    cost = await _cost(ground, server, worker, _MOMENTS_A_SECOND * size.watch_seconds)
    yield Line(
        "progress of a run, watched",
        f"{cost * 1e6:.0f} µs CPU an event",
        f"{_RATE} a second of a core's time",
        cost * _RATE,
        "at most 0.03",
    )


async def _first_page(url: str) -> float:
    """When the first page since the last call of this was asked for."""
    async with aiohttp.ClientSession() as session, session.post(f"{url}/first") as answer:
        return float(await answer.json())


async def _watched(ground: Ground, server: Server, collected: Collection) -> list[float]:
    """When progress was seen."""
    run = await start(ground, collected)
    found = await _progress(server, str(run.id))
    await ended(ground, run)
    return found


async def _progress(server: Server, task_id: str) -> list[float]:
    request = pb.WatchTaskRequest(task_id=task_id).SerializeToString()
    async with channels(server.address, 1) as (channel,):
        watch = channel.unary_stream(
            "/weir.v1.TaskService/WatchTask", response_deserializer=pb.WatchTaskResponse.FromString
        )
        return [
            time.time()
            async for message in watch(request, metadata=server.metadata)
            for event in message.events
            if event.HasField("progress")
        ]


async def _cost(ground: Ground, server: Server, worker: Program, moments: int) -> float:
    """Seconds of the server's and the worker's processor time an event, beyond those of telling nothing."""
    kind = await ground.runtime.tasks.newest_type("bench.progress")

    async def used(*, told: bool) -> tuple[float, int]:
        [made] = await store(ground, kind, [{"moments": moments, "told": told}])
        cpu = server.program.cpu() + worker.cpu()
        await ground.runtime.queue.hint([hint_of(made)])
        seen = await _progress(server, str(made.id))
        return server.program.cpu() + worker.cpu() - cpu, len(seen)

    quiet, _ = await used(told=False)
    busy, seen = await used(told=True)
    return max(0.0, busy - quiet) / seen

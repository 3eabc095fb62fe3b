"""Collecting from a web API into Parquet, and reading it back, beside the shortest way there is."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import orjson

from tests.bench.clients import channels
from tests.bench.report import Line
from tests.bench.rows import COLUMNS
from tests.bench.site import SLOTS, Ground, Server, Site, Size
from weir.v1 import collection_service_pb2 as pb
from weir_core.collections.models import Collection, NewCollection, NewConnection, SyncMode
from weir_core.tasks.models import Task
from weir_core.tasks.states import TERMINAL, TaskState

_SECONDS = 300.0


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """Collect, collect barely, read, read barely."""
    ground = await site.ground()
    total = size.pages * size.per_page
    with site.bare("source", str(size.pages), str(size.per_page)) as source:
        url = f"http://127.0.0.1:{source.said().split()[1]}"
        worker = await ground.worker(SLOTS)
        collection = await _collection(ground, url, size.per_page)
        cpu = worker.cpu()
        seconds = await _run(ground, collection)
        cpu = worker.cpu() - cpu
        (folder := ground.folder / "bare").mkdir(exist_ok=True)
        with site.bare("collect", f"{url}/rows", str(size.pages), str(folder)) as bare:
            bare_seconds, bare_cpu = map(float, (await asyncio.to_thread(bare.said)).split())
    yield Line(
        f"HTTP JSON to Parquet, {total:,} rows",
        f"{_rows(total, seconds)}, {cpu / total * 1e6:.1f} µs CPU",
        f"bare {_rows(total, bare_seconds)}, {bare_cpu / total * 1e6:.1f} µs CPU",
        bare_seconds / seconds,
    )
    sizes, seconds, cpu = await _read(await ground.usual_server(), collection)
    with site.bare("serve") as bare:
        before = bare.cpu()
        bare_seconds = await _read_bytes(f"127.0.0.1:{bare.said().split()[1]}", sizes)
        bare_cpu = bare.cpu() - before
    yield Line(
        f"ReadArrow, {sum(sizes) / 1e6:.0f} MB",
        f"{_rows(total, seconds)}, {cpu / total * 1e6:.2f} µs CPU",
        f"the same bytes {_rows(total, bare_seconds)}, {bare_cpu / total * 1e6:.2f} µs CPU",
        bare_seconds / seconds,
    )


def _rows(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f} rows/s"


async def _collection(ground: Ground, url: str, per_page: int) -> Collection:
    collecting = ground.runtime.collecting
    source = await collecting.connections.create_connection(
        ground.caller,
        NewConnection("", "bench", "http", {"base_url": url}, {}, allow_private_addresses=True),
    )
    settings = {
        "path": "/rows",
        "records_path": "results",
        "pagination": {"kind": "page", "page_size": per_page, "total_path": "total"},
        "columns": [{"name": name, "type": kind} for name, kind in COLUMNS],
    }
    return await collecting.collections.create_collection(
        ground.caller, NewCollection("", "bench", source.id, settings, SyncMode.FULL)
    )


async def _run(ground: Ground, collection: Collection) -> float:
    """Seconds from the claim of a run to its end."""
    run, _ = await ground.runtime.collecting.runs.start(ground.caller, collection.id)
    async with asyncio.timeout(_SECONDS):
        while (task := await _task(ground, run.id)).state not in TERMINAL:
            await asyncio.sleep(0.05)
    assert task.state is TaskState.SUCCEEDED, task.failure
    assert task.start_time
    assert task.end_time
    return (task.end_time - task.start_time) / timedelta(seconds=1)


async def _task(ground: Ground, task_id: UUID) -> Task:
    return await ground.runtime.tasks.get(ground.caller, task_id, full=False)


async def _read(server: Server, collection: Collection) -> tuple[list[int], float, float]:
    """The sizes of all messages, seconds, and the server's processor time."""
    request = pb.ReadArrowRequest(query=pb.RecordQuery(dataset_id=str(collection.dataset_id)))
    cpu, began = server.program.cpu(), time.perf_counter()
    async with channels(server.address, 1) as (channel,):
        call = channel.unary_stream("/weir.v1.CollectionService/ReadArrow")
        sizes = [
            len(message) async for message in call(request.SerializeToString(), metadata=server.metadata)
        ]
    return sizes, time.perf_counter() - began, server.program.cpu() - cpu


async def _read_bytes(address: str, sizes: list[int]) -> float:
    began = time.perf_counter()
    async with channels(address, 1) as (channel,):
        call = channel.unary_stream("/bare/Bytes")
        assert [len(message) async for message in call(orjson.dumps(sizes))] == sizes
    return time.perf_counter() - began

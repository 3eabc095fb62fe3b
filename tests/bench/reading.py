"""Reading records back, beside a bare gRPC server that reads the same files, and bare pyarrow."""

import asyncio
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.bench.clients import channels
from tests.bench.report import Line, megabytes, milliseconds
from tests.bench.rows import SECONDS, moment
from tests.bench.runs import PAGE_NUMBERS, Took, best, collect, highest, web_collection
from tests.bench.site import PER_PAGE, SLOTS, Ground, Program, Server, Site, Size
from weir.v1 import collection_service_pb2 as pb
from weir_core.datasets import repository
from weir_core.datasets.models import StoredSegment
from weir_core.stores.folder import FolderStore

_LOOKS = 20
_GONE_SECONDS = 0.5
_TWO_DAYS = 2 * 86_400 // SECONDS


@dataclass(frozen=True)
class Kept:
    """A dataset, and the files of its segments."""

    id: str
    segments: list[StoredSegment]
    files: list[Path]

    @property
    def rows(self) -> int:
        """Its rows."""
        return sum(segment.rows for segment in self.segments)

    def query(self, **wanted: Any) -> pb.RecordQuery:
        """A query of its records."""
        return pb.RecordQuery(dataset_id=self.id, **wanted)


@dataclass(frozen=True)
class Reader:
    """Reads over one channel."""

    server: Server
    channel: Any

    def arrow(self, query: pb.RecordQuery) -> Any:
        """A call of ReadArrow; its messages are bytes."""
        call = self.channel.unary_stream("/weir.v1.CollectionService/ReadArrow")
        return call(pb.ReadArrowRequest(query=query).SerializeToString(), metadata=self.server.metadata)

    def singles(self, query: pb.RecordQuery) -> Any:
        """A call of ReadRecords that gives a record a message."""
        call = self.channel.unary_stream("/weir.v1.CollectionService/ReadRecords")
        request = pb.ReadRecordsRequest(query=query, batch_size=1)
        return call(request.SerializeToString(), metadata=self.server.metadata)


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """All of it, a record a message, the first rows, one who goes, and filters."""
    ground = await site.ground()
    kept = await _kept(site, ground, size)
    # A server that has read nothing yet.
    async with ground.server() as server, channels(server.address, 1) as (channel,):
        reader = Reader(server, channel)
        async for line in _whole(site, reader, kept, size):
            yield line
        yield await _first(reader, kept)
        yield await _gone(reader, kept)
        middle = kept.rows // 2
        since, until = moment(middle), moment(middle + _TWO_DAYS)
        span = f"created_at >= {since} AND created_at < {until}"
        with site.bare("filter") as bare:
            yield await _filtered(
                reader, kept, bare, "one record", asked={"id": middle}, text=f"id = {middle}"
            )
            asked = {"since": since, "until": until}
            yield await _filtered(reader, kept, bare, "two days", asked=asked, text=span)


async def _kept(site: Site, ground: Ground, size: Size) -> Kept:
    worker = await ground.worker(SLOTS)
    with site.bare("source", str(size.pages), str(PER_PAGE)) as source:
        url = f"http://127.0.0.1:{(await asyncio.to_thread(source.said)).split()[1]}"
        collected = await web_collection(ground, "reading", url, "/rows", PAGE_NUMBERS)
        await collect(ground, worker, collected)
    await ground.rest()
    found = await ground.runtime.collecting.datasets.get(ground.caller, collected.dataset_id)
    async with ground.runtime.db.read() as tx:
        segments = await repository.visible_segments(tx, found.id, found.version)
    store = FolderStore(ground.runtime.settings.data_dir)
    return Kept(str(found.id), segments, [store.path(segment.path) for segment in segments])


async def _whole(site: Site, reader: Reader, kept: Kept, size: Size) -> AsyncIterator[Line]:
    program = reader.server.program
    async for _ in reader.arrow(kept.query(limit=PER_PAGE)):
        pass
    before = program.memory()
    with highest(program.memory) as peak:
        counts = [
            pb.ReadArrowResponse.FromString(message).row_count async for message in reader.arrow(kept.query())
        ]
        assert sum(counts) == kept.rows
        ours, bare = await _against_bare(site, reader, kept, max(counts), size.tries)
        grown = max(0, peak() - before)
    yield Line(
        f"ReadArrow, {kept.rows:,} rows, {max(counts):,} a message",
        str(ours),
        f"bare gRPC, same files {bare}",
        ours.rate / bare.rate,
        "at least 0.7",
    )
    yield Line("ReadArrow, memory of the server", f"{megabytes(grown)} more", "", goal="at most 64 MB more")
    count = min(size.singles, kept.rows)
    single = await _took(program, reader.singles(kept.query(limit=count)), count)
    yield Line(
        "ReadArrow, beside single rows",
        f"{ours.rate:,.0f} rows/s",
        f"ReadRecords, one a message {single}",
        ours.rate / single.rate,
        "at least 50",
    )


async def _against_bare(site: Site, reader: Reader, kept: Kept, count: int, tries: int) -> tuple[Took, Took]:
    """In turns with a server that sends the same files, so many rows a message."""
    ours: list[Took] = []
    theirs: list[Took] = []
    asked = orjson.dumps({"files": [str(path) for path in kept.files], "rows": count})
    with site.bare("serve") as bare:
        async with channels(f"127.0.0.1:{bare.said().split()[1]}", 1) as (channel,):
            batches = channel.unary_stream("/bare/Batches")
            for _ in range(tries):
                theirs.append(await _took(bare, batches(asked), kept.rows))
                ours.append(await _took(reader.server.program, reader.arrow(kept.query()), kept.rows))
    return best(ours), best(theirs)


async def _took(program: Program, call: Any, rows: int) -> Took:
    cpu, began = program.cpu(), time.perf_counter()
    async for _ in call:
        pass
    return Took(rows, time.perf_counter() - began, program.cpu() - cpu)


async def _first(reader: Reader, kept: Kept) -> Line:
    """From the call to its first rows; the message before them has the schema."""
    waits: list[float] = []
    for _ in range(_LOOKS):
        began = time.perf_counter()
        call = reader.arrow(kept.query())
        await call.read()
        await call.read()
        waits.append(time.perf_counter() - began)
        call.cancel()
    shown = f"{milliseconds(min(waits))}, slowest {milliseconds(max(waits))}"
    return Line("ReadArrow, first rows", shown, "", goal="within 50 ms")


async def _gone(reader: Reader, kept: Kept) -> Line:
    """What the server still does for one who reads two messages and goes, and one who reads no more."""
    program = reader.server.program
    cpu = program.cpu()
    call = reader.arrow(kept.query())
    await call.read()
    await call.read()
    call.cancel()
    stalled = reader.arrow(kept.query())
    await stalled.read()
    await asyncio.sleep(_GONE_SECONDS)
    used = program.cpu() - cpu
    stalled.cancel()
    whole = await _took(program, reader.arrow(kept.query()), kept.rows)
    return Line(
        "ReadArrow, one goes, one stands still",
        f"{milliseconds(used)} CPU",
        f"all the rows {milliseconds(whole.cpu)} CPU",
        used / whole.cpu,
    )


async def _filtered(
    reader: Reader, kept: Kept, bare: Program, what: str, *, asked: Mapping[str, Any], text: str
) -> Line:
    times: list[float] = []
    theirs: list[float] = []
    line = orjson.dumps({"files": [str(path) for path in kept.files], **asked}).decode()
    rows = 0
    for _ in range(_LOOKS):
        bare.tell(line)
        seconds, rows = bare.said().split()
        theirs.append(float(seconds))
        began = time.perf_counter()
        messages = [message async for message in reader.arrow(kept.query(filter=text))]
        times.append(time.perf_counter() - began)
        got = sum(pb.ReadArrowResponse.FromString(message).row_count for message in messages)
        assert got == int(rows), (got, rows)
    needed = await _needed(reader, kept, text, int(rows))
    return Line(
        f"ReadArrow, {what} of {kept.rows:,}",
        f"{milliseconds(min(times))}, {needed} of {len(kept.files)} files",
        f"bare pyarrow {milliseconds(min(theirs))}",
        min(times) / min(theirs),
        "at most 2",
    )


async def _needed(reader: Reader, kept: Kept, text: str, rows: int) -> int:
    """How many files the filter needs: those without which it does not give its rows."""
    needed = 0
    for path in kept.files:
        with _away(path):
            try:
                got = [message async for message in reader.arrow(kept.query(filter=text))]
            except Exception:  # noqa: BLE001 - what it says is not what is measured
                needed += 1
            else:
                assert sum(pb.ReadArrowResponse.FromString(one).row_count for one in got) == rows
    return needed


@contextmanager
def _away(path: Path) -> Generator[None]:
    aside = path.with_suffix(".away")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)

"""Collecting from a web API into Parquet, beside the shortest way there is, and dlt."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.bench import dlt_side
from tests.bench.report import Line, megabytes
from tests.bench.rows import bad_among
from tests.bench.runs import (
    NEXT_LINK,
    PAGE_NUMBERS,
    Took,
    best,
    collect,
    highest,
    web_collection,
)
from tests.bench.site import PER_PAGE, SLOTS, Ground, Program, Site, Size
from weir_workers.packs import BUILTIN

_LARGE = 4


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """By page numbers, by next links, with bad records; then the memory of many more rows."""
    ground = await site.ground()
    worker = await ground.worker(SLOTS, BUILTIN)
    with site.bare("source", str(size.pages), str(PER_PAGE)) as source:
        url = await _address(source)
        found = await _tries(site, ground, worker, url, size)
        optimum, clean = best(found["optimum"]), best(found["page"])
        rows = f"{clean.rows:,} rows"
        yield _line(f"HTTP by page numbers, {rows}", clean, optimum, "at least 0.60")
        yield _line(f"HTTP by next links, {rows}", best(found["next"]), optimum, "at least 0.45")
        bad = best(found["bad"])
        what = f"HTTP, {bad_among(size.pages, PER_PAGE):,} bad among {rows}"
        yield Line(what, str(bad), f"all good {clean}", bad.rate / clean.rate, "at least 0.7")
        if records := min(size.dlt, size.records):
            yield await _dlt(site, url, records, clean)
    for times in (1, _LARGE):
        yield await _memory(site, ground, times * size.pages)


def _line(what: str, ours: Took, optimum: Took, goal: str) -> Line:
    return Line(what, str(ours), f"by hand, page numbers {optimum}", ours.rate / optimum.rate, goal)


async def _address(source: Program) -> str:
    return f"http://127.0.0.1:{(await asyncio.to_thread(source.said)).split()[1]}"


async def _tries(site: Site, ground: Ground, worker: Program, url: str, size: Size) -> dict[str, list[Took]]:
    """Each way in turn, again and again."""
    ways = {
        "page": await web_collection(ground, "page", url, "/rows", PAGE_NUMBERS),
        "next": await web_collection(ground, "next", url, "/rows", NEXT_LINK),
        "bad": await web_collection(ground, "bad", url, "/bad", PAGE_NUMBERS),
    }
    found: dict[str, list[Took]] = {name: [] for name in ("optimum", *ways)}
    for _ in range(size.tries):
        found["optimum"].append(await _by_hand(site, f"{url}/rows", size.pages))
        for name, way in ways.items():
            found[name].append(await collect(ground, worker, way))
    return found


async def _by_hand(site: Site, url: str, pages: int) -> Took:
    with (
        tempfile.TemporaryDirectory(dir=site.folder) as folder,
        site.bare("collect", url, str(pages), folder) as bare,
    ):
        seconds, cpu = map(float, (await asyncio.to_thread(bare.said)).split())
    return Took(pages * PER_PAGE, seconds, cpu)


async def _dlt(site: Site, url: str, records: int, ours: Took) -> Line:
    what = f"the same by dlt, {records:,} rows"
    if (missing := await asyncio.to_thread(dlt_side.install)) is not None:
        return Line(what, str(ours), f"dlt is not there: {missing}")
    with tempfile.TemporaryDirectory(dir=site.folder) as folder:
        seconds, cpu, version = await asyncio.to_thread(dlt_side.run, url, records // PER_PAGE, Path(folder))
    took = Took(records, seconds, cpu)
    return Line(what, str(ours), f"dlt {version} {took}", ours.rate / took.rate)


async def _memory(site: Site, ground: Ground, pages: int) -> Line:
    """In a worker that has done nothing before."""
    await ground.rest()
    worker = await ground.worker(SLOTS, BUILTIN)
    with site.bare("source", str(pages), str(PER_PAGE)) as source:
        url = await _address(source)
        collected = await web_collection(ground, f"memory-{pages}", url, "/rows", PAGE_NUMBERS)
        with highest(worker.family_memory) as peak:
            took = await collect(ground, worker, collected)
        return Line(
            f"HTTP, memory of the worker, {took.rows:,} rows",
            f"peak {megabytes(peak())}",
            f"after it {megabytes(worker.family_memory())}",
            goal="at most 300 MB",
        )

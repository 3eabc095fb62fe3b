"""Orders of pages against sources of any behaviour: no record twice, none left out, from any position."""

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from weir_workers.connectors.pages import Loaded, Steps, linked, numbered
from weir_workers.connectors.records import Page


def loaded(records: list[int], following: Any = None, total: int | None = None) -> Loaded:
    rows = pa.RecordBatch.from_pylist([{"id": n} for n in records], pa.schema([("id", pa.int64())]))
    parsed: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
    parsed.set_result(Page(rows, (), len(records)))
    return Loaded(parsed, b"", following, total)


async def walked(turns: Any) -> tuple[list[list[int]], list[Any]]:
    """Records by page, and the positions after them."""
    pages: list[list[int]] = []
    positions: list[Any] = []
    async for turn in turns:
        pages.append(turn.page.rows.column("id").to_pylist())
        positions.append(turn.after)
    return pages, positions


def all_ways(open_turns: Callable[[Any], Any], records: int) -> None:
    """Walk it whole, and on from each position."""

    async def walk() -> None:
        pages, positions = await walked(open_turns({}))
        assert list(chain.from_iterable(pages)) == list(range(records))
        for number, position in enumerate(positions, 1):
            rest = [] if position.get("done") else (await walked(open_turns(position)))[0]
            assert list(chain.from_iterable(pages[:number] + rest)) == list(range(records))

    asyncio.run(walk())


@settings(deadline=None)
@given(
    records=st.integers(0, 60),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=7),
    asked=st.integers(1, 9),
    in_flight=st.integers(1, 5),
    start=st.integers(0, 1),
    told=st.booleans(),
)
def test_offsets(
    *, records: int, sizes: list[int], asked: int, in_flight: int, start: int, told: bool
) -> None:
    """A source that gives at an offset as many as it likes, and may tell how many there are."""

    async def load(offset: int, _: int) -> Loaded:
        await asyncio.sleep(0)
        at = offset - start
        most = min(asked, sizes[at % len(sizes)])
        return loaded(list(range(records))[at : at + most], total=records if told else None)

    steps = Steps(
        name="offset",
        start=start,
        in_flight=in_flight,
        page_size=asked,
        short_page_ends=False,
        not_found_ends=False,
        by_records=True,
    )
    all_ways(lambda at: numbered(load, steps, at, 1), records)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.booleans())
def test_links(sizes: list[int], ahead: bool) -> None:
    """A source whose pages have as many records as they like, none too."""
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]

    async def load(mark: Any, _: int) -> Loaded:
        await asyncio.sleep(0)
        number = mark or 0
        records = list(range(ends[number] - sizes[number], ends[number]))
        return loaded(records, number + 1 if number + 1 < len(sizes) else None)

    all_ways(lambda at: linked(load, None, at, 1, ahead=ahead), ends[-1])

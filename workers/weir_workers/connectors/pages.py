"""In which order pages are asked for: ahead of the reader, handed over in order.

A page is asked for and taken apart before its turn, so that the network and the
parser work while the reader writes. How far ahead is bounded. Who closes the
iterator early cancels what is still under way.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from weir_core.datasets.commits import Position
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.records import Page

DONE: Position = {"done": True}
# Of longer circles the bound of pages makes an end.
_MOST_PASSED = 100_000


class SamePageAgain(Exception):
    """The source leads back to a page that was read."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A page that came; its parsing goes on in a thread."""

    parsed: Awaitable[Page]
    digest: bytes
    """Of the list of records: two neighbours with the same one are suspicious."""
    following: Any = None
    """What leads to the next page, as JSON; None at the end."""
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A page in its turn, and where to go on after it."""

    page: Page | None
    """None: nothing was read, but what lies before is done."""
    digest: bytes
    after: Position
    ordinal: int
    """Of the page, from 1."""


@dataclass(frozen=True, slots=True)
class Steps:
    """How pages at numbers go on and end."""

    name: str
    """Of the number in a position."""
    start: int
    in_flight: int
    page_size: int
    short_page_ends: bool
    not_found_ends: bool
    by_records: bool
    """The number of the next page: False: one more; True: as many more as the page has records."""


Tasks = deque[asyncio.Task[Loaded]]
Load = Callable[[Any, int], Coroutine[Any, Any, Loaded]]
"""Loads the page at a number, link or cursor; the second is its ordinal."""


async def numbered(load: Load, steps: Steps, at: Position, ordinal: int) -> AsyncGenerator[Turn]:
    """Pages at numbers until one is empty, or until the total came; `ordinal` is that of the first."""
    number: int = at.get(steps.name, steps.start)
    seen: int = at.get("seen", 0)
    stride, reach = (steps.page_size if steps.by_records else 1), 1
    async with _cancelled_at_end() as ahead:
        while True:
            while len(ahead) < reach:
                place = len(ahead)
                ahead.append(asyncio.create_task(load(number + place * stride, ordinal + place)))
            loaded = await _unless_past_end(
                ahead.popleft(), not_found_ends=steps.not_found_ends and number > steps.start
            )
            page = await loaded.parsed if loaded is not None else None
            if loaded is None or page is None or page.records == 0:
                return
            step = page.records if steps.by_records else 1
            number, seen, reach = number + step, seen + page.records, steps.in_flight
            if step != stride:
                # The source goes in steps of its own: what was asked for ahead stands elsewhere.
                await _drop(ahead)
                stride, reach = step, 1
            yield Turn(page, loaded.digest, {steps.name: number, "seen": seen}, ordinal)
            ordinal += 1
            if steps.short_page_ends and page.records < steps.page_size:
                return
            if loaded.total is not None:
                # The first page goes alone; from then on no page past the total is asked for.
                reach = min(reach, -(-(loaded.total - seen) // page.records))
                if reach <= 0:
                    return


async def linked(load: Load, start: Any, at: Position, ordinal: int, *, ahead: bool) -> AsyncGenerator[Turn]:
    """Pages each of which leads to the next; with `ahead` that is asked for before this one is parsed."""
    mark: Any = at.get("next", start)
    passed = {hash(repr(mark))}
    async with _cancelled_at_end() as tasks:
        tasks.append(asyncio.create_task(load(mark, ordinal)))
        while tasks:
            loaded = await tasks.popleft()
            mark = loaded.following
            if mark is not None:
                _note(mark, passed)
                if ahead:
                    tasks.append(asyncio.create_task(load(mark, ordinal + 1)))
            yield Turn(await loaded.parsed, loaded.digest, DONE if mark is None else {"next": mark}, ordinal)
            ordinal += 1
            if mark is not None and not ahead:
                tasks.append(asyncio.create_task(load(mark, ordinal)))


async def listed(
    load: Load, places: Iterable[tuple[Any, Position]], ordinal: int, in_flight: int
) -> AsyncGenerator[Turn]:
    """Pages at places that are known, each with the position after it."""
    coming, reach = iter(places), 1
    afters: deque[Position] = deque()
    async with _cancelled_at_end() as ahead:
        while True:
            for place, after in itertools.islice(coming, reach - len(ahead)):
                ahead.append(asyncio.create_task(load(place, ordinal + len(ahead))))
                afters.append(after)
            if not ahead:
                return
            loaded = await ahead.popleft()
            yield Turn(await loaded.parsed, loaded.digest, afters.popleft(), ordinal)
            # The first page goes alone: it may be the one that shows the columns.
            ordinal, reach = ordinal + 1, in_flight


def _note(mark: Any, passed: set[int]) -> None:
    if len(passed) >= _MOST_PASSED:
        passed.clear()
    told = hash(repr(mark))
    if told in passed:
        raise SamePageAgain
    passed.add(told)


async def _unless_past_end(task: asyncio.Task[Loaded], *, not_found_ends: bool) -> Loaded | None:
    try:
        return await task
    except SourceError as error:
        if not_found_ends and error.status == HTTPStatus.NOT_FOUND:
            return None
        raise


@asynccontextmanager
async def _cancelled_at_end() -> AsyncGenerator[Tasks]:
    ahead: Tasks = deque()
    try:
        yield ahead
    finally:
        await _drop(ahead)


async def _drop(ahead: Tasks) -> None:
    for task in ahead:
        task.cancel()
    await asyncio.gather(*ahead, return_exceptions=True)
    ahead.clear()

"""In which order pages are asked for: ahead of the reader, handed over in order.

A page is asked for and taken apart before its turn, so that the network and the
parser work while the reader writes. How far ahead is bounded. Who closes the
iterator early cancels what is still under way.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from yarl import URL

from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.records import Page


@dataclass(frozen=True, slots=True)
class Loaded:
    """A page that came; its parsing goes on in a thread."""

    parsed: Awaitable[Page]
    digest: bytes
    """Of the list of records: two neighbours with the same one are suspicious."""
    link: URL | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A page in its turn, and what comes after it."""

    number: int
    page: Page
    digest: bytes
    link: URL | None
    """For pages that name the next: where that is; None at the end."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """How numbered pages go on and end."""

    start: int
    in_flight: int
    page_size: int
    short_page_ends: bool
    not_found_ends: bool


Tasks = deque[asyncio.Task[Loaded]]


async def numbered(
    load: Callable[[int], Coroutine[Any, Any, Loaded]], rules: Numbering, first: int, seen: int
) -> AsyncGenerator[Turn]:
    """Pages by number until one is empty, or until the total came. `seen` records came before."""
    number, reach = first, 1
    async with _cancelled_at_end() as ahead:
        while True:
            while len(ahead) < reach:
                ahead.append(asyncio.create_task(load(number + len(ahead))))
            loaded = await _unless_past_end(
                ahead.popleft(), not_found_ends=rules.not_found_ends and number > rules.start
            )
            page = await loaded.parsed if loaded is not None else None
            if loaded is None or page is None or page.records == 0:
                return
            yield Turn(number, page, loaded.digest, None)
            number, seen = number + 1, seen + page.records
            if rules.short_page_ends and page.records < rules.page_size:
                return
            reach = rules.in_flight
            if loaded.total is not None:
                # The first page goes alone; from then on no page past the total is asked for.
                reach = min(reach, -(-(loaded.total - seen) // page.records))
                if reach <= 0:
                    return


async def linked(
    load: Callable[[URL, int], Coroutine[Any, Any, Loaded]], url: URL, first: int, *, eager: bool = True
) -> AsyncGenerator[Turn]:
    """Pages each of which names the next; the next one is asked for before this one is parsed.

    Without `eager` only when the reader comes back for it.
    """
    number = first
    async with _cancelled_at_end() as ahead:
        ahead.append(asyncio.create_task(load(url, number)))
        while ahead:
            loaded = await ahead.popleft()
            if loaded.link is not None and eager:
                ahead.append(asyncio.create_task(load(loaded.link, number + 1)))
            yield Turn(number, await loaded.parsed, loaded.digest, loaded.link)
            if loaded.link is not None and not eager:
                ahead.append(asyncio.create_task(load(loaded.link, number + 1)))
            number += 1


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
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)

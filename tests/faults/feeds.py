"""A source over HTTP that misbehaves on a fifth of its pages, and knows what it has sent."""

import asyncio
import json
import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from aiohttp import web

import weir
from tests.fixtures.http_source import Fault, cut_short, status
from weir.types import Collection, SyncMode

PAGE: Final = 10
IN_FLIGHT: Final = 2
"""Pages that a run asks for ahead."""
_TROUBLED: Final = 0.2
_BAD: Final = 0.3
_LATENCY: Final = 0.12
_SLOW: Final = 0.6
_COLUMNS: Final = {"id": "int64", "at": "int64", "count": "int64", "name": "string"}


class Served(Protocol):
    """What answers requests, and knows where."""

    url: str

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The answer."""
        ...


async def _slow(request: web.Request, body: bytes) -> web.StreamResponse:
    """Sends one half of the body, and the other a while later."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    await asyncio.sleep(_SLOW)
    await response.write(body[len(body) // 2 :])
    return response


_FAULTS: Final[dict[str, Fault]] = {
    "429": status(429),
    "429 with Retry-After": status(429, Retry_After="1"),
    "500": status(500),
    "cut": cut_short,
    "slow": _slow,
}


class Page(NamedTuple):
    """A page of a round of growth: from which cursor on, and its number."""

    round: int
    since: int
    number: int


@dataclass
class Feed:
    """Records in the order of `at`, which grows by one each; a bad one has words for its count."""

    mode: SyncMode.ValueType
    chance: random.Random
    url: str = ""
    records: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    asked: list[tuple[float, Page]] = field(default_factory=list[tuple[float, Page]])
    """When a page was asked for, by the steady clock."""
    faults: Counter[str] = field(default_factory=Counter[str])
    rounds: int = 0
    troubled: int = 0
    """Pages that did not answer well at once."""
    _at: int = 0
    _fresh: int = 0
    _trouble: dict[Page, list[str]] = field(default_factory=dict[Page, list[str]])

    @property
    def name(self) -> str:
        """The mode's, in small."""
        return SyncMode.Name(self.mode).removeprefix("SYNC_MODE_").lower()

    @property
    def by_cursor(self) -> bool:
        """True where a run reads what has come since the one before."""
        return self.mode != SyncMode.SYNC_MODE_FULL

    def grow(self, pages: int) -> None:
        """Have so many pages more, or others where runs read everything; one in ten records may be bad.

        Where records are merged, every second one is a newer one of a key that was there.
        """
        self.rounds += 1
        if not self.by_cursor:
            self.records = []
        self._fresh = len(self.records)
        for number in range(pages * PAGE):
            self._at += 1
            again = self.mode == SyncMode.SYNC_MODE_MERGE and self.records and self.chance.random() < 0.5
            key = self.chance.choice(self.records)["id"] if again else self._at
            # The last one is good: what is at the cursor is asked for again by the next run.
            bad = number % 10 == 3 and self.chance.random() < _BAD
            count: Any = "many" if bad else self.chance.randrange(1000)
            self.records.append({"id": key, "at": self._at, "count": count, "name": f"record {self._at}"})

    def shown(self) -> dict[int, dict[str, Any]]:
        """What the dataset must show, by key."""
        return {record["id"]: record for record in self.records if _fits(record)}

    def bad(self, *, fresh: bool = False) -> int:
        """How many records do not fit, of all or of the last round's."""
        return sum(not _fits(record) for record in self.records[self._fresh if fresh else 0 :])

    def fresh(self) -> int:
        """How many records the last round brought."""
        return len(self.records) - self._fresh

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer for a page, or do otherwise."""
        since, number = int(request.query.get("since", 0)), int(request.query["page"])
        page = Page(self.rounds, since, number)
        self.asked.append((time.monotonic(), page))
        first = bisect_left(self.records, since, key=lambda record: record["at"])
        records = self.records[first + (number - 1) * PAGE : first + number * PAGE]
        body = json.dumps({"total": len(self.records) - first, "results": records}).encode()
        await asyncio.sleep(_LATENCY)
        trouble = self._trouble[page] if page in self._trouble else self._chosen(page)
        if not trouble:
            return web.Response(body=body, content_type="application/json")
        kind = trouble.pop()
        self.faults[kind] += 1
        try:
            return await _FAULTS[kind](request, body)
        except ConnectionError:
            # Who asked was killed meanwhile.
            return web.Response()

    def _chosen(self, page: Page) -> list[str]:
        """What goes wrong with a page, one request after the other."""
        troubled = self.chance.random() < _TROUBLED
        chosen = self.chance.choices(list(_FAULTS), k=self.chance.randint(1, 2)) if troubled else []
        self.troubled += troubled
        self._trouble[page] = chosen
        return chosen

    @property
    def pages(self) -> int:
        """How many pages were asked for, each counted once."""
        return len(self._trouble)


def _fits(record: dict[str, Any]) -> bool:
    return isinstance(record["count"], int)


@asynccontextmanager
async def served(sources: Sequence[Served], path: str = "/records") -> AsyncGenerator[None]:
    """Serve each source on a port of its own, and tell it the URL."""
    runners: list[web.AppRunner] = []
    try:
        for source in sources:
            app = web.Application()
            app.router.add_get(path, source.serve)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            source.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


async def collection_of(client: weir.AsyncClient, feed: Feed) -> Collection:
    """A collection that reads a feed, over a connection of its own."""
    connection = await client.collections.create_connection(
        name=f"{feed.name}-feed",
        connector="http",
        settings={"base_url": feed.url},
        allow_private_addresses=True,
    )
    settings: dict[str, Any] = {
        "path": "/records",
        "records_path": "results",
        "pagination": {"kind": "page", "page_size": PAGE, "total_path": "total", "in_flight": IN_FLIGHT},
        "columns": [
            {"name": name, "type": kind, "nullable": kind == "string"} for name, kind in _COLUMNS.items()
        ],
    }
    made = await client.collections.create_collection(
        name=feed.name,
        connection_id=connection.connection.id,
        mode=feed.mode,
        cursor_field="at" if feed.by_cursor else "",
        key_fields=["id"] if feed.mode == SyncMode.SYNC_MODE_MERGE else [],
        settings=settings | ({"cursor_param": "since"} if feed.by_cursor else {}),
    )
    return made.collection

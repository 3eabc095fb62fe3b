"""Reads all of a source and keeps what came, for tests."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tests.fixtures.http_source import HttpSource
from weir_core.datasets.commits import Counts, Position, Reject
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Drift,
    Partition,
    Said,
    Source,
    Unchanged,
    Wanted,
)
from weir_workers.connectors.http import HttpConnector
from weir_workers.connectors.retry import RetryPolicy

NUMBERED: dict[str, Any] = {
    "path": "/numbered",
    "records_path": "results",
    "pagination": {"kind": "page", "page_size": 10},
}
LINKED = {
    "path": "/linked",
    "records_path": "data.items",
    "pagination": {"kind": "next_link", "next_path": "paging.next"},
}
HEADER = {"path": "/header", "pagination": {"kind": "next_link"}}
PLAIN = {"path": "/plain"}


@dataclass
class Waits:
    """Stands for the time between requests: remembers the waits, and does not wait."""

    seconds: list[float] = field(default_factory=list[float])
    _ahead: float = 0.0

    def now(self) -> float:
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._ahead += seconds
        await asyncio.sleep(0)


@dataclass
class Got:
    """What a reading gave."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    rejects: list[Reject] = field(default_factory=list[Reject])
    drift: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    positions: list[Position] = field(default_factory=list[Position])
    rows_at: list[int] = field(default_factory=list[int])
    """Number of rows that had come at each position."""
    schema: pa.Schema | None = None
    counts: Counts = field(default_factory=Counts)

    def ids(self) -> list[int]:
        return [row["id"] for row in self.rows]


def source_at(http_source: HttpSource, secrets: Mapping[str, str] | None = None, **settings: Any) -> Source:
    """A connection to the source."""
    return Source({"base_url": http_source.url, **settings}, secrets or {}, allow_private=True)


def quick(waits: Waits | None = None, tries: int = 6) -> HttpConnector:
    """A connector that does not wait between tries."""
    return HttpConnector(RetryPolicy(tries=tries), waits or Waits())


async def read(
    source: Source,
    wanted: Wanted | dict[str, Any],
    position: Position | None = None,
    connector: HttpConnector | None = None,
) -> Got:
    """Reads from a position to the end."""
    got = Got()
    asked = wanted if isinstance(wanted, Wanted) else Wanted(wanted)
    async with aclosing((connector or quick()).read(source, asked, Partition(), position)) as items:
        async for item in items:
            match item:
                case Batch():
                    got.rows += item.records.to_pylist()
                    got.schema = item.records.schema
                case Reject():
                    got.rejects.append(item)
                case Drift():
                    got.drift.append(item.fields)
                case Checkpoint() | Said() | Unchanged():
                    pass
            if isinstance(item, Batch | Checkpoint):
                got.positions.append(item.position)
                got.rows_at.append(len(got.rows))
                got.counts += item.counts
    return got

"""Merging and filling back, by the real handler against a table that changes behind an API."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import Engine, person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import Asked, HttpSource
from weir_core.collections.models import Collection, Span, SyncMode
from weir_core.tasks.states import TaskState
from weir_workers.tasks.compaction import CompactOutput

LAG = timedelta(minutes=10)
COLUMNS = [
    {"name": "id", "type": "int64"},
    {"name": "at", "type": "timestamp[us, tz=UTC]"},
    {"name": "value", "type": "string"},
    {"name": "deleted", "type": "bool"},
]
SETTINGS: dict[str, Any] = {
    "path": "/table",
    "until_param": "until",
    "pagination": {"kind": "page", "page_size": 10, "total_path": "total"},
    "columns": COLUMNS,
}


class Table:
    """Rows of a source, which commits some of them late."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.rows: dict[int, dict[str, Any]] = {}

    def change(self, count: int) -> None:
        """New rows and changed ones; a third of them seem to be up to a lag old."""
        self.now += timedelta(minutes=self.chance.randint(1, 30))
        for _ in range(count):
            key = self.chance.randint(0, 60)
            late = self.chance.choice([0, 0, self.chance.uniform(0, 599)])
            at = max(self.now - timedelta(seconds=late), self.last(key))
            self.rows[key] = {
                "id": key,
                "at": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "value": f"{self.chance.random()}",
                "deleted": self.chance.random() < 0.1,
            }

    def last(self, key: int) -> datetime:
        row = self.rows.get(key)
        return datetime.fromisoformat(row["at"]) if row else datetime.min.replace(tzinfo=UTC)

    def page(self, asked: Asked) -> Any:
        since, until = asked.query.get("since", ""), asked.query.get("until", "9999")
        found = sorted(
            (row for row in self.rows.values() if since <= row["at"] < until), key=lambda row: row["at"]
        )
        at = (int(asked.query["page"]) - 1) * 10
        return {"results": found[at : at + 10], "total": len(found)}

    def shown(self) -> dict[int, str]:
        return {key: row["value"] for key, row in self.rows.items() if not row["deleted"]}


@pytest.fixture
async def hands(engine: Engine) -> Hands:
    runtime = await engine.another(segment_rows=60, compact_after=2)
    made = Hands(runtime, person(everywhere=set(EDITOR_RIGHTS)))
    await made.register()
    return made


async def merged(hands: Hands, source: HttpSource, table: Table) -> Collection:
    source.apis["/table"] = table.page
    fields = {"key_fields": ("id",), "cursor_field": "at", "deleted_field": "deleted", "lag": LAG}
    return await hands.collection(source.url, SyncMode.MERGE, fields=fields, **SETTINGS)


async def shown(hands: Hands, collection: Collection) -> dict[int, str]:
    rows = await hands.rows(collection.dataset_id)
    assert len({row["id"] for row in rows}) == len(rows), "a key is there twice"
    return {row["id"]: row["value"] for row in rows}


@pytest.mark.parametrize("seed", [1, 2])
async def test_after_twenty_runs_the_dataset_is_what_the_source_shows_though_it_commits_late_and_is_compacted(
    hands: Hands, http_source: HttpSource, seed: int
):
    table = Table(seed)
    collection = await merged(hands, http_source, table)
    compacted: list[CompactOutput] = []
    for _ in range(20):
        table.change(table.chance.randint(0, 25))
        await hands.work(await hands.start(collection))
        compacted += await hands.upkeep()
        assert await shown(hands, collection) == table.shown()
    assert len(compacted) > 2
    assert all(each.replaced > each.made and not each.left for each in compacted)
    dataset = await hands.runtime.collecting.datasets.get(hands.caller, collection.dataset_id)
    assert dataset.record_count == len(table.shown())


async def test_a_backfill_beside_live_runs_is_never_half_seen(hands: Hands, http_source: HttpSource):
    table = Table(3)
    collection = await merged(hands, http_source, table)
    for _ in range(8):
        table.change(12)
    await hands.work(await hands.start(collection))
    # What was changed without a new time is found by a backfill alone.
    for row in table.rows.values():
        row["value"] = f"again {row['value']}"
    newest = max(row["at"] for row in table.rows.values())
    gate, begun = asyncio.Event(), asyncio.Event()

    async def page(asked: Asked) -> Any:
        if "until" in asked.query and asked.query["page"] == "3":
            begun.set()
            await gate.wait()
        return table.page(asked)

    http_source.apis["/table"] = page
    fill = await hands.start(collection, backfill=Span("2025-01-01T00:00:00Z", newest))
    filling = asyncio.create_task(hands.attempt(fill))
    await begun.wait()
    table.change(6)
    await hands.work(await hands.start(collection))
    reread = {key for key in table.rows if table.now - table.last(key) <= 2 * LAG}
    seen = await shown(hands, collection)
    assert len(seen.keys() - reread) > 10
    assert [value for key, value in seen.items() if key not in reread and value.startswith("again")] == []
    gate.set()
    await filling
    await hands.leave(fill, TaskState.SUCCEEDED)
    assert await shown(hands, collection) == table.shown()

"""ListTasks in a large table: what each page costs, deep ones and rare values included, on MariaDB."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import event, text

from tests.bench.clients import known_type, store
from tests.bench.driver import Driver, Row, open_driver, stored
from tests.bench.report import Line, median, milliseconds
from tests.bench.site import Ground, Site, Size
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import Caller

_PAGE = 10
_DEEP = 9000
_REPEATS = 20
_BATCH = 20_000
_COMMON, _RARE = new_id(), new_id()
_RARE_ROWS = 20

_FILTERS = {
    "state, common": "state = SUCCEEDED",
    "state, rare": "state = CANCELLED",
    "state, none": "state = CANCELLING",
    "type, common": 'type = "bench.common"',
    "type, rare": 'type = "bench.rare"',
    "queue, rare": 'queue = "rare"',
    "creator, common": f'creator.id = "{_COMMON}"',
    "creator, rare": f'creator.id = "{_RARE}"',
    "state and type, common": 'state = SUCCEEDED AND type = "bench.common"',
    "state rare, type common": 'state = CANCELLED AND type = "bench.common"',
    "state common, type rare": 'state = SUCCEEDED AND type = "bench.rare"',
    "state and type, rare": 'state = CANCELLED AND type = "bench.rare"',
    "state rare, creator common": f'state = CANCELLED AND creator.id = "{_COMMON}"',
    "label, common": 'labels.team = "data"',
    "label, rare": 'labels.team = "rare"',
    "label common, state rare": 'labels.team = "data" AND state = CANCELLED',
    "label rare, state common": 'labels.team = "rare" AND state = SUCCEEDED',
    "fingerprint, common": "failure.fingerprint = c0ffee",
    "fingerprint, rare": "failure.fingerprint = dead10cc",
    "created lately": 'create_time > "2100-01-01T00:00:00Z"',
    "two states, rare": "state = CANCELLED OR state = CANCELLING",
}


@dataclass
class Read:
    """How one page was read."""

    seconds: list[float] = field(default_factory=list[float])
    tasks: int = 0
    rows: float = 0
    plan: str = ""


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """Fill the table, then read pages."""
    ground = await site.ground()
    async with open_driver(ground.environment["WEIR_DATABASE_URL"]) as driver:
        await _fill(ground, driver, size.rows)
    pages = min(_DEEP, size.rows // _PAGE - 1)
    deep = Page(_PAGE, [str(await _key_at(ground, pages * _PAGE))])
    who = {
        "all projects": ground.caller,
        "one project": Caller(ground.caller.principal, {"default": frozenset({"tasks.*"})}),
    }
    for name, caller in who.items():
        first, further = await _read(ground, caller, "", Page(_PAGE), deep)
        yield _line(f"first page, {name}", first)
        yield _line(f"page {pages:,}, {name}", further, first)
        for title, wanted in _FILTERS.items():
            if "common" in title:
                first, further = await _read(ground, caller, wanted, Page(_PAGE), deep)
                yield _line(f"{title}, {name}", first)
                yield _line(f"{title}, deep, {name}", further, first)
            else:
                [first] = await _read(ground, caller, wanted, Page(_PAGE))
                yield _line(f"{title}, {name}", first)


def _line(what: str, read: Read, first: Read | None = None) -> Line:
    ours = f"{milliseconds(median(read.seconds))}, {read.rows:,.0f} rows read"
    told = f"{read.tasks} tasks; {read.plan}"
    if first is None:
        return Line(what, ours, told)
    return Line(what, ours, told, median(read.seconds) / median(first.seconds), "at most 1.3")


async def _fill(ground: Ground, driver: Driver, count: int) -> None:
    """Tasks that have ended; the rare ones are the oldest, where who reads from the newest comes last."""
    [made] = await store(ground, await known_type(ground), [{"tell": ""}])
    pattern = await driver.pattern(made.id.bytes)
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        rows = [_row(pattern, number) for number in numbers]
        await driver.insert_many(rows)
        labels = [_label(row["id"], number) for row, number in zip(rows, numbers, strict=True)]
        await driver.insert_many(labels, "task_label")
    async with ground.runtime.db.read() as tx:
        await tx.execute(text("ANALYZE TABLE task, task_label"))


def _row(pattern: Row, number: int) -> Row:
    rare = number < _RARE_ROWS
    changed: dict[str, Any] = {
        "state": 7 if number % 2 and number < 2 * _RARE_ROWS else 6 if number % 100 == 0 else 5,
        "type": "bench.rare" if rare else "bench.common",
        "queue": "rare" if rare else "default",
        "creator_id": (_RARE if rare else _COMMON).bytes,
        "project": "default" if number % 4 else "other",
        "fingerprint": "dead10cc" if rare else "c0ffee" if number % 100 == 0 else None,
    }
    return stored(pattern, new_id().bytes, **changed)


def _label(task_id: bytes, number: int) -> Row:
    return {"name": "team", "value": "rare" if number < _RARE_ROWS else "data", "task_id": task_id}


async def _key_at(ground: Ground, place: int) -> UUID:
    query = text(f"SELECT id FROM task ORDER BY id DESC LIMIT 1 OFFSET {place}")
    async with ground.runtime.db.read() as tx:
        return UUID(bytes=(await tx.execute(query)).scalar_one())


async def _read(ground: Ground, caller: Caller, wanted: str, *pages: Page) -> list[Read]:
    """Each page's reads, in turns: what the machine does meanwhile is shared."""
    reads = [await _plan(ground, caller, wanted, page) for page in pages]
    for _ in range(_REPEATS):
        for read, page in zip(reads, pages, strict=True):
            began = time.perf_counter()
            await ground.runtime.tasks.list_tasks(caller, page, wanted)
            read.seconds.append(time.perf_counter() - began)
    return reads


async def _plan(ground: Ground, caller: Caller, wanted: str, page: Page) -> Read:
    read = Read()
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("EXPLAIN"):
            statements.append((statement, parameters))

    engine = ground.runtime.db._reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        found = await ground.runtime.tasks.list_tasks(caller, page, wanted)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    read.tasks = min(len(found), page.size)
    for statement, parameters in statements:
        await _analyze(ground, statement, parameters, read)
    return read


async def _analyze(ground: Ground, statement: str, parameters: Any, read: Read) -> None:
    """What MariaDB did for a statement: by which index, and how many rows it looked at."""
    async with ground.runtime.db.read() as tx:
        for step in (await tx.exec_driver_sql(f"ANALYZE {statement}", parameters)).mappings():
            # With a filter by row id: "10.00 (50%)".
            read.rows += float(str(step["r_rows"] or 0).split()[0])
            sorts = ", sorted" if "filesort" in (step["Extra"] or "") else ""
            scan = "FULL SCAN" if step["type"] == "ALL" else f"{step['type']} {step['key']}"
            read.plan += ("; " if read.plan else "") + scan.replace("ix_task_", "") + sorts

"""Collecting a table of SQLite and of MariaDB into Parquet, beside connectorx streaming into a writer."""

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.bench.report import Line, megabytes
from tests.bench.rows import TABLE, table_statements
from tests.bench.runs import Took, best, collect, collection, highest
from tests.bench.site import SLOTS, Ground, Site, Size
from weir_core.collections.models import Collection
from weir_workers.packs import BUILTIN

_DATABASE = "bench_source"
# More rows than a range of keys has, so that ranges follow each other.
_TIMES = 2


async def measure(site: Site, size: Size) -> AsyncIterator[Line]:
    """Both in turn, again and again."""
    ground = await site.ground()
    count = _TIMES * size.records
    for kind, filled in (("sqlite", _fill_sqlite), ("mariadb", _fill_mariadb)):
        url, bare_url = await filled(site, count)
        # What other benchmarks left in the worker's memory is not this one's.
        await ground.rest()
        await ground.worker(SLOTS, BUILTIN)
        collected = await collection(ground, f"sql-{kind}", "sql", {"url": url}, {}, stream=TABLE)
        ours, reference, peak = await _tries(site, ground, collected, bare_url, size)
        yield Line(
            f"{kind} to Parquet, {count:,} rows",
            str(ours),
            f"bare connectorx {reference}",
            ours.rate / reference.rate,
            "at least 0.7",
        )
        yield Line(f"{kind}, memory of the worker", f"peak {megabytes(peak)}", "", goal="at most 350 MB")


async def _tries(
    site: Site, ground: Ground, collected: Collection, url: str, size: Size
) -> tuple[Took, Took, int]:
    worker = await ground.worker(SLOTS, BUILTIN)
    ours: list[Took] = []
    reference: list[Took] = []
    with highest(worker.family_memory) as peak:
        for _ in range(size.tries):
            ours.append(await collect(ground, worker, collected))
            with (
                tempfile.TemporaryDirectory(dir=site.folder) as folder,
                site.bare("copy", url, folder) as bare,
            ):
                seconds, cpu = map(float, (await asyncio.to_thread(bare.said)).split())
            reference.append(Took(ours[-1].rows, seconds, cpu))
    return best(ours), best(reference), peak()


async def _fill_sqlite(site: Site, count: int) -> tuple[str, str]:
    path = site.folder / "source.sqlite"

    def fill() -> None:
        with closing(sqlite3.connect(path)) as connection:
            for statement in table_statements("sqlite", count):
                connection.execute(statement)
            connection.commit()

    await asyncio.to_thread(fill)
    return f"sqlite:///{path}", f"sqlite://{path}"


async def _fill_mariadb(site: Site, count: int) -> tuple[str, str]:
    statements = [
        f"CREATE DATABASE {_DATABASE} CHARACTER SET utf8mb4",
        f"USE {_DATABASE}",
        "SET SESSION sql_mode = 'PIPES_AS_CONCAT'",
        *table_statements("mysql", count),
        "CREATE USER bench_reader@'%'",
        f"GRANT SELECT ON {_DATABASE}.* TO bench_reader@'%'",
    ]
    engine = create_async_engine(site.services["mariadb_admin"].format(name="mysql"))
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()
    url = f"mysql://bench_reader@{site.services['mariadb_tcp']}/{_DATABASE}"
    return url, url

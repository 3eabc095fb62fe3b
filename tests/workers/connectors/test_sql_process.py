"""What happens to the connector `sql` when its child is killed, and what the child gives away."""

import subprocess
import sys
import textwrap
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from tests.fixtures.sql_sources import SqlSource
from weir_workers.connectors.contract import Batch, Partition, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.sql import SqlConnector

SMALL = SqlConnector(first=100, range=100_000, batch=50_000)
ROWS = 40_000


@pytest.fixture
def filled(sql_source: SqlSource) -> SqlSource:
    """More rows than pipe and buffers hold."""
    sql_source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, word VARCHAR(200))")
    sql_source.fill("t", [(number, f"{number:0150}") for number in range(ROWS)])
    return sql_source


def readers() -> list[psutil.Process]:
    """Children that read databases now."""
    return [one for one in psutil.Process().children(recursive=True) if "sql_child" in " ".join(cmdline(one))]


async def kill_at_each_item(source: SqlSource) -> None:
    async with aclosing(SMALL.read(source.source, Wanted({}, stream="t"), Partition())) as items:
        async for _ in items:
            for one in readers():
                one.kill()


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


class TestKilledChild:
    async def test_another_one_goes_on_and_no_row_is_lost_or_doubled(self, filled: SqlSource):
        ids: list[int] = []
        killed = False
        wanted = Wanted({}, stream=filled.name("t"))
        async with aclosing(SMALL.read(filled.source, wanted, Partition())) as items:
            async for item in items:
                if isinstance(item, Batch):
                    ids += item.records.column("id").to_pylist()
                if not killed and len(ids) > 500:
                    readers()[0].kill()
                    killed = True
        assert killed
        assert ids == list(range(ROWS))

    async def test_when_that_one_is_killed_too_the_source_is_at_fault(self, sqlite_source: SqlSource):
        sqlite_source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, word VARCHAR(200))")
        sqlite_source.fill("t", [(number, f"{number:0150}") for number in range(ROWS)])
        with pytest.raises(SourceError) as caught:
            await kill_at_each_item(sqlite_source)
        assert (caught.value.kind, caught.value.code) == ("DEPENDENCY", "sql.child")

    async def test_closing_the_iterator_ends_it(self, filled: SqlSource):
        items = SMALL.read(filled.source, Wanted({}, stream=filled.name("t")), Partition())
        await anext(items)
        assert len(readers()) == 1
        await items.aclose()
        assert readers() == []

    def test_it_ends_when_the_worker_is_killed(self, tmp_path: Path):
        program = tmp_path / "worker.py"
        program.write_text(
            textwrap.dedent("""
                import asyncio, os, sqlite3, sys
                from weir_workers.connectors.contract import Partition, Source, Wanted
                from weir_workers.connectors.sql import SqlConnector

                async def main():
                    folder = sys.argv[1]
                    os.environ["WEIR_SOURCE_ROOTS"] = folder
                    with sqlite3.connect(folder + "/a.sqlite") as one:
                        one.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, word TEXT)")
                        one.executemany("INSERT INTO t VALUES (?, ?)", [(n, "x" * 200) for n in range(40000)])
                    source = Source({"url": f"sqlite:///{folder}/a.sqlite"})
                    connector = SqlConnector(first=100, range=100_000, batch=50_000)
                    items = connector.read(source, Wanted({}, stream="t"), Partition())
                    await anext(items)
                    print("reading", flush=True)
                    await asyncio.sleep(60)

                asyncio.run(main())
            """)
        )
        worker = subprocess.Popen([sys.executable, program, tmp_path], stdout=subprocess.PIPE)
        assert worker.stdout
        assert worker.stdout.readline() == b"reading\n"
        children = psutil.Process(worker.pid).children()
        assert len(children) == 1
        worker.kill()
        worker.communicate()
        gone, alive = psutil.wait_procs(children, timeout=10)
        assert (len(gone), alive) == (1, [])


class TestSecrets:
    async def test_the_password_is_neither_in_its_arguments_nor_in_its_environment(
        self, mariadb_source: SqlSource, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("WEIR_MASTER_KEY", "not for children")
        mariadb_source.run("CREATE TABLE t (id INTEGER PRIMARY KEY, word VARCHAR(200))")
        mariadb_source.fill("t", [(number, f"{number:0150}") for number in range(ROWS)])
        items = SMALL.read(mariadb_source.source, Wanted({}, stream="t"), Partition())
        await anext(items)
        child = readers()[0]
        said = " ".join(child.cmdline()) + str(child.environ())
        await items.aclose()
        assert "s3cret" not in said
        assert "not for children" not in said

    async def test_no_text_of_a_source_or_error_holds_it(self, mariadb_source: SqlSource):
        wrong = mariadb_source.source
        object.__setattr__(wrong, "secrets", {"password": "wr0ng/word"})
        with pytest.raises(SourceError) as caught:
            await SqlConnector().check(wrong)
        assert "wr0ng" not in str(caught.value) + repr(wrong)

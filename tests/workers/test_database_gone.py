"""The database is away for longer than a lease: for all, that costs nothing; for one, it stops in time."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.fixtures.database import MariaDB
from tests.fixtures.proxy import Proxy, dial_database, proxied, through
from tests.fixtures.workers import Fleet
from tests.workers.test_worker import gone, lives
from weir_core.tasks.states import TaskState

# A file can't be away.
pytestmark = [
    pytest.mark.usefixtures("database_kind"),
    pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True),
]


# As tests/fixtures/workers.py has it.
LEASE = 4


@pytest.fixture
async def proxy(mariadb: MariaDB, tmp_path: Path) -> AsyncGenerator[Proxy]:
    async with proxied(tmp_path / "db.sock", dial_database(await mariadb.fresh())) as proxy:
        yield proxy


@pytest.fixture
async def database_url(mariadb: MariaDB, proxy: Proxy) -> str:
    """An empty database as all processes see it: over a way that can be cut."""
    return through(await mariadb.fresh(), proxy)


async def test_p03_an_outage_for_all_longer_than_a_lease_costs_nothing(
    fleet: Fleet, proxy: Proxy, tmp_path: Path
):
    worker = await fleet.worker()
    task_id = await fleet.submit("probe.until", {"path": str(tmp_path / "go")})
    child = int((await fleet.said(task_id, "waiting")).body["fields"]["pid"])
    proxy.cut()
    await asyncio.sleep(3 * LEASE)
    assert lives(child)
    proxy.heal()
    (tmp_path / "go").touch()
    done = await fleet.until(task_id, TaskState.SUCCEEDED, TaskState.FAILED)
    assert (done.state, done.attempt, done.charged) == (TaskState.SUCCEEDED, 1, 0)
    assert worker.poll() is None


async def test_p03_a_worker_that_is_cut_off_alone_stops_its_tasks_and_others_run_them(
    fleet: Fleet, proxy: Proxy, tmp_path: Path
):
    async with proxied(tmp_path / "own.sock", proxy.dial) as own:
        worker = await fleet.worker(WEIR_DATABASE_URL=through(fleet.environment["WEIR_DATABASE_URL"], own))
        task_id = await fleet.submit("probe.until", {"path": str(tmp_path / "go")})
        child = int((await fleet.said(task_id, "waiting")).body["fields"]["pid"])
        own.cut()
        # Others can reach the database: they may hold its tasks by now.
        await gone(child)
        await fleet.worker()
        (tmp_path / "go").touch()
        done = await fleet.until(task_id, TaskState.SUCCEEDED, TaskState.FAILED)
        assert (done.state, done.attempt) == (TaskState.SUCCEEDED, 2)
        own.heal()
        assert worker.poll() is None

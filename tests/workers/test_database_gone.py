"""The database is away for longer than a lease: what ran begins anew, and that costs it no attempt."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.fixtures.database import MariaDB
from tests.fixtures.proxy import Proxy, dial_database, proxied, through
from tests.fixtures.workers import Fleet
from tests.workers.test_worker import gone
from weir_core.tasks.states import TaskState

# A file can't be away.
pytestmark = [
    pytest.mark.usefixtures("database_kind"),
    pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True),
]


@pytest.fixture
async def proxy(mariadb: MariaDB, tmp_path: Path) -> AsyncGenerator[Proxy]:
    async with proxied(tmp_path / "db.sock", dial_database(await mariadb.fresh())) as proxy:
        yield proxy


@pytest.fixture
async def database_url(mariadb: MariaDB, proxy: Proxy) -> str:
    """An empty database as all processes see it: over a way that can be cut."""
    return through(await mariadb.fresh(), proxy)


async def test_p03_a_worker_that_stopped_its_tasks_hands_them_back_uncharged(
    fleet: Fleet, proxy: Proxy, tmp_path: Path
):
    worker = await fleet.worker()
    task_id = await fleet.submit("probe.until", {"path": str(tmp_path / "go")})
    child = int((await fleet.said(task_id, "waiting")).body["fields"]["pid"])
    proxy.cut()
    # It can't know whether others hold its tasks by now.
    await gone(child)
    proxy.heal()
    (tmp_path / "go").touch()
    done = await fleet.until(task_id, TaskState.SUCCEEDED, TaskState.FAILED)
    assert (done.state, done.attempt, done.charged) == (TaskState.SUCCEEDED, 2, 0)
    assert worker.poll() is None

"""A run whose worker is killed: real processes, a real source, a real database."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.fixtures.collecting import EDITOR_RIGHTS
from tests.fixtures.engine import person
from tests.fixtures.hands import Hands
from tests.fixtures.http_source import HttpSource, hang
from tests.fixtures.workers import SECONDS, Fleet
from weir_core.datasets.sweep import DatasetSweep
from weir_core.tasks.events import Event, EventKind
from weir_core.tasks.states import TaskState

# The long form is the scenario `collect` of `make soak`; a kill over SQLite is in the demo.
pytestmark = [
    pytest.mark.usefixtures("database_kind"),
    pytest.mark.parametrize(
        "database_kind,store_kind", [("mariadb", "folder"), ("mariadb", "s3")], indirect=True
    ),
]

SEGMENT = {"WEIR_SEGMENT_ROWS": "20"}


@pytest.fixture
async def hands(fleet: Fleet) -> Hands:
    """Who starts runs; worker processes do them."""
    return Hands(fleet.engine.runtime, person(everywhere={*EDITOR_RIGHTS}))


async def start_worker(fleet: Fleet, **variables: str) -> None:
    """Start a worker with the built-in tasks, and wait until it has registered."""
    before = {worker.id for worker in await fleet.engine.runtime.fleet.active()}
    process = fleet.start("worker", **SEGMENT, **variables)
    async with asyncio.timeout(SECONDS):
        while {worker.id for worker in await fleet.engine.runtime.fleet.active()} <= before:
            assert process.poll() is None, "the worker has ended"
            await asyncio.sleep(0.05)


def lines(events: list[Event]) -> list[str]:
    return [event.body["text"] for event in events if event.kind is EventKind.LOG]


class TestKilledWorker:
    async def test_p11_the_next_one_goes_on_after_the_last_segment_and_where_it_dies_at_the_end_another_does(
        self, fleet: Fleet, hands: Hands, http_source: HttpSource, tmp_path: Path
    ):
        await start_worker(fleet)
        killed = fleet.running[-1]
        collection = await hands.collection(http_source.url)
        http_source.faults[4] = [hang]
        run_id: UUID = await hands.start(collection)
        watching = asyncio.create_task(fleet.events(run_id))
        await fleet.said(run_id, "segment 1 committed")
        killed.kill()
        killed.wait()
        asked_before = len(http_source.asked)
        last = {"WEIR_FAILPOINTS": "run.written:kill", "WEIR_FAILPOINTS_ONCE": str(tmp_path / "died")}
        (tmp_path / "died").mkdir()
        await start_worker(fleet, **last)
        ended = await fleet.until(run_id, TaskState.SUCCEEDED, TaskState.FAILED)
        assert (ended.state, ended.attempt) == (TaskState.SUCCEEDED, 3)
        assert (tmp_path / "died" / "run.written").exists()
        assert sorted(set(http_source.pages_asked()[asked_before:])) == [3, 4]
        found = await hands.ids(collection.dataset_id)
        assert [one for one, count in Counter(found).items() if count > 1] == []
        assert found == list(range(35))
        store = fleet.engine.runtime.store
        sweep = DatasetSweep(fleet.engine.runtime.db, store, orphaned_after=timedelta(0))
        await sweep.sweep_orphans()
        assert len(list(store.files())) == 2
        events = await watching
        assert [event.seq for event in events] == sorted({event.seq for event in events})
        assert "goes on after segment 1, page 2" in lines(events)

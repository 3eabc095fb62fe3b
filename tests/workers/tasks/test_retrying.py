"""`tasks.retry`: all that ended badly is submitted anew, once, whatever happens on the way."""

import asyncio

import pytest

from tests.fixtures.engine import Engine
from tests.fixtures.scheduling import administrator
from tests.fixtures.workers import SECONDS, Fleet
from weir_core.paging import Page
from weir_core.tasks.models import Task
from weir_core.tasks.states import FailureKind, TaskState

PACKS = "builtin,tests.packs.probes"
FAILED = 'type = "probe.fail" AND state = FAILED'


@pytest.fixture(autouse=True)
async def somebody(engine: Engine):
    """It is done in the name of a user who is there."""
    engine.caller = await administrator(engine.runtime)


async def made_anew(fleet: Fleet) -> list[Task]:
    """The tasks that stand for another."""
    tasks = await fleet.engine.runtime.tasks.list_tasks(fleet.engine.caller, Page(100), "")
    return [task for task in tasks if task.retry_of is not None]


async def test_all_are_made_anew_once_though_the_worker_dies_in_the_middle(fleet: Fleet):
    worker = await fleet.worker(PACKS)
    old = {(await fleet.run("probe.fail", {"message": str(number)})).id for number in range(8)}
    bulk = await fleet.submit("tasks.retry", {"filter": FAILED, "max_per_minute": 300})
    async with asyncio.timeout(SECONDS):
        while len(await made_anew(fleet)) < 3:
            await asyncio.sleep(0.02)
    worker.kill()
    assert len(await made_anew(fleet)) < len(old)
    await fleet.worker(PACKS)
    ended = await fleet.until(bulk, TaskState.SUCCEEDED, TaskState.FAILED)
    assert (ended.state, ended.attempt) == (TaskState.SUCCEEDED, 2), ended.failure
    assert ended.output is not None
    assert ended.output["refused"] == 0
    again = await made_anew(fleet)
    assert sorted(task.retry_of for task in again if task.retry_of) == sorted(old)
    # What was made anew failed again, and counts; what stands for it already does not.
    for task in again:
        await fleet.until(task.id, TaskState.FAILED)
    count = fleet.engine.runtime.retrying.count
    assert await count(fleet.engine.caller, "default", FAILED) == len(old)


async def test_a_filter_that_can_not_be_read_is_the_callers_fault(fleet: Fleet):
    await fleet.worker(PACKS)
    ended = await fleet.run("tasks.retry", {"filter": "color = 3"})
    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.code) == (FailureKind.INVALID_INPUT, "FILTER_INVALID")

"""A fire of `collection.run` goes the way of RunCollection: with a run, one at a time."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.fixtures.collecting import SOURCE
from tests.fixtures.scheduling import HOURLY, Times
from weir_core.collections.models import Collection, NewCollection, NewConnection, Run, SyncMode
from weir_core.collections.runs import RUN_TASK
from weir_core.errors import InvalidArgument, NotFound
from weir_core.fleet.models import TaskType
from weir_core.paging import Page
from weir_core.schedules.models import Fire, FireResult, MissedPolicy, OverlapPolicy
from weir_core.tasks import repository as task_rows
from weir_core.tasks.states import TaskState

FIRED, OVERLAP, _, REFUSED = FireResult
KIND = TaskType(RUN_TASK, 1, "builtin", "", {"type": "object"}, {}, permission="collections.run")


@pytest.fixture
async def orders(times: Times) -> Collection:
    """A collection that reads forward by its cursor."""
    collecting = times.runtime.collecting
    await times.engine.worker(KIND)
    await collecting.connections.register_connectors([SOURCE])
    settings = {"base_url": "https://shop.example"}
    source = await collecting.connections.create_connection(
        times.caller, NewConnection("", "shop", "shop", settings, {"token": "abcd"})
    )
    new = NewCollection("", "orders", source.id, {"path": "/"}, SyncMode.INCREMENTAL, cursor_field="id")
    return await collecting.collections.create_collection(times.caller, new)


async def scheduled(times: Times, orders: Collection, **wanted: Any):
    given = {"collection_id": str(orders.id)} | wanted.pop("input", {})
    return await times.create(
        "nightly", HOURLY, type=RUN_TASK, input=given, missed=MissedPolicy.ALL, **wanted
    )


async def run_of(times: Times, fire: Fire) -> Run:
    assert fire.task_id
    return await times.runtime.collecting.runs.get(times.caller, fire.task_id)


async def end_run(times: Times, run: Run) -> None:
    values = {"state": int(TaskState.SUCCEEDED), "end_time": datetime.now(UTC)}
    await times.runtime.db.write(lambda tx: task_rows.change(tx, run.id, values))


async def test_a_fire_makes_a_run(times: Times, orders: Collection):
    made = await scheduled(times, orders)
    (come,) = await times.back(made)
    await times.sweep()
    (fire,) = await times.fires(made)
    run, task = await run_of(times, fire), await times.task(fire)
    assert (run.collection_id, run.mode, run.state) == (orders.id, SyncMode.INCREMENTAL, TaskState.QUEUED)
    assert (task.schedule_id, task.fire_time, task.creator) == (made.id, come, times.caller.principal)
    assert task.input == {"collection_id": str(orders.id), "full": False}
    found = await times.runtime.collecting.collections.get_collection(times.caller, orders.id)
    assert found.last_run_id == run.id


async def test_it_may_read_everything_anew(times: Times, orders: Collection):
    made = await scheduled(times, orders, input={"full": True})
    await times.back(made)
    await times.sweep()
    (fire,) = await times.fires(made)
    assert (await run_of(times, fire)).mode is SyncMode.FULL


@pytest.mark.parametrize(
    "overlap", [OverlapPolicy.SKIP, OverlapPolicy.QUEUE_ONE, OverlapPolicy.CANCEL_RUNNING]
)
async def test_a_run_that_somebody_started_is_in_its_way(
    times: Times, orders: Collection, overlap: OverlapPolicy
):
    run, _ = await times.runtime.collecting.runs.start(times.caller, orders.id)
    made = await scheduled(times, orders, overlap=overlap)
    (come,) = await times.back(made)
    await times.sweep()
    await times.sweep()
    # It is not the schedule's to cancel.
    assert (await times.runtime.collecting.runs.get(times.caller, run.id)).state is TaskState.QUEUED
    fires = await times.fires(made)
    if overlap is OverlapPolicy.SKIP:
        assert [(each.fire_time, each.result) for each in fires] == [(come, OVERLAP)]
        assert str(run.id) in fires[0].message
        return
    assert fires == []
    await end_run(times, run)
    await times.sweep()
    (fire,) = await times.fires(made)
    assert (fire.fire_time, fire.result) == (come, FIRED)
    assert (await run_of(times, fire)).id != run.id


async def test_one_run_at_a_time_over_a_catch_up(times: Times, orders: Collection):
    made = await scheduled(times, orders, overlap=OverlapPolicy.QUEUE_ONE)
    come = await times.back(made, 3)
    await times.sweep()
    first, dropped = await times.fires(made)
    assert (first.fire_time, dropped.fire_time, dropped.result) == (come[0], come[2], OVERLAP)
    await end_run(times, await run_of(times, first))
    await times.sweep()
    assert [each.fire_time for each in await times.fires(made, FIRED)] == come[:2]


async def test_a_trigger_is_refused_while_a_run_goes_and_joins_none(times: Times, orders: Collection):
    made = await scheduled(times, orders)
    run, _ = await times.runtime.collecting.runs.start(times.caller, orders.id)
    trigger = times.runtime.scheduling.trigger
    (refused,) = await trigger.trigger(times.caller, made.id, None)
    assert (refused.result, refused.task_id, str(run.id) in refused.message) == (REFUSED, None, True)
    await end_run(times, run)
    (fired,) = await trigger.trigger(times.caller, made.id, None)
    assert fired.result is FIRED
    runs = await times.runtime.collecting.runs.list_runs(times.caller, Page(9), "")
    assert len(runs) == 2


async def test_what_can_not_be_is_refused_when_it_is_saved(times: Times, orders: Collection):
    with pytest.raises(InvalidArgument) as allowed:
        await scheduled(times, orders, overlap=OverlapPolicy.ALLOW)
    assert [each.field for each in allowed.value.violations] == ["schedule.overlap"]
    with pytest.raises(NotFound, match="collection"):
        await scheduled(times, orders, input={"collection_id": str(uuid4())})
    with pytest.raises(InvalidArgument) as unread:
        await scheduled(times, orders, input={"collection_id": "orders"})
    assert [each.field for each in unread.value.violations] == ["schedule.task.input.collection_id"]

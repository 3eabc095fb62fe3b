"""P4: CANCELLED is said only when nothing of the task runs any more. /proc is asked, not Weir."""

import asyncio
import os
import signal
from datetime import timedelta
from uuid import UUID

import pytest

from tests.fixtures.workers import Fleet
from tests.workers.looking import gone, lives, running, until
from weir_core.tasks.events import EventKind
from weir_core.tasks.models import Task
from weir_core.tasks.states import CancelPhase, FailureKind, TaskState

# The database has a part only where the sweeper has one.
sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
mariadb = pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)

BOTH = "tests.packs.probes,tests.packs.commands"
WILLING = [CancelPhase.REQUESTED, CancelPhase.SIGNALLED, CancelPhase.CONFIRMED]
GRACE = timedelta(seconds=1)
NEVER = {"path": "/nowhere/never"}


async def cancel(fleet: Fleet, task_id: UUID, grace: timedelta = GRACE) -> None:
    await fleet.engine.runtime.stopping.cancel(fleet.engine.caller, task_id, "enough", grace)


async def stopped(fleet: Fleet, task_id: UUID) -> Task:
    """The task once it is CANCELLED, with nothing of it there in that very moment."""
    ended = await fleet.until(task_id, TaskState.CANCELLED, TaskState.FAILED, TaskState.SUCCEEDED)
    left = running(task_id)
    assert (ended.state, left) == (TaskState.CANCELLED, [])
    return ended


async def phases(fleet: Fleet, task_id: UUID) -> list[CancelPhase]:
    """The phases as they were told; the row must say the same."""
    told = [e.body for e in await fleet.events(task_id) if e.kind is EventKind.CANCEL]
    row = (await fleet.engine.get(task_id)).cancellation
    assert row is not None
    assert row.phase is CancelPhase.CONFIRMED
    assert row.signal_time is not None
    assert row.confirm_time is not None
    assert (row.kill_time is not None) == (CancelPhase.KILLED in {each["phase"] for each in told})
    return [CancelPhase(each["phase"]) for each in told]


@sqlite
async def test_p04_a_def_handler_that_is_willing_puts_its_things_away(fleet: Fleet):
    await fleet.worker(BOTH)
    task_id = await fleet.submit("command.until", NEVER)
    pid = int((await fleet.said(task_id, "running")).body["fields"]["pid"])
    assert pid in running(task_id)
    await cancel(fleet, task_id, timedelta(seconds=30))
    ended = await stopped(fleet, task_id)
    assert ended.failure is not None
    assert (ended.failure.kind, ended.failure.message) == (FailureKind.CANCELLED, "enough")
    assert await phases(fleet, task_id) == WILLING
    assert "put away" in [e.body.get("text") for e in await fleet.events(task_id)]


@sqlite
async def test_p04_a_def_handler_that_does_not_stop_is_killed(fleet: Fleet):
    await fleet.worker(BOTH)
    ways = ("loop", "deaf", "swallow", "stopped")
    tasks = [await fleet.submit("command.stubborn", {"way": way}) for way in ways]
    pids = [int((await fleet.said(each, "running")).body["fields"]["pid"]) for each in tasks]
    for task_id in tasks:
        await cancel(fleet, task_id)
    for way, pid, task_id in zip(ways, pids, tasks, strict=True):
        await stopped(fleet, task_id)
        assert not lives(pid), way
        assert await phases(fleet, task_id) == list(CancelPhase), way


@sqlite
async def test_p04_descendants_end_too_whatever_sessions_they_began(fleet: Fleet):
    await fleet.worker(BOTH)
    task_id = await fleet.submit("command.family", {"way": "wait"})
    pids = await family(fleet, task_id)
    assert [pid for pid in pids if not lives(pid)] == []
    await cancel(fleet, task_id)
    await stopped(fleet, task_id)
    assert [pid for pid in pids if lives(pid)] == []
    assert await phases(fleet, task_id) == list(CancelPhase)

    # This one kills the very process that watches over it.
    orphan = await fleet.submit("command.family", {"way": "orphan"})
    pids = await family(fleet, orphan)
    os.kill(int((await fleet.said(orphan, "family")).body["fields"]["run"]), signal.SIGUSR1)
    await until(lambda: not [pid for pid in pids if lives(pid)], "all its descendants end")
    await cancel(fleet, orphan)
    await fleet.until(orphan, TaskState.CANCELLED, TaskState.FAILED)


async def family(fleet: Fleet, task_id: UUID) -> list[int]:
    pids = [int(pid) for pid in (await fleet.said(task_id, "family")).body["fields"]["pids"].split()]
    assert len(pids) >= 6
    return pids


@sqlite
async def test_p04_a_keeper_that_was_stopped_does_not_hold_up_a_cancel(fleet: Fleet):
    await fleet.worker(BOTH)
    task_id = await fleet.submit("command.until", NEVER)
    run = int((await fleet.said(task_id, "running")).body["fields"]["pid"])
    (keeper,) = [pid for pid in running(task_id) if pid != run]
    os.kill(keeper, signal.SIGSTOP)
    await cancel(fleet, task_id)
    await stopped(fleet, task_id)
    assert not lives(run)
    assert not lives(keeper)


@sqlite
async def test_p04_what_a_coroutine_has_started_ends_with_it(fleet: Fleet):
    await fleet.worker(BOTH)
    neighbour = await fleet.submit("probe.spawn", {"way": "wait"})
    theirs = int((await fleet.said(neighbour, "spawned")).body["fields"]["pid"])
    for way in ("wait", "leave"):
        task_id = await fleet.submit("probe.spawn", {"way": way})
        pid = int((await fleet.said(task_id, "spawned")).body["fields"]["pid"])
        if way == "wait":
            assert pid in running(task_id)
            await cancel(fleet, task_id)
            await stopped(fleet, task_id)
            assert await phases(fleet, task_id) == WILLING
        else:
            await fleet.until(task_id, TaskState.SUCCEEDED)
        assert running(task_id) == []
        assert not lives(pid)
    assert lives(theirs)
    await cancel(fleet, neighbour)
    await stopped(fleet, neighbour)


@sqlite
async def test_p04_twenty_at_once_are_stopped_the_unwilling_too(fleet: Fleet):
    await fleet.worker(BOTH, WEIR_SLOTS="24")
    for willing, unwilling, given in (
        ("command.until", "command.stubborn", {"way": "loop"}),
        ("probe.until", "probe.unwilling", NEVER),
    ):
        kinds = [(unwilling, given) if number % 5 == 0 else (willing, NEVER) for number in range(20)]
        tasks = [await fleet.submit(*kind) for kind in kinds]
        pids = {int((await fleet.said(each, "ing")).body["fields"]["pid"]) for each in tasks}
        assert len(pids) == (20 if willing == "command.until" else 1)
        grace = timedelta(seconds=2)
        await asyncio.gather(*(cancel(fleet, task_id, grace) for task_id in tasks))
        for number, task_id in enumerate(tasks):
            ended = await stopped(fleet, task_id)
            assert took(ended) < grace + timedelta(seconds=5), number
            assert await phases(fleet, task_id) == (list(CancelPhase) if number % 5 == 0 else WILLING)
        assert [pid for pid in pids if lives(pid)] == []
        assert running(*tasks) == []


def took(ended: Task) -> timedelta:
    assert ended.cancellation is not None
    assert ended.cancellation.confirm_time is not None
    return ended.cancellation.confirm_time - ended.cancellation.request_time


@mariadb
async def test_p04_of_a_worker_that_is_gone_it_is_said_after_lease_and_five_seconds_and_why(fleet: Fleet):
    frozen = await fleet.worker(BOTH, WEIR_SLOTS="2")
    tasks = [await fleet.submit("command.family", {"way": "wait"}), await fleet.submit("probe.until", NEVER)]
    pids = await family(fleet, tasks[0])
    pids.append(int((await fleet.said(tasks[1], "waiting")).body["fields"]["pid"]))
    # The first one has no slot left for the third task.
    dead = await fleet.worker(BOTH)
    tasks.append(await fleet.submit("command.until", NEVER))
    pids.append(int((await fleet.said(tasks[2], "running")).body["fields"]["pid"]))
    frozen.send_signal(signal.SIGSTOP)
    dead.kill()
    await gone(pids[-1])

    for task_id in tasks:
        await cancel(fleet, task_id)
    ended = [await stopped(fleet, task_id) for task_id in tasks]
    assert [pid for pid in pids if lives(pid)] == [], "the frozen worker's processes live on"
    assert took(ended[2]) > timedelta(seconds=5)
    for each in ended:
        told = [e.body for e in await fleet.events(each.id) if e.kind is EventKind.CANCEL]
        assert [CancelPhase(one["phase"]) for one in told] == [CancelPhase.REQUESTED, CancelPhase.CONFIRMED]
        assert each.cancellation is not None
        assert each.cancellation.holdup == told[-1]["holdup"]
        assert "not seen: worker" in told[-1]["holdup"]

    frozen.send_signal(signal.SIGCONT)
    again = await fleet.run("command.look", {"way": "awake"})
    assert again.state is TaskState.SUCCEEDED
    for each in ended:
        assert (await fleet.engine.get(each.id)).last_seq == each.last_seq

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

from tests.fixtures.workers import SECONDS, Fleet
from tests.workers.looking import gone, lives, shown
from weir_core.tasks.events import EventKind
from weir_core.tasks.states import CancelPhase, FailureKind, TaskState


async def test_runs_what_it_is_given_and_tells_how_it_went(fleet: Fleet):
    await fleet.worker()
    done = await fleet.run("probe.steps", {"count": 3, "pause": 0.01})
    assert done.output is not None
    assert (done.state, done.output["count"], done.attempt) == (TaskState.SUCCEEDED, 3, 1)

    events = await fleet.events(done.id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [e.body["text"] for e in events if e.kind is EventKind.LOG] == ["step 1", "step 2", "step 3"]
    assert [e.body["done"] for e in events if e.kind is EventKind.PROGRESS][-1] == 3

    raised = await fleet.run("probe.raise", {"text": "x"})
    assert raised.failure is not None
    assert raised.failure.kind is FailureKind.USER_ERROR
    assert [cause["type"] for cause in raised.failure.causes] == ["RuntimeError", "ValueError"]
    assert raised.failure.message.startswith("ValueError: invalid literal for int()")
    assert "s3cret" not in repr(raised)
    assert "s3cret" not in repr(await fleet.events(raised.id))

    again = await fleet.run("probe.fail", {"kind": "RETRYABLE", "times": 1})
    assert (again.state, again.attempt) == (TaskState.SUCCEEDED, 2)

    crashed = await fleet.run("probe.crash", {})
    assert crashed.failure is not None
    assert (crashed.failure.kind, "exit code 41" in crashed.failure.message) == (
        FailureKind.LOST_WORKER,
        True,
    )
    assert (await fleet.run("probe.echo", {"text": "on it goes"})).state is TaskState.SUCCEEDED


async def test_p04_cancelled_means_stopped(fleet: Fleet, tmp_path: Path):
    await fleet.worker()
    stopping, caller = fleet.engine.runtime.stopping, fleet.engine.caller
    given = {"path": str(tmp_path / "never")}

    willing = await fleet.submit("probe.until", given)
    await fleet.said(willing, "waiting")
    await stopping.cancel(caller, willing, "enough", None)
    await fleet.until(willing, TaskState.CANCELLED)
    phases = [e.body["phase"] for e in await fleet.events(willing) if e.kind is EventKind.CANCEL]
    assert phases == [CancelPhase.REQUESTED, CancelPhase.SIGNALLED, CancelPhase.CONFIRMED]

    for name, word in (("probe.unwilling", "unwilling"), ("probe.blocked", "blocking")):
        neighbour = await fleet.submit("probe.until", {"path": str(tmp_path / word)})
        await fleet.said(neighbour, "waiting")
        blocked = tmp_path / "blocked"
        stubborn = await fleet.submit(name, {"path": str(blocked)})
        pid = int((await fleet.said(stubborn, word)).body["fields"]["pid"])
        async with asyncio.timeout(SECONDS):
            while name == "probe.blocked" and not blocked.exists():
                await asyncio.sleep(0.02)
        await stopping.cancel(caller, stubborn, "enough", timedelta(seconds=1))
        await fleet.until(stubborn, TaskState.CANCELLED)
        assert not lives(pid), name
        phases = [e.body["phase"] for e in await fleet.events(stubborn) if e.kind is EventKind.CANCEL]
        assert phases == list(CancelPhase), name
        (tmp_path / word).touch()
        beside = await fleet.until(neighbour, TaskState.SUCCEEDED, TaskState.FAILED)
        assert (beside.state, beside.charged, beside.attempt) == (TaskState.SUCCEEDED, 0, 2), name


async def test_p03_a_killed_workers_task_runs_again_on_a_quiet_system(fleet: Fleet, tmp_path: Path):
    worker = await fleet.worker()
    task_id = await fleet.submit("probe.until", {"path": str(tmp_path / "go")})
    child = int((await fleet.said(task_id, "waiting")).body["fields"]["pid"])
    worker.kill()
    await gone(child)
    await fleet.worker()
    (tmp_path / "go").touch()
    done = await fleet.until(task_id, TaskState.SUCCEEDED, TaskState.FAILED)
    assert (done.state, done.attempt, done.charged) == (TaskState.SUCCEEDED, 2, 1)
    first = done.attempts[0].failure
    assert first is not None
    assert first.kind is FailureKind.LOST_WORKER
    events = await fleet.events(task_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_p02_a_frozen_worker_that_wakes_has_nothing_to_say(fleet: Fleet, tmp_path: Path):
    frozen = await fleet.worker()
    task_id = await fleet.submit("probe.until", {"path": str(tmp_path / "go")})
    child = int((await fleet.said(task_id, "waiting")).body["fields"]["pid"])
    frozen.send_signal(signal.SIGSTOP)
    await fleet.worker()
    async with asyncio.timeout(SECONDS):
        while (await fleet.engine.get(task_id)).attempt < 2:
            await asyncio.sleep(0.05)
    (tmp_path / "go").touch()
    done = await fleet.until(task_id, TaskState.SUCCEEDED)
    frozen.send_signal(signal.SIGCONT)
    await gone(child)
    assert (await fleet.engine.get(task_id)).last_seq == done.last_seq
    assert done.attempt == 2


async def test_a_stopped_worker_hands_back_what_it_can_not_end_uncharged(fleet: Fleet, tmp_path: Path):
    worker = await fleet.worker()
    task_id = await fleet.submit("probe.until", {"path": str(tmp_path / "go")})
    await fleet.said(task_id, "waiting")
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, SECONDS) == 0
    handed = await fleet.engine.get(task_id)
    assert handed.state in {TaskState.PENDING, TaskState.QUEUED}
    await fleet.worker()
    (tmp_path / "go").touch()
    done = await fleet.until(task_id, TaskState.SUCCEEDED)
    assert (done.attempt, done.charged) == (2, 0)


async def test_p12_a_pack_of_ones_own_sees_no_keys_of_weirs(fleet: Fleet, tmp_path: Path):
    await fleet.worker()
    task_id = await fleet.submit("probe.until", {"path": str(tmp_path / "go")})
    child = int((await fleet.said(task_id, "waiting")).body["fields"]["pid"])
    seen = shown(child)
    assert b"WEIR_LEASE" in seen
    for name in ("WEIR_MASTER_KEY", "WEIR_DATABASE_URL", "WEIR_REDIS_URL"):
        assert name.encode() not in seen
        assert fleet.environment[name].encode() not in seen
    os.close(os.open(tmp_path / "go", os.O_CREAT))
    await fleet.until(task_id, TaskState.SUCCEEDED)

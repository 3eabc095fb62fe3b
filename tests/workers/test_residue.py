"""P10: whatever ends, and however, nothing is left of it. No database has a part in it: SQLite only."""

import os
import signal
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fixtures.workers import Fleet
from tests.workers.looking import below, lives, marked, running, there, until
from weir_core.tasks.states import TaskState
from weir_workers.wards import strays

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

BOTH = "tests.packs.probes,tests.packs.commands"
NEVER = {"path": "/nowhere/never"}


def wards(worker: int) -> dict[int, Path]:
    """The wardens of a worker, and their folders."""
    found: dict[int, Path] = {}
    for pid, name in below(worker).items():
        if name == "weir-warden":
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found[pid] = next(Path(os.fsdecode(word)) for word in words if b"/weir-ward-" in word)
    return found


@sqlite
async def test_p10_of_a_killed_worker_nothing_is_left(fleet: Fleet):
    worker = await fleet.worker(BOTH)
    family = await fleet.submit("command.family", {"way": "wait"})
    spawn = await fleet.submit("probe.spawn", {"way": "wait"})
    pids = [int(pid) for pid in (await fleet.said(family, "family")).body["fields"]["pids"].split()]
    pids.append(int((await fleet.said(spawn, "spawned")).body["fields"]["pid"]))
    folders = wards(worker.pid)
    pids += below(worker.pid)
    assert len(folders) == 3, "two packs, one of them with a nursery"
    assert len(set(pids)) >= 3 + 3 + 8
    worker.kill()
    await until(lambda: not [pid for pid in pids if lives(pid)], "all its processes end")
    await until(
        lambda: not [folder for folder in folders.values() if there(folder)], "its folders are removed"
    )
    assert running(family, spawn) == []


@sqlite
async def test_p10_where_the_wardens_were_killed_too_another_weir_process_clears_up(fleet: Fleet):
    worker = await fleet.worker(BOTH)
    family = await fleet.submit("command.family", {"way": "wait"})
    pids = [int(pid) for pid in (await fleet.said(family, "family")).body["fields"]["pids"].split()]
    folders = wards(worker.pid)
    everyone = below(worker.pid)
    weirs = [pid for pid, name in everyone.items() if name.startswith("weir-") or pid not in pids]
    os.kill(worker.pid, signal.SIGSTOP)
    for pid in [*weirs, worker.pid]:
        os.kill(pid, signal.SIGKILL)
    left = [pid for pid in pids if lives(pid)]
    assert len(left) >= 3, "there is nothing to clear"
    await until(lambda: not [pid for pid in pids if lives(pid)], "the scheduler has killed what was left")
    await until(
        lambda: not [folder for folder in folders.values() if there(folder)], "their folders are removed"
    )


@sqlite
async def test_p10_a_hung_handler_does_not_hold_up_its_workers_end(fleet: Fleet):
    worker = await fleet.worker(BOTH)
    hung = [await fleet.submit("command.stubborn", {"way": way}) for way in ("loop", "stopped")]
    pids = [int((await fleet.said(each, "running")).body["fields"]["pid"]) for each in hung]
    worker.terminate()
    await until(lambda: worker.poll() is not None, "the worker ends")
    assert worker.returncode == 0
    assert [pid for pid in pids if lives(pid)] == []
    for task_id in hung:
        found = await fleet.engine.get(task_id)
        assert (found.state in {TaskState.PENDING, TaskState.QUEUED}, found.charged) == (True, 0)


class TestStrays:
    def test_a_folder_is_left_alone_while_its_lock_is_held(self):
        with strays.hold_folder() as (folder, _):
            strays.sweep()
            assert folder.is_dir()
        strays.sweep()
        assert not folder.exists()

    def test_what_works_in_an_abandoned_folder_ends_with_it(self):
        with strays.hold_folder() as (folder, _):
            (folder / "locked").mkdir()
            sleeper = subprocess.Popen(["sleep", "3600"], cwd=folder / "locked")
            (folder / "locked").chmod(0)
            strays.sweep()
            assert sleeper.poll() is None
        strays.sweep()
        assert sleeper.wait(30) == -signal.SIGKILL
        assert not folder.exists()

    def test_what_bears_the_mark_of_a_folder_that_is_gone_ends(self):
        mark = f"/tmp/weir-ward-{uuid4()}"  # noqa: S108 - never made
        sleeper = subprocess.Popen(["sleep", "3600"], env={"WEIR_WARD": mark}, cwd="/")
        other = subprocess.Popen(["sleep", "3600"], env={"WEIR_OTHER": mark}, cwd="/")
        try:
            strays.sweep()
            assert sleeper.wait(30) == -signal.SIGKILL
            assert marked(mark) == [other.pid]
        finally:
            other.kill()
            other.wait()

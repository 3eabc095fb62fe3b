"""`def` handlers in processes of their own. The database has no part in it: these run on SQLite only."""

import os
from pathlib import Path

import pytest

from tests.fixtures.workers import Fleet
from tests.workers.looking import below, lives, parent, running, there, until
from weir_core.tasks.events import Event, EventKind
from weir_core.tasks.models import Failure
from weir_core.tasks.states import FailureKind, TaskState

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

COMMANDS = "tests.packs.commands"
STDOUT, STDERR, SYSTEM = 2, 3, 4


def printed(events: list[Event], source: int) -> list[str]:
    return [e.body["text"] for e in events if e.kind is EventKind.LOG and e.body["source"] == source]


async def fail(fleet: Fleet, name: str, way: str) -> Failure:
    ended = await fleet.run(name, {"way": way})
    assert ended.failure is not None, way
    assert ended.state is TaskState.FAILED, way
    await until(lambda: running(ended.id) == [], f"nothing of {way} runs any more")
    assert "hunter2" not in repr(ended)
    return ended.failure


async def test_p10_a_run_has_a_process_and_a_folder_of_its_own_and_nothing_of_them_is_left(fleet: Fleet):
    worker = await fleet.worker(COMMANDS)
    done = [await fleet.run("command.look", {"way": "so"}) for _ in range(3)]
    seen = [task.output for task in done if task.output is not None]
    assert len({each["pid"] for each in seen}) == len({each["folder"] for each in seen}) == 3
    for task, each in zip(done, seen, strict=True):
        folder = Path(each["folder"])
        assert not lives(each["pid"])
        assert not there(folder)
        assert folder.name.startswith(str(task.id))
        assert each["values"][0] == folder.name, "the temporary file was elsewhere"
        assert f"TMPDIR={folder}" in each["values"]
        for name in ("niceness", "session_niceness"):
            assert f"{name}={os.nice(0) + 10}" in each["values"], "it could hold up those that stop it"
        assert running(task.id) == []
    events = await fleet.events(done[0].id)
    assert [e.body for e in events if e.kind is EventKind.PROGRESS] == [
        {"done": 1, "total": 2, "unit": "looks", "message": "half"}
    ]
    assert next(e.body["fields"] for e in events if e.kind is EventKind.LOG) == {"way": "so"}
    ward = Path(seen[0]["folder"]).parent
    assert there(ward)
    worker.terminate()
    await until(lambda: worker.poll() is not None, "the worker ends")
    assert not there(ward)


async def test_p12_a_run_sees_no_keys_of_weirs(fleet: Fleet, tmp_path: Path):
    await fleet.worker(COMMANDS)
    task_id = await fleet.submit("command.until", {"path": str(tmp_path / "go")})
    run = int((await fleet.said(task_id, "running")).body["fields"]["pid"])
    seen = (await fleet.run("command.look", {"way": "so"})).output
    assert seen is not None
    memory = b"".join(written(pid) for pid in (run, parent(run)))
    assert len(memory) > 1 << 20
    for name in ("WEIR_MASTER_KEY", "WEIR_DATABASE_URL", "WEIR_REDIS_URL"):
        assert not [value for value in seen["values"] if value.startswith(name)]
        assert fleet.environment[name].encode() not in memory, name
    assert [value for value in seen["values"] if value.startswith("WEIR_LEASE=")], (
        "nothing was inherited at all"
    )
    (tmp_path / "go").touch()
    await fleet.until(task_id, TaskState.SUCCEEDED)


def written(pid: int) -> bytes:
    """All memory of a process that it has written to."""
    found: list[bytes] = []
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw") and "[v" not in line:
                first, last = (int(end, 16) for end in place.split("-"))
                found.append(os.pread(memory.fileno(), last - first, first))
    return b"".join(found)


async def test_p09_what_it_prints_is_in_the_log_line_by_line(fleet: Fleet):
    await fleet.worker(COMMANDS)
    done = await fleet.run("command.print", {})
    events = await fleet.events(done.id)
    out, err = printed(events, STDOUT), printed(events, STDERR)
    assert out == [
        "first line",
        "the password is [redacted]",
        "from a child",
        "bar 100%",
        "x" * 16_000 + " [cut]",
        "not � utf-8",
        "no end of line",
    ]
    assert err == ["to the other", "logged", "its error"]
    assert "hunter2" not in repr(events)


async def test_p14_a_flood_of_lines_is_cut_off_and_told(fleet: Fleet):
    await fleet.worker(COMMANDS)
    done = await fleet.run("command.flood", {})
    assert done.state is TaskState.SUCCEEDED
    events = await fleet.events(done.id)
    assert 1000 < len(printed(events, STDOUT)) <= 50_000
    assert [text for text in printed(events, SYSTEM) if "dropped" in text]


async def test_p09_the_end_of_the_process_is_the_cause(fleet: Fleet):
    await fleet.worker(COMMANDS)
    exits = {"exit": 3, "_exit": 41, "zero": 0}
    for way, code in exits.items():
        failure = await fail(fleet, "command.end", way)
        assert (failure.kind, failure.code) == (FailureKind.EXIT, f"exit.{code}"), way
        assert (failure.detail["code"], failure.detail["signal"]) == (code, 0)
        assert failure.log_tail[0]["text"] == "last words with [redacted]"
    for way, number, name in (("segv", 11, "SIGSEGV"), ("kill", 9, "SIGKILL")):
        failure = await fail(fleet, "command.end", way)
        assert (failure.kind, failure.code) == (FailureKind.EXIT, f"signal.{number}"), way
        assert (failure.detail["code"], failure.detail["signal"]) == (None, number)
        assert name in failure.message
        assert not failure.detail["out_of_memory"]

    raised = await fail(fleet, "command.end", "raise")
    assert (raised.kind, raised.message) == (FailureKind.USER_ERROR, "RuntimeError: no luck with [redacted]")
    assert raised.causes[-1]["location"].startswith("commands.py:end:")
    rate = await fail(fleet, "command.end", "rate")
    assert (rate.kind, rate.code) == (FailureKind.RATE_LIMITED, "http.429")
    nothing = await fail(fleet, "command.end", "nothing")
    assert nothing.message == "the handler returned nothing, not the Nothing it declares"


async def test_p10_what_the_handler_leaves_running_ends_with_it(fleet: Fleet):
    await fleet.worker(COMMANDS)
    for way in ("fork", "thread"):
        assert (await fleet.run("command.end", {"way": way})).state is TaskState.SUCCEEDED, way
    for way, state in (("leave", TaskState.SUCCEEDED), ("crash", TaskState.FAILED)):
        done = await fleet.run("command.family", {"way": way})
        assert done.state is state
        events = await fleet.events(done.id)
        told = next(e for e in events if e.kind is EventKind.LOG and e.body["text"] == "family")
        pids = [int(pid) for pid in told.body["fields"]["pids"].split()]
        assert len(pids) >= 6
        assert [pid for pid in pids if lives(pid)] == []
        assert running(done.id) == []
        assert "killed what the handler left running: " in printed(events, SYSTEM)[0]


async def test_p09_limits_on_memory_and_computing_are_told_apart(fleet: Fleet):
    await fleet.worker(COMMANDS)
    for way in ("little", "near"):
        assert (await fleet.run("command.hungry", {"way": way})).state is TaskState.SUCCEEDED, way
    alone = await fail(fleet, "command.hungry", "alone")
    assert alone.causes[-1]["location"].startswith("commands.py:"), "MemoryError is not where it happened"
    together = await fail(fleet, "command.hungry", "together")
    for failure in (alone, together):
        assert (failure.kind, failure.code) == (FailureKind.RESOURCE, "limit.memory")
        assert "64 MiB" in failure.message
        assert (failure.detail["out_of_memory"], failure.detail["memory_limit_bytes"]) == (True, 64 << 20)
    assert together.detail["memory_peak_bytes"] > 64 << 20

    for way in ("alone", "together"):
        busy = await fail(fleet, "command.busy", way)
        assert (busy.kind, busy.code, busy.detail["out_of_memory"]) == (
            FailureKind.RESOURCE,
            "limit.cpu",
            False,
        )
        assert "more than 1 s" in busy.message


async def test_a_pack_that_starts_threads_is_never_forked_with_them(fleet: Fleet):
    await fleet.worker("tests.packs.threaded")
    done = [await fleet.run("threaded.look", {}) for _ in range(2)]
    assert [task.output for task in done] == [{"threads": 2, "is_late": True}] * 2


async def test_a_killed_nursery_is_replaced_and_its_runs_are_tried_again(fleet: Fleet, tmp_path: Path):
    await fleet.worker(COMMANDS)
    task_id = await fleet.submit("command.until", {"path": str(tmp_path / "go")})
    run = int((await fleet.said(task_id, "running")).body["fields"]["pid"])
    (nursery,) = [pid for pid, name in below(os.getpid()).items() if name == "weir-nursery"]
    os.kill(nursery, 9)
    await until(lambda: not lives(run), "its run ends")
    (tmp_path / "go").touch()
    done = await fleet.until(task_id, TaskState.SUCCEEDED, TaskState.FAILED)
    assert (done.state, done.attempt) == (TaskState.SUCCEEDED, 2)
    assert done.attempts[0].failure is not None
    assert done.attempts[0].failure.kind is FailureKind.LOST_WORKER

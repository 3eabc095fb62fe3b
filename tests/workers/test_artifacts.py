"""Files that handlers of both kinds make, and results that are large, on their way into the store."""

import hashlib
import json
import os
import resource
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.engine import person
from tests.fixtures.scheduling import administrator
from tests.fixtures.workers import Fleet
from tests.workers.looking import below, there, until
from weir_core.errors import NotFound
from weir_core.files.models import File
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.tasks.events import EventKind
from weir_core.tasks.models import Task
from weir_core.tasks.states import FailureKind, TaskState

PACK = "tests.packs.artifacts"
KINDS = ("", "_blocking")
EACH = pytest.mark.parametrize("kind", KINDS, ids=["async", "def"])
sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

READER: Caller = person(everywhere={"files.read"})


async def files_of(fleet: Fleet, task_id: UUID) -> list[File]:
    files = await fleet.engine.runtime.files.list_files(READER, Page(100), f'task_id = "{task_id}"')
    return files[::-1]


async def content(fleet: Fleet, file: File) -> bytes:
    return b"".join([part.data async for part in fleet.engine.runtime.files.read(file, 0, 0)])


async def made(fleet: Fleet, kind: str, **given: Any) -> tuple[Task, dict[str, Any]]:
    ended = await fleet.run(f"artifacts.make{kind}", given)
    assert ended.state is TaskState.SUCCEEDED, ended.failure
    assert ended.output is not None
    return ended, ended.output


def stored(fleet: Fleet) -> set[str]:
    """What lies in the store of files."""
    folder = fleet.engine.settings.data_dir / "files"
    return {path.name for path in folder.rglob("*") if path.is_file()}


def in_wards(pattern: str) -> list[Path]:
    """What lies in the folders of this machine's wards."""
    return list(Path(tempfile.gettempdir()).glob(f"weir-ward-*/{pattern}"))


async def test_what_a_handler_makes_is_kept_and_told(fleet: Fleet, tmp_path: Path):
    await fleet.worker(PACK)
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    for kind in KINDS:
        task, output = await made(
            fleet,
            kind,
            files={"a.txt": "one", "with hunter2 ☃": ""},
            path=str(tmp_path / "big"),
            size=100_000,
        )
        files = await files_of(fleet, task.id)
        assert [str(file.id) for file in files] == output["ids"]
        assert [(file.name, file.media_type, file.size) for file in files] == [
            ("a.txt", "text/plain", 3),
            ("with [redacted] ☃", "text/plain", 0),
            ("copied", "application/octet-stream", 3 << 20),
            ("zeros", "application/octet-stream", 100_000),
        ]
        for file, wanted in zip(
            files, (b"one", b"", (tmp_path / "big").read_bytes(), bytes(100_000)), strict=True
        ):
            assert await content(fleet, file) == wanted
            assert file.sha256 == hashlib.sha256(wanted).digest()
            assert (file.creator, file.project) == (task.creator, "default")
            assert file.expire_time == task.expire_time is not None
        events = await fleet.events(task.id)
        told = [event.body["id"] for event in events if event.kind is EventKind.ARTIFACT]
        assert told == output["ids"]
        with pytest.raises(NotFound):
            await fleet.engine.runtime.files.get(person(everywhere={"tasks.*"}), files[0].id)


async def test_p02_a_task_has_the_files_of_its_newest_attempt_only(fleet: Fleet):
    await fleet.worker(PACK)
    kept: set[str] = set()
    for kind in KINDS:
        task, output = await made(fleet, kind, files={"a": "x"}, then="again")
        assert (task.attempt, output["attempt"]) == (2, 2)
        (file,) = await files_of(fleet, task.id)
        assert (file.attempt, [str(file.id)]) == (2, output["ids"])
        first = next(e for e in await fleet.events(task.id) if e.kind is EventKind.ARTIFACT)
        assert first.attempt == 1
        with pytest.raises(NotFound):
            await fleet.engine.runtime.files.get(READER, UUID(first.body["id"]))
        # The scheduler sweeps too, and may have been here before.
        await fleet.engine.runtime.file_sweep.sweep()
        kept.add(str(file.id))
        assert len(stored(fleet)) == len(kept)
        assert all(any(each in name for name in stored(fleet)) for each in kept)


async def test_p14_what_is_too_much_is_refused_in_the_handler(fleet: Fleet, tmp_path: Path):
    await fleet.worker(PACK, WEIR_FILE_BYTES="1KiB", WEIR_TASK_FILE_BYTES="1500")
    (tmp_path / "large").write_bytes(bytes(1025))
    for kind in KINDS:
        _, output = await made(fleet, kind, path=str(tmp_path / "large"))
        assert output["refused"].startswith(
            "USER_ERROR artifact.size: an artifact of 1,025 bytes is larger than"
        )
        _, output = await made(fleet, kind, files={"a": "x" * 1000, "b": "y" * 500, "c": "z"})
        assert len(output["ids"]) == 2
        assert output["refused"].startswith("USER_ERROR artifact.total: with 1 bytes more")
        failed = await fleet.run(f"artifacts.make{kind}", {"path": str(tmp_path / "large"), "then": "fail"})
        assert failed.failure
        assert (failed.failure.kind, failed.failure.code, failed.attempt) == (
            FailureKind.USER_ERROR,
            "artifact.size",
            1,
        )
    assert len(stored(fleet)) == 2 * len(KINDS)


@pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
async def test_a_full_disk_is_a_want_of_resources(fleet: Fleet, tmp_path: Path):
    worker = await fleet.worker(PACK)
    # No file of the worker's may grow beyond that: what a full disk is to it.
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    (tmp_path / "large").write_bytes(bytes(2 << 20))
    for kind in KINDS:
        before = stored(fleet)
        _, output = await made(fleet, kind, path=str(tmp_path / "large"))
        assert output["refused"].startswith("RESOURCE storage: a file can't be stored")
        assert stored(fleet) == before
        _, output = await made(fleet, kind, files={"small": "fits"})
        assert output["refused"] == ""


async def test_a_large_result_becomes_a_file(fleet: Fleet):
    await fleet.worker(PACK, WEIR_RESULT_BYTES="3MiB")
    for kind in KINDS:
        ended = await fleet.run(f"artifacts.long{kind}", {"length": 2 << 20})
        assert (ended.state, ended.output) == (TaskState.SUCCEEDED, None)
        (file,) = await files_of(fleet, ended.id)
        assert (file.id, file.name, file.media_type) == (
            ended.output_file_id,
            "result.json",
            "application/json",
        )
        assert json.loads(await content(fleet, file))["text"] == "a" * (2 << 20)
        *_, artifact, last = await fleet.events(ended.id)
        assert (artifact.kind, artifact.body["id"]) == (EventKind.ARTIFACT, str(file.id))
        assert (last.is_last, last.body["outcome"]["output_file_id"]) == (True, str(file.id))

        small = await fleet.run(f"artifacts.long{kind}", {"length": 10})
        assert (small.output_file_id, small.output and small.output["text"]) == (None, "a" * 10)
        larger = await fleet.run(f"artifacts.long{kind}", {"length": 3 << 20})
        assert larger.failure
        assert (larger.failure.kind, larger.failure.code) == (FailureKind.USER_ERROR, "output.size")
        assert "at most 3,145,728 are kept" in larger.failure.message
    assert len(stored(fleet)) == len(KINDS)


async def test_a_parent_gets_the_large_result_of_its_child(fleet: Fleet):
    fleet.engine.caller = await administrator(fleet.engine.runtime)
    await fleet.worker(PACK)
    for kind in KINDS:
        ended = await fleet.run(f"artifacts.parent{kind}", {"length": 12 << 20})
        assert ended.output == {"length": 12 << 20}, ended.failure


@sqlite
async def test_p12_a_handler_can_name_nothing_but_what_it_handed_over(fleet: Fleet, tmp_path: Path):
    await fleet.worker(PACK)
    (tmp_path / "secret").write_text("secret")
    names = {"../secret": "", str(tmp_path / "secret"): "", "artifact-short": "", "": ""}
    ended = await fleet.run("artifacts.thief", {"files": names, "path": str(tmp_path / "secret")})
    assert ended.output
    said = ended.output["ids"]
    assert len(said) == 8
    assert all("is no name of a file that is handed over" in each for each in said[:4])
    assert "can't be taken over: Too many levels of symbolic links" in said[4]
    assert ["is no regular file" in each for each in said[5:7]] == [True, True]
    assert "can't be taken over: No such file or directory" in said[7]
    assert stored(fleet) == set()


@sqlite
async def test_p10_nothing_is_left_of_what_was_handed_over(fleet: Fleet, tmp_path: Path):
    await fleet.worker(PACK)
    for kind in KINDS:
        go = tmp_path / f"go{kind}"
        task_id = await fleet.submit(f"artifacts.make{kind}", {"files": {"a": "x"}, "then": str(go)})
        await fleet.said(task_id, "made")
        assert in_wards(f"{task_id}.*") != []
        assert in_wards(f"{task_id}.*/artifact-*") == []
        go.touch()
        await fleet.until(task_id, TaskState.SUCCEEDED)
        assert in_wards(f"{task_id}.*") == []


@EACH
async def test_p10_of_a_worker_that_dies_between_content_and_row_nothing_is_left(fleet: Fleet, kind: str):
    await fleet.worker(PACK, WEIR_FAILPOINTS="artifact.stored:kill")
    task_id = await fleet.submit(f"artifacts.make{kind}", {"files": {"a": "x"}})
    await until(lambda: fleet.running[-1].poll() is not None, "the worker dies")
    assert len(left := stored(fleet)) == 1
    await fleet.worker(PACK)
    ended = await fleet.until(task_id, TaskState.SUCCEEDED)
    assert ended.attempt == 2
    (file,) = await files_of(fleet, task_id)
    assert file.attempt == 2
    assert len(stored(fleet) - left) == 1
    await fleet.engine.runtime.file_sweep.sweep_orphans()
    assert stored(fleet).isdisjoint(left)
    assert await content(fleet, file) == b"x"
    assert there(fleet.engine.settings.data_dir / "files")


@sqlite
@EACH
async def test_p14_a_large_file_goes_through_no_memory(fleet: Fleet, kind: str, tmp_path: Path):
    worker = await fleet.worker(PACK)
    size = 256 << 20
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    before = memory(worker.pid)
    task, _ = await made(fleet, kind, path=str(tmp_path / "sparse"))
    (file,) = await files_of(fleet, task.id)
    assert file.size == size
    assert memory(worker.pid) - before < size // 4


def memory(root: int) -> int:
    """The most memory that a process and those below it have had, in bytes."""
    peaks = 0
    for pid in (root, *below(root)):
        told = Path(f"/proc/{pid}/status").read_text()
        peaks += sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM:"))
    return peaks << 10

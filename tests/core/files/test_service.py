"""Files of attempts that workers hold: who may make one, how much, and what becomes of it."""

import asyncio
import errno
import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.fixtures.engine import Engine, person
from tests.fixtures.stores import ON_BOTH_STORES
from weir_core.errors import InvalidArgument, NotFound, QuotaExceeded
from weir_core.files.models import File, FileLimits, NewFile
from weir_core.files.service import FileService
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.tasks.errors import Fenced
from weir_core.tasks.execution import Claimed
from weir_core.tasks.models import Failure, Task
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.states import FailureKind, TaskState

READER = person(everywhere={"files.read"})
NOTE = NewFile("note.txt", "text/plain")


async def keep(files: FileService, task: Task, text: bytes = b"hello", new: NewFile = NOTE) -> File:
    made = await files.store(task, new, len(text), io.BytesIO(text))
    await files.commit(made)
    return made


async def listed(engine: Engine, text: str = "") -> list[str]:
    return [file.name for file in await engine.runtime.files.list_files(READER, Page(50), text)]


def stored(engine: Engine) -> set[str]:
    return {file.name for file in engine.runtime.store.files("files")}


async def lose(engine: Engine, claimed: Claimed) -> Task:
    """The attempt fails, and another worker has the next one."""
    failure = Failure(FailureKind.RETRYABLE, "once more")
    await engine.runtime.execution.finish(claimed.log, Ended(failure=failure))
    async with asyncio.timeout(20):
        while (await engine.get(claimed.task.id)).state is not TaskState.QUEUED:
            await engine.runtime.promotion.due()
            await asyncio.sleep(0.05)
    (again,) = await engine.runtime.execution.claim(
        [claimed.task.id], await engine.worker(), {"probe.echo": 1}
    )
    return again.task


class TestWho:
    @ON_BOTH_STORES
    async def test_p02_an_older_attempt_makes_no_file_and_its_content_goes(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        files = engine.runtime.files
        late = await files.store(claimed.task, NOTE, 5, io.BytesIO(b"stale"))
        again = await lose(engine, claimed)
        assert stored(engine) == {late.path}
        with pytest.raises(Fenced):
            await files.commit(late)
        assert stored(engine) == set()
        kept = await keep(files, again)
        assert (await listed(engine), stored(engine)) == (["note.txt"], {kept.path})

    async def test_p04_who_must_stop_makes_no_file(self, engine: Engine):
        task = (await engine.claimed(await engine.worker())).task
        await engine.runtime.stopping.cancel(engine.caller, task.id, "enough", None)
        with pytest.raises(Fenced):
            await keep(engine.runtime.files, task)
        assert (await listed(engine), stored(engine)) == ([], set())

    async def test_a_commit_whose_answer_was_lost_is_made_once(self, engine: Engine):
        task = (await engine.claimed(await engine.worker())).task
        made = await keep(engine.runtime.files, task)
        await engine.runtime.files.commit(made)
        assert await listed(engine) == ["note.txt"]
        await engine.runtime.stopping.cancel(engine.caller, task.id, "enough", None)
        with pytest.raises(Fenced):
            await engine.runtime.files.commit(made)
        assert (await listed(engine), stored(engine)) == (["note.txt"], {made.path})

    async def test_p13_only_who_may_read_files_there_sees_one(self, engine: Engine):
        task = (await engine.claimed(await engine.worker())).task
        files = engine.runtime.files
        made = await keep(files, task)
        for nobody in (person(everywhere={"tasks.*"}), person(system={"files.read"})):
            assert await files.list_files(nobody, Page(50), "") == []
            with pytest.raises(NotFound):
                await files.get(nobody, made.id)
        found = await files.get(person(default={"files.read"}), made.id)
        assert replace(found, expire_time=None) == made
        with pytest.raises(NotFound):
            await files.get(READER, new_id())


class TestHowMuch:
    @pytest.fixture
    def files(self, engine: Engine) -> FileService:
        store = engine.runtime.store
        return FileService(engine.runtime.db, store, FileLimits(file=10, task=25, result=30, count=4))

    @pytest.mark.parametrize(
        "sizes,code",
        [((11,), "artifact.size"), ((10, 10, 6), "artifact.total"), ((1, 1, 1, 1, 0), "artifact.count")],
    )
    async def test_p14_a_file_beyond_a_bound_is_refused(
        self, engine: Engine, files: FileService, sizes: tuple[int, ...], code: str
    ):
        task = (await engine.claimed(await engine.worker())).task
        for size in sizes[:-1]:
            await keep(files, task, b"x" * size)
        with pytest.raises(QuotaExceeded) as refused:
            await keep(files, task, b"x" * sizes[-1])
        assert refused.value.subject == code
        assert len(stored(engine)) == len(await listed(engine)) == len(sizes) - 1

    @ON_BOTH_STORES
    async def test_p14_what_comes_counts_and_not_what_was_told(self, engine: Engine, files: FileService):
        task = (await engine.claimed(await engine.worker())).task
        with pytest.raises(QuotaExceeded, match="larger than 10 bytes"):
            await files.store(task, NOTE, 1, io.BytesIO(b"x" * 11))
        with pytest.raises(QuotaExceeded, match="larger than 30 bytes"):
            await files.store_result(task, io.BytesIO(b"x" * 31))
        assert stored(engine) == set()

    async def test_p14_files_made_at_the_same_time_count_together(self, engine: Engine, files: FileService):
        task = (await engine.claimed(await engine.worker())).task
        results = await asyncio.gather(
            *(keep(files, task, b"x" * 8) for _ in range(6)), return_exceptions=True
        )
        kept = [each for each in results if isinstance(each, File)]
        assert {type(each) for each in results} == {File, QuotaExceeded}
        assert stored(engine) == {file.path for file in kept}
        assert len(kept) == 3

    async def test_an_attempt_begins_with_nothing_used(self, engine: Engine, files: FileService):
        claimed = await engine.claimed(await engine.worker())
        for _ in range(2):
            await keep(files, claimed.task, b"x" * 10)
        again = await lose(engine, claimed)
        for _ in range(2):
            await keep(files, again, b"x" * 10)
        assert len(await listed(engine)) == 2

    @pytest.mark.parametrize(
        "name,media_type,field",
        [
            ("", "text/plain", "name"),
            ("a/b", "text/plain", "name"),
            ("..", "text/plain", "name"),
            ("a\nb", "text/plain", "name"),
            ("☃" * 86, "text/plain", "name"),
            ("a", "", "media_type"),
            ("a", "text/plain\r\nx: y", "media_type"),
        ],
        ids=["empty", "folder", "parent", "line", "long", "no type", "header"],
    )
    async def test_a_name_or_type_that_can_not_be_is_refused(
        self, engine: Engine, name: str, media_type: str, field: str
    ):
        task = (await engine.claimed(await engine.worker())).task
        with pytest.raises(InvalidArgument) as refused:
            await keep(engine.runtime.files, task, new=NewFile(name, media_type))
        assert [each.field for each in refused.value.violations] == [field]
        assert stored(engine) == set()

    async def test_p10_of_what_breaks_off_nothing_is_left(self, engine: Engine):
        class Broken(io.BytesIO):
            def read(self, *_: Any) -> bytes:
                raise OSError(errno.ENOSPC, "No space left on device")

        task = (await engine.claimed(await engine.worker())).task
        with pytest.raises(OSError, match="No space left"):
            await engine.runtime.files.store(task, NOTE, 5, Broken())
        assert [path for path in engine.settings.data_dir.rglob("*") if path.is_file()] == []

    async def test_p10_who_is_cancelled_while_storing_leaves_nothing(self, engine: Engine):
        class Endless(io.BytesIO):
            def read(self, *_: Any) -> bytes:
                return b"x" * 1000

        task = (await engine.claimed(await engine.worker())).task
        storing = asyncio.create_task(engine.runtime.files.store(task, NOTE, 5, Endless()))
        folder = engine.settings.data_dir / "files"
        async with asyncio.timeout(20):
            while not list(folder.rglob(".unfinished-*")):
                await asyncio.sleep(0.01)
            storing.cancel()
            while list(folder.rglob(".unfinished-*")):
                await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await storing
        assert stored(engine) == set()


class TestResult:
    async def test_it_is_a_file_with_the_end_of_its_task_and_not_before(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        made = await engine.runtime.files.store_result(claimed.task, io.BytesIO(b'{"n": 1}'))
        assert await listed(engine) == []
        done = await engine.runtime.execution.finish(claimed.log, Ended(file=made))
        assert (done.state, done.output, done.output_file_id) == (TaskState.SUCCEEDED, None, made.id)
        found = await engine.runtime.files.get(READER, made.id)
        assert (found.name, found.sha256) == ("result.json", hashlib.sha256(b'{"n": 1}').digest())
        ended = await engine.get(claimed.task.id)
        assert (ended.output_file_id, ended.expire_time) == (made.id, found.expire_time)

    async def test_an_end_whose_answer_was_lost_does_not_cost_it(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        made = await engine.runtime.files.store_result(claimed.task, io.BytesIO(b"{}"))
        await engine.runtime.execution.finish(claimed.log, Ended(file=made))
        with pytest.raises(Fenced):
            await engine.runtime.execution.finish(claimed.log, Ended(file=made))
        await engine.runtime.files.drop(made)
        assert stored(engine) == {made.path}

    async def test_p02_that_of_an_older_attempt_is_refused_with_its_end(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        made = await engine.runtime.files.store_result(claimed.task, io.BytesIO(b"{}"))
        await lose(engine, claimed)
        with pytest.raises(Fenced):
            await engine.runtime.execution.finish(claimed.log, Ended(file=made))
        assert await listed(engine) == []

    async def test_a_success_that_comes_after_a_cancel_keeps_it(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        made = await engine.runtime.files.store_result(claimed.task, io.BytesIO(b"{}"))
        await engine.runtime.stopping.cancel(engine.caller, claimed.task.id, "enough", None)
        done = await engine.runtime.execution.finish(claimed.log, Ended(file=made))
        assert (done.state, done.output_file_id) == (TaskState.SUCCEEDED, made.id)
        assert await listed(engine) == ["result.json"]


@ON_BOTH_STORES
class TestSweep:
    async def test_files_of_an_attempt_that_another_one_followed_go(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        await keep(engine.runtime.files, claimed.task)
        sweep = engine.runtime.file_sweep
        assert (await sweep.sweep_superseded(), len(stored(engine))) == (0, 1)
        kept = await keep(engine.runtime.files, await lose(engine, claimed))
        assert await sweep.sweep_superseded() == 1
        assert stored(engine) == {kept.path}
        assert await sweep.sweep() == 0
        assert await listed(engine) == ["note.txt"]

    async def test_files_of_a_task_that_has_ended_stay(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        kept = await keep(engine.runtime.files, claimed.task)
        await engine.runtime.execution.finish(claimed.log, Ended(output={}))
        for _ in range(2):
            assert await engine.runtime.file_sweep.sweep_superseded() == 0
        assert await engine.runtime.file_sweep.sweep_orphans() == 0
        assert stored(engine) == {kept.path}

    async def test_p10_content_without_a_row_goes_once_its_attempt_can_not_write(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker())
        files, sweep = engine.runtime.files, engine.runtime.file_sweep
        left = await files.store(claimed.task, NOTE, 5, io.BytesIO(b"hello"))
        assert await sweep.sweep_orphans() == 0
        await lose(engine, claimed)
        assert await sweep.sweep_orphans() == 1
        assert left.path not in stored(engine)

    async def test_what_is_no_content_of_a_file_is_left_alone(self, engine: Engine):
        engine.runtime.store.put("files/ab/readme.txt", b"mine")
        assert await engine.runtime.file_sweep.sweep_orphans() == 0
        assert stored(engine) == {"files/ab/readme.txt"}

    async def test_files_go_with_their_task(self, engine: Engine):
        claimed = await engine.claimed(await engine.worker(), retention=timedelta(milliseconds=1))
        kept = await keep(engine.runtime.files, claimed.task)
        await engine.runtime.execution.finish(claimed.log, Ended(output={}))
        async with asyncio.timeout(20):
            while not await engine.runtime.sweeper.remove_expired():
                await asyncio.sleep(0.05)
        assert await listed(engine) == []
        with pytest.raises(NotFound):
            await engine.runtime.files.get(READER, kept.id)
        assert await engine.runtime.file_sweep.sweep() == 1
        assert stored(engine) == set()

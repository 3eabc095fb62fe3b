"""Files, as tasks make them and callers read them.

The content is stored first, under a name that tells task and attempt; it becomes a file with its row, in
a transaction that begins with the fence. What lies between the two when a process dies is swept.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.db import Database
from weir_core.errors import ChecksumMismatch, DependencyDown, InvalidArgument, NotFound, QuotaExceeded
from weir_core.failpoints import reach
from weir_core.files import repository
from weir_core.files.models import (
    RESULT,
    File,
    FileLimits,
    NewFile,
    Owner,
    content_path,
    file,
)
from weir_core.filtering import Filterable, id_value, parse, time_value, to_sql
from weir_core.ids import new_id
from weir_core.paging import Page
from weir_core.principals import Caller
from weir_core.stores.contract import ObjectStore, Source, TooLarge
from weir_core.stores.threads import in_thread
from weir_core.tasks.errors import Fenced
from weir_core.tasks.models import Task
from weir_core.tasks.repository import fence

PORTION: Final = 512 * 1024
# Contents that one process stores at a time; more wait their turn.
_AT_ONCE: Final = 4

FILTERS: Final = {
    "project": Filterable(file.c.project),
    "name": Filterable(file.c.name),
    "task_id": Filterable(file.c.task_id, id_value),
    "create_time": Filterable(
        file.c.create_time, time_value, ("<", "<=", ">", ">="), repository.created_about
    ),
}


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file, and where they stand in it."""

    offset: int
    data: bytes


class FileService:
    """What is kept of tasks, and the one way that anything gets there."""

    def __init__(self, db: Database, store: ObjectStore, limits: FileLimits) -> None:
        self._db = db
        self._store = store
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.limits = limits

    async def store(self, task: Task, new: NewFile, size: int, source: Source) -> File:
        """Store the content of a file that a running task makes; `commit` makes a file of it.

        `size` is what the source is believed to have. InvalidArgument, QuotaExceeded; OSError where the
        disk is full.
        """
        new.check()
        made = _file(task, new.name, new.media_type)
        async with self._db.read() as tx:
            await self._check_room(tx, made, size)
        return await self._store_content(made, source, self.limits.file, "artifact")

    async def commit(self, made: File) -> None:
        """Make a file of stored content; Fenced, also once a cancel was asked for, and QuotaExceeded."""

        async def work(tx: AsyncConnection) -> None:
            await fence(tx, made.task_id, made.attempt)
            await self._check_room(tx, made, made.size)
            await repository.insert(tx, made)

        try:
            await self._db.write(work)
        except (Fenced, QuotaExceeded):
            await self.drop(made)
            raise
        reach("artifact.committed")

    async def store_result(self, task: Task, source: Source) -> File:
        """Store a result that is too large for the task's row; it becomes a file with the task's end."""
        made = _file(task, RESULT, "application/json")
        return await self._store_content(made, source, self.limits.result, "result")

    async def copy_out(self, file_id: UUID, target: Path) -> None:
        """Write a file's content to a file that is not there yet; NotFound, OSError."""
        async with self._db.read() as tx:
            found = await repository.get(tx, file_id)
        if found is None:
            raise NotFound("file", file_id)
        await in_thread(self._store.copy_to, found.path, target)

    async def drop(self, made: File) -> None:
        """Delete content that was refused; what can't be deleted now is swept.

        Who is refused may have made a file of it before, and not heard the answer.
        """
        with suppress(OSError, DependencyDown):
            async with self._db.read() as tx:
                known = await repository.known(tx, {made.id})
            if not known:
                await in_thread(self._store.delete, made.path)

    async def get(self, caller: Caller, file_id: UUID) -> File:
        """A file; NotFound where the caller may not read it."""
        async with self._db.read() as tx:
            found = await repository.get(tx, file_id)
        if found is None or not caller.holds("files.read", found.project):
            raise NotFound("file", file_id)
        return found

    async def list_files(self, caller: Caller, page: Page, filter_text: str) -> list[File]:
        """Files, newest first; one more than the page holds, where there is one."""
        conditions = to_sql(parse(filter_text), FILTERS)
        projects = caller.projects("files.read")
        if projects is not None:
            conditions.append(file.c.project.in_(projects))
        after = UUID(page.key[0]) if page.key else None
        async with self._db.read() as tx:
            return await repository.list_files(tx, conditions, after, page.size + 1)

    async def read(self, found: File, offset: int, length: int) -> AsyncGenerator[Part]:
        """A part of a file, 512 KiB at a time; `length` 0: to the end.

        Read as it is asked for: a reader holds neither memory nor an open file while it does not read.
        NotFound where the file goes meanwhile, ChecksumMismatch where it is damaged, DependencyDown where the
        store does not give it.
        """
        if offset > found.size:
            raise InvalidArgument.at("offset", f"is beyond the end of the file at {found.size}, not {offset}")
        end = min(found.size, offset + length) if length else found.size
        while offset < end:
            wanted = min(PORTION, end - offset)
            try:
                data = await in_thread(self._store.read, found.path, offset, wanted)
            except FileNotFoundError:
                raise NotFound("file", found.id) from None
            except OSError as error:
                told = f"file {found.id} can't be read: {error.strerror}"
                raise DependencyDown("storage", told=told) from error
            if len(data) < wanted:
                raise ChecksumMismatch(f"file {found.id} is shorter than it was when it was stored")
            yield Part(offset, data)
            offset += wanted

    async def _store_content(self, made: File, source: Source, most: int, what: str) -> File:
        abandoned = threading.Event()
        async with self._turns:
            try:
                measure = await in_thread(self._store.put_from, made.path, source, most, abandoned)
            except TooLarge:
                raise _too_large(what, most) from None
            finally:
                abandoned.set()
        reach("artifact.stored")
        return replace(made, size=measure.size, sha256=measure.sha256)

    async def _check_room(self, tx: AsyncConnection, made: File, size: int) -> None:
        """QuotaExceeded where the attempt would have too many files, or too large ones."""
        if size > self.limits.file:
            raise _too_large("artifact", self.limits.file)
        used = await repository.usage(tx, made.task_id, made.attempt, made.id)
        if used.count >= self.limits.count:
            raise QuotaExceeded("artifact.count", f"a task has at most {self.limits.count:,} files")
        if used.size + size > self.limits.task:
            raise QuotaExceeded(
                "artifact.total",
                f"with {size:,} bytes more the task's files had {used.size + size:,}; "
                f"they have at most {self.limits.task:,} (WEIR_TASK_FILE_BYTES)",
            )


def _too_large(what: str, most: int) -> QuotaExceeded:
    setting = "WEIR_RESULT_BYTES" if what == "result" else "WEIR_FILE_BYTES"
    code = "output.size" if what == "result" else "artifact.size"
    return QuotaExceeded(code, f"the {what} is larger than {most:,} bytes ({setting})")


def _file(task: Task, name: str, media_type: str) -> File:
    file_id = new_id()
    return File(
        id=file_id,
        project=task.project,
        name=name,
        media_type=media_type,
        size=0,
        sha256=b"",
        path=content_path(file_id, Owner(task.id, task.attempt)),
        task_id=task.id,
        attempt=task.attempt,
        creator=task.creator,
        create_time=datetime.now(UTC),
    )

"""All SQL about files."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import insert_new
from weir_core.files.models import File, file
from weir_core.ids import first_id
from weir_core.principals import creator_of, creator_values
from weir_core.tasks.models import task
from weir_core.tasks.states import TERMINAL

# Between a file's id and its time of creation.
_SLACK: Final = timedelta(seconds=1)
_ENDED: Final = [int(state) for state in TERMINAL]
# A file is there as long as its attempt is the newest one.
_VISIBLE: Final = (
    select(file, task.c.state.label("task_state"), task.c.alarm_time)
    .join(task, task.c.id == file.c.task_id)
    .where(file.c.attempt == task.c.attempt, task.c.is_delete.is_(False))
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt has stored."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A file of a task that had not ended when it was looked at last."""

    id: UUID
    path: str
    stays: bool
    """True: its attempt is the newest one."""
    ended: bool


async def insert(tx: AsyncConnection, new: File, *, settled: bool = False) -> None:
    """Store a file's row; that of a file which is there is kept."""
    values: dict[str, Any] = {
        "id": new.id,
        "project": new.project,
        "name": new.name,
        "media_type": new.media_type,
        "size": new.size,
        "sha256": new.sha256,
        "path": new.path,
        "task_id": new.task_id,
        "attempt": new.attempt,
        "settled": settled,
        "create_time": new.create_time,
        **creator_values(new.creator),
    }
    await insert_new(tx, file, values)


async def usage(tx: AsyncConnection, task_id: UUID, attempt: int, but: UUID) -> Usage:
    """What an attempt has stored beside one file."""
    size = func.coalesce(func.sum(file.c.size), 0)
    query = select(func.count(), size).where(
        file.c.task_id == task_id, file.c.attempt == attempt, file.c.id != but
    )
    count, taken = (await tx.execute(query)).one()
    return Usage(count, int(taken))


async def get(tx: AsyncConnection, file_id: UUID) -> File | None:
    """A file that is there."""
    row = (await tx.execute(_VISIBLE.where(file.c.id == file_id))).first()
    return _file(row) if row else None


async def list_files(
    tx: AsyncConnection, conditions: list[ColumnElement[bool]], after: UUID | None, limit: int
) -> list[File]:
    """Files, newest first."""
    # By the index that gives the order, each with its task, and not the other way round.
    query = _VISIBLE.prefix_with("STRAIGHT_JOIN", dialect="mysql").prefix_with(
        "STRAIGHT_JOIN", dialect="mariadb"
    )
    query = query.where(*conditions).order_by(file.c.id.desc()).limit(limit)
    if after is not None:
        query = query.where(file.c.id < after)
    return [_file(row) for row in await tx.execute(query)]


def created_about(op: str, instant: datetime) -> ColumnElement[bool]:
    """What ids say of the time of creation: they begin with it, in milliseconds."""
    if op.startswith("<"):
        return file.c.id < first_id(instant + _SLACK)
    return file.c.id >= first_id(instant - _SLACK)


async def unsettled(tx: AsyncConnection, after: UUID | None, limit: int) -> list[Unsettled]:
    """Files whose task may still go on, by id."""
    query = (
        select(file.c.id, file.c.path, file.c.attempt, task.c.attempt.label("newest"), task.c.state)
        .outerjoin(task, task.c.id == file.c.task_id)
        .where(~file.c.settled)
        .order_by(file.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(file.c.id > after)
    return [
        Unsettled(row.id, row.path, stays=row.attempt == row.newest, ended=row.state in _ENDED)
        for row in await tx.execute(query)
    ]


async def settle(tx: AsyncConnection, file_ids: Sequence[UUID]) -> None:
    """Note that no later attempt can take these files' place."""
    if file_ids:
        await tx.execute(update(file).where(file.c.id.in_(file_ids)).values(settled=True))


async def delete_files(tx: AsyncConnection, file_ids: Sequence[UUID]) -> None:
    """Delete rows."""
    if file_ids:
        await tx.execute(delete(file).where(file.c.id.in_(file_ids)))


async def newest_attempts(tx: AsyncConnection, task_ids: Collection[UUID]) -> dict[UUID, int]:
    """The newest attempt of each of some tasks that have not ended."""
    query = select(task.c.id, task.c.attempt).where(
        task.c.id.in_(list(task_ids)), task.c.state.not_in(_ENDED)
    )
    return {row.id: row.attempt for row in await tx.execute(query)}


async def known(tx: AsyncConnection, file_ids: Collection[UUID]) -> set[UUID]:
    """Those of some files that have a row."""
    return set((await tx.execute(select(file.c.id).where(file.c.id.in_(list(file_ids))))).scalars())


def _file(row: Row[Any]) -> File:
    return File(
        id=row.id,
        project=row.project,
        name=row.name,
        media_type=row.media_type,
        size=row.size,
        sha256=row.sha256,
        path=row.path,
        task_id=row.task_id,
        attempt=row.attempt,
        creator=creator_of(row),
        create_time=row.create_time,
        expire_time=row.alarm_time if row.task_state in _ENDED else None,
    )

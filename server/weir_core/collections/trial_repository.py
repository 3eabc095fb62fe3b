"""All SQL about tries."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import insert as insert_into
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.collections.models import trial
from weir_core.columns import database_now, now_plus


async def insert(tx: AsyncConnection, task_id: UUID, asked: bytes) -> None:
    """Store what a try is to do."""
    await tx.execute(insert_into(trial).values(id=task_id, asked=asked, create_time=database_now()))


async def asked(tx: AsyncConnection, task_id: UUID) -> bytes | None:
    """What a try is to do; None where it was erased."""
    return (await tx.execute(select(trial.c.asked).where(trial.c.id == task_id))).scalar()


async def set_answer(tx: AsyncConnection, task_id: UUID, answer: bytes) -> None:
    """Store what a try found, where it was not erased."""
    await tx.execute(update(trial).where(trial.c.id == task_id).values(answer=answer))


async def answer(tx: AsyncConnection, task_id: UUID) -> bytes | None:
    """What a try found; None: nothing yet, or it was erased."""
    return (await tx.execute(select(trial.c.answer).where(trial.c.id == task_id))).scalar()


async def older(tx: AsyncConnection, age: timedelta, limit: int) -> list[UUID]:
    """Tries that are older than that."""
    query = select(trial.c.id).where(trial.c.create_time < now_plus(-age)).order_by(trial.c.create_time)
    return list((await tx.execute(query.limit(limit))).scalars())


async def delete(tx: AsyncConnection, ids: list[UUID]) -> None:
    """Erase tries."""
    if ids:
        await tx.execute(delete_from(trial).where(trial.c.id.in_(ids)))

"""All SQL about putting segments together."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import database_now
from weir_core.datasets.grouping import Sized
from weir_core.datasets.models import dataset, hidden_rows, segment


async def sizes(
    tx: AsyncConnection, dataset_id: UUID, version: int, only: Sequence[UUID] | None = None
) -> list[Sized]:
    """What the segments of a version hold, or some of them, in the order of their commits."""
    query = (
        select(segment.c.id, segment.c.rows, segment.c.bytes, func.coalesce(hidden_rows.c.rows, 0))
        .outerjoin(hidden_rows, and_(hidden_rows.c.segment_id == segment.c.id, _shown(hidden_rows, version)))
        .where(segment.c.dataset_id == dataset_id, _shown(segment, version))
        .order_by(segment.c.id)
    )
    if only is not None:
        query = query.where(segment.c.id.in_(only))
    return [Sized(*row) for row in await tx.execute(query)]


async def newest_schema_shown(tx: AsyncConnection, dataset_id: UUID, version: int) -> int:
    """The newest version of the schema among the segments of a version; 0 where there are none."""
    query = select(func.coalesce(func.max(segment.c.schema_version), 0))
    return (
        await tx.execute(query.where(segment.c.dataset_id == dataset_id, _shown(segment, version)))
    ).scalar_one()


async def retire(tx: AsyncConnection, segment_ids: Sequence[UUID], version: int) -> None:
    """From this version on the dataset has none of some segments that it has now."""
    for table, key in ((segment, segment.c.id), (hidden_rows, hidden_rows.c.segment_id)):
        await tx.execute(
            update(table)
            .where(key.in_(segment_ids), table.c.to_version.is_(None))
            .values(to_version=version, retire_time=database_now())
        )


async def next_version(tx: AsyncConnection, dataset_id: UUID, values: dict[str, Any]) -> int:
    """Give a dataset its next version, whose records are those of the one before; the version's number."""
    changed = values | {"version": dataset.c.version + 1}
    await tx.execute(update(dataset).where(dataset.c.id == dataset_id).values(**changed))
    return (await tx.execute(select(dataset.c.version).where(dataset.c.id == dataset_id))).scalar_one()


def _shown(table: Any, version: int) -> ColumnElement[bool]:
    return and_(
        table.c.from_version <= version,
        or_(table.c.to_version.is_(None), table.c.to_version > version),
    )

"""What a segment is in the manifest: its row, and the version of the schema that it has."""

from dataclasses import asdict, replace
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.datasets import repository
from weir_core.datasets.arrow_types import parse_type, type_text
from weir_core.datasets.commits import Segment
from weir_core.datasets.evolution import SchemaMismatch, changes
from weir_core.datasets.models import ColumnInfo

_EXACT: Final = 2**53


def columns_in(schema: pa.Schema) -> list[ColumnInfo]:
    """The columns of an Arrow schema, as the database keeps them."""
    return [ColumnInfo(field.name, type_text(field.type), field.nullable) for field in schema]


async def column_type(tx: AsyncConnection, dataset_id: UUID, name: str) -> pa.DataType | None:
    """The type of a column in the newest schema; None where there is no such one yet."""
    _, columns = await repository.newest_schema(tx, dataset_id)
    kind = next((column.type for column in columns if column.name == name), None)
    return parse_type(kind) if kind else None


async def schema_version(
    tx: AsyncConnection, dataset_id: UUID, schema: pa.Schema, *, shown: bool
) -> tuple[int, list[str]]:
    """The version of the dataset's schema that a segment has, and what that changes where it is a new one.

    `shown`: beside the segments that are shown now, whose values it must hold.
    """
    newest, known = await repository.newest_schema(tx, dataset_id)
    columns = columns_in(schema)
    if newest and [replace(column, since=1) for column in known] == columns:
        return newest, []
    if shown:
        await _check_widening(tx, dataset_id, known, columns)
    since = {(column.name, column.type): column.since for column in known}
    stored = [
        asdict(replace(column, since=since.get((column.name, column.type), newest + 1))) for column in columns
    ]
    await repository.insert_schema(tx, dataset_id, newest + 1, stored)
    return newest + 1, changes(known, columns) if newest else []


def segment_values(segment: Segment, dataset_id: UUID, run_id: UUID, attempt: int) -> dict[str, Any]:
    """What the manifest keeps of a segment, beside number, generation and versions."""
    return {
        "dataset_id": dataset_id,
        "run_id": run_id,
        "attempt": attempt,
        "path": segment.path,
        "rows": segment.rows,
        "bytes": segment.bytes,
        "sha256": bytes.fromhex(segment.sha256),
        "low": segment.low,
        "high": segment.high,
        "bounds": dict(segment.bounds),
    }


async def _check_widening(
    tx: AsyncConnection, dataset_id: UUID, known: list[ColumnInfo], columns: list[ColumnInfo]
) -> None:
    """A column of whole numbers becomes one of doubles only where these hold all that is stored."""
    before = {column.name: column.type for column in known}
    risky = {
        column.name
        for column in columns
        if column.type == "double" and before.get(column.name) in {"int64", "uint64"}
    }
    if not risky:
        return
    version = (await repository.dataset_row(tx, dataset_id)).version
    for segment in await repository.visible_segments(tx, dataset_id, version):
        for name in sorted(risky & segment.bounds.keys()):
            if any(isinstance(end, int) and abs(end) > _EXACT for end in segment.bounds[name]):
                raise SchemaMismatch(
                    f"column {name!r} can't become one of doubles: it holds whole numbers beyond 2^53"
                )

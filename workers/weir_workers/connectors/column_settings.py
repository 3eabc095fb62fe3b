"""Columns of a dataset as a collection's settings name them, for sources that have text only."""

from collections.abc import Sequence

import pyarrow as pa
from pydantic import Field, field_validator

from weir_core.datasets.arrow_types import parse_type
from weir_workers.connectors.setting_types import Strict


class ColumnSetting(Strict):
    """A column of the dataset."""

    name: str = Field(min_length=1, max_length=200, description="The field's name in the records.")
    type: str = Field(
        max_length=2000,
        description=(
            "Arrow type as text: int64, double, string, bool, timestamp[us, tz=UTC], date32, list<string>, …"
        ),
    )
    nullable: bool = Field(default=True, description="False: a record without it goes to quarantine.")

    @field_validator("type")
    @classmethod
    def _known(cls, text: str) -> str:
        if _unreadable(parse_type(text)):
            raise ValueError("JSON has no bytes and no times without a day; read such a column as string")
        return text


def unique(columns: list[ColumnSetting]) -> list[ColumnSetting]:
    """The columns; ValueError if two have the same name."""
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"named twice: {', '.join(twice)}")
    return columns


def declared_schema(columns: Sequence[ColumnSetting]) -> pa.Schema | None:
    """The columns as a schema; None if there are none."""
    fields = [pa.field(column.name, parse_type(column.type), column.nullable) for column in columns]
    return pa.schema(fields) if fields else None


def _unreadable(kind: pa.DataType) -> bool:
    if pa.types.is_binary(kind) or pa.types.is_time(kind):
        return True
    return any(_unreadable(kind.field(at).type) for at in range(kind.num_fields))

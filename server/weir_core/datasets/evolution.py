"""How the columns of a dataset follow those of their source.

New columns come at the end and may be null; numbers and the members of objects
widen. Nothing else changes: a text does not become a number, nor a number a text.
"""

from collections.abc import Sequence

import pyarrow as pa

from weir_core.datasets.arrow_types import type_text
from weir_core.datasets.models import ColumnInfo
from weir_core.datasets.values import SchemaPolicy


class SchemaMismatch(ValueError):
    """Columns that can't be those of the dataset."""


def evolved(known: pa.Schema, brought: pa.Schema, policy: SchemaPolicy) -> pa.Schema:
    """The dataset's columns after a batch with others; SchemaMismatch where they can't follow."""
    if policy is SchemaPolicy.FREEZE:
        return known
    if policy is SchemaPolicy.STRICT:
        if told := differences(known, brought):
            raise SchemaMismatch(f"the source's columns differ, and the schema policy is STRICT: {told}")
        return known
    fields = [
        _widened_field(field, brought.field(field.name)) if field.name in brought.names else field
        for field in known
    ]
    new = [field.with_nullable(True) for field in brought if field.name not in known.names]
    return pa.schema([*fields, *new])


def widened(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both; None where there is none, or it is of another kind."""
    if one == other:
        return one
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        return _widened_struct(one, other)
    if pa.types.is_list(one) and pa.types.is_list(other):
        inner = widened(one.value_type, other.value_type)
        return pa.list_(inner) if inner is not None else None
    if not (_is_number(one) and _is_number(other)):
        return None
    try:
        both = [pa.schema([("n", one)]), pa.schema([("n", other)])]
        return pa.unify_schemas(both, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return None


def conformed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column as a type that is as wide or wider; ArrowException where a value does not fit."""
    if column.type == kind:
        return column
    if pa.types.is_struct(kind) and pa.types.is_struct(column.type):
        there = {column.type.field(at).name: at for at in range(column.type.num_fields)}
        parts = column.flatten()
        fields = [kind.field(at) for at in range(kind.num_fields)]
        members = [
            conformed(parts[there[field.name]], field.type)
            if field.name in there
            else pa.nulls(len(column), field.type)
            for field in fields
        ]
        return pa.StructArray.from_arrays(members, fields=fields, mask=column.is_null())
    if pa.types.is_list(kind) and pa.types.is_list(column.type):
        values = conformed(column.values, kind.value_type)
        return pa.ListArray.from_arrays(column.offsets, values, type=kind, mask=column.is_null())
    return column.cast(kind)


def differences(known: pa.Schema, brought: pa.Schema) -> str:
    """In words; empty where the columns are the same."""
    new = [name for name in brought.names if name not in known.names]
    gone = [name for name in known.names if name not in brought.names]
    other = [
        f"{field.name} holds {type_text(brought.field(field.name).type)}, not {type_text(field.type)}"
        for field in known
        if field.name in brought.names and brought.field(field.name).type != field.type
    ]
    told = [f"new: {', '.join(new)}"] if new else []
    told += [f"missing: {', '.join(gone)}"] if gone else []
    return "; ".join(told + other)


def changes(before: Sequence[ColumnInfo], after: Sequence[ColumnInfo]) -> list[str]:
    """What a new version of a schema changes, a sentence each."""
    old = {column.name: column.type for column in before}
    new = {column.name: column.type for column in after}
    firm = {column.name for column in before if not column.nullable}
    told = [f"{name} is new: {kind}" for name, kind in new.items() if name not in old]
    told += [
        f"{name} is now {kind}, was {old[name]}"
        for name, kind in new.items()
        if name in old and old[name] != kind
    ]
    told += [f"{column.name} may be null now" for column in after if column.nullable and column.name in firm]
    return told + [f"{name} is left out" for name in old if name not in new]


def _widened_field(known: pa.Field, brought: pa.Field) -> pa.Field:
    kind = widened(known.type, brought.type)
    if kind is None:
        raise SchemaMismatch(
            f"column {known.name!r} holds {type_text(brought.type)}, the dataset has {type_text(known.type)}"
        )
    return pa.field(known.name, kind, known.nullable or brought.nullable)


def _widened_struct(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    theirs = {other.field(at).name: other.field(at) for at in range(other.num_fields)}
    fields: list[pa.Field] = []
    for at in range(one.num_fields):
        field = one.field(at)
        kind = widened(field.type, theirs.pop(field.name).type) if field.name in theirs else field.type
        if kind is None:
            return None
        fields.append(field.with_type(kind))
    return pa.struct([*fields, *(field.with_nullable(True) for field in theirs.values())])


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)

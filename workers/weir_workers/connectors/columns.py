"""A list of records as columns, by `pyarrow.json`: the fast tier.

It is never trusted beyond what was tried: days it would take for numbers (they
are read as text and cast), nulls it lets into columns that allow none, bytes
that are not UTF-8 into text, and what a float32 can't hold it makes infinite. All these are misfits here.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

_LIST = "r"
_ROW = re.compile(r" in row (\d+)$")


class Misfit(Exception):
    """The records do not fit the columns, at least one of them."""


class UnknownField(Misfit):
    """At least one record has a field that is no column."""


def read_columns(records: bytes, schema: pa.Schema, *, refuse_unknown: bool) -> pa.RecordBatch:
    """All records of a JSON list; Misfit if one of them does not fit."""
    structs = _parsed(records, schema, refuse_unknown=refuse_unknown)
    if structs.null_count:
        raise Misfit("a record is null")
    try:
        arrays = [_shaped(array, field) for array, field in zip(structs.flatten(), schema, strict=True)]
        rows = pa.RecordBatch.from_arrays(arrays, schema=schema)
        rows.validate(full=True)
    except pa.ArrowException as error:
        raise Misfit(str(error)) from None
    return rows


def misfits_among(records: Sequence[bytes], schema: pa.Schema, most: int) -> Iterator[int]:
    """The places of those that are not of the columns' kinds, so many at most: hints, as the parser tells."""
    # Each in a list of its own: records that are no objects would crash the parser at the top.
    lines = [_line(b"[" + record + b"]") for record in records]
    begins = list(accumulate(map(len, lines), initial=0))
    body = pa.py_buffer(b"".join(lines))
    at = 0
    for _ in range(most):
        try:
            _read_lines(body.slice(begins[at]), schema, refuse_unknown=False)
        except pa.ArrowException as error:
            found = _ROW.search(str(error))
            if found is None or at + int(found[1]) >= len(records):
                return
            at += int(found[1])
            yield at
            at += 1
        else:
            return


def _parsed(records: bytes, schema: pa.Schema, *, refuse_unknown: bool) -> pa.StructArray:
    try:
        table = _read_lines(pa.py_buffer(_line(records)), schema, refuse_unknown=refuse_unknown)
    except pa.ArrowException as error:
        raise (UnknownField if "unexpected field" in str(error) else Misfit)(str(error)) from None
    return cast("pa.StructArray", table.column(_LIST).chunk(0).flatten())


def _line(records: bytes) -> bytes:
    """A list of records as a row of its own."""
    return b"".join((b'{"', _LIST.encode(), b'":', records, b"}\n"))


def _read_lines(body: pa.Buffer, schema: pa.Schema, *, refuse_unknown: bool) -> pa.Table:
    """A row for each list of records."""
    wire = pa.schema([(_LIST, pa.list_(_wire(pa.struct(list(schema)))))])
    return pj.read_json(
        pa.BufferReader(body),
        # One block: a record may not lie across two.
        read_options=pj.ReadOptions(use_threads=False, block_size=body.size + 16),
        parse_options=pj.ParseOptions(
            explicit_schema=wire,
            newlines_in_values=True,
            unexpected_field_behavior="error" if refuse_unknown else "ignore",
        ),
    )


def _wire(kind: pa.DataType) -> pa.DataType:
    """The type to parse: days as text, nothing required."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _wire(field.type)) for field in _fields(kind)])
    if pa.types.is_list(kind):
        return pa.list_(_wire(kind.value_type))
    return pa.string() if pa.types.is_date(kind) else kind


def _shaped(array: pa.Array, field: pa.Field) -> pa.Array:
    """The array as the column's type; Misfit where it can't be."""
    if not field.nullable and array.null_count:
        raise Misfit(f"{field.name} is null")
    kind = field.type
    if pa.types.is_struct(kind):
        return _shaped_struct(cast("pa.StructArray", array), kind)
    if pa.types.is_list(kind):
        return _shaped_list(cast("pa.ListArray", array), kind)
    if pa.types.is_float32(kind) and not pc.all(pc.is_finite(array), min_count=0).as_py():
        raise Misfit(f"{field.name} is out of range")
    return array if array.type == kind else array.cast(kind)


def _shaped_struct(array: pa.StructArray, kind: pa.DataType) -> pa.Array:
    fields = _fields(kind)
    # A required member may be null where its parent is.
    if array.null_count and any(not field.nullable for field in fields):
        for member, field in zip(array.filter(array.is_valid()).flatten(), fields, strict=True):
            if not field.nullable and member.null_count:
                raise Misfit(f"{field.name} is null")
    optional = array.null_count > 0
    members = [
        _shaped(member, field.with_nullable(True) if optional else field)
        for member, field in zip(array.flatten(), fields, strict=True)
    ]
    return pa.StructArray.from_arrays(members, fields=fields, mask=array.is_null())


def _shaped_list(array: pa.ListArray, kind: pa.DataType) -> pa.Array:
    values = _shaped(array.values, kind.value_field)
    return pa.ListArray.from_arrays(array.offsets, values, type=kind, mask=array.is_null())


def _fields(kind: pa.DataType) -> list[pa.Field]:
    return [kind.field(at) for at in range(kind.num_fields)]

"""Which rows of a segment do not count any more: a bit a row, packed for the database.

A segment's file never changes. Where a newer record of the same key, a deletion
or a backfill takes the place of some of its rows, these are hidden from a
version on.
"""

import zlib

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.values import Packed


def bits(rows: int, places: pa.Array) -> pa.BooleanArray:
    """True at the places, numbers of rows from 0."""
    return pc.is_in(pa.arange(0, rows), value_set=places)


def count(hidden: pa.BooleanArray) -> int:
    """How many rows are hidden."""
    return hidden.true_count


def either(one: pa.BooleanArray | None, other: pa.BooleanArray) -> pa.BooleanArray:
    """Hidden by one or the other."""
    return other if one is None else pc.or_(one, other)


def pack(hidden: pa.BooleanArray) -> Packed:
    """For the database: at most a bit a row."""
    values = pa.concat_arrays([hidden, pa.array([], pa.bool_())]) if hidden.offset else hidden
    return zlib.compress(values.buffers()[1].to_pybytes(), 6)


def unpack(packed: Packed, rows: int) -> pa.BooleanArray:
    """As it was before `pack`."""
    raw = zlib.decompress(packed)
    return pa.BooleanArray.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(raw)])

"""Which of several records of a key counts: the one with the greatest cursor, of equals the one read last.

New segments are settled one after the other against all that lie before them.
What loses is hidden. A record that its source has deleted wins like any other,
and then is hidden itself, so that an older one that comes late does not bring it
back. Pure and blocking: call it from a thread. Of the older segments one at a
time is in memory, with its key and cursor alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from weir_core.datasets.hidden import bits, either
from weir_core.datasets.values import Rules

_ROW, _RANK = "weir row", "weir rank"


@dataclass(frozen=True, slots=True)
class Mergeable:
    """A stored segment."""

    path: str
    rows: int
    bounds: dict[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    """Least and greatest value by column, where they are known, as the manifest has them."""


Hidden: TypeAlias = dict[str, pa.BooleanArray]
Read: TypeAlias = Callable[[Mergeable, Sequence[str]], pa.Table]


def settle(read: Read, rules: Rules, new: Sequence[Mergeable], old: Sequence[Mergeable]) -> Hidden:
    """The rows to hide by the path of their segment; rows hidden before need not be among them.

    `read` gives columns of a segment, as the dataset's newest columns are.
    """
    found: Hidden = {}
    before = list(old)
    for segment in new:
        rows = _numbered(read(segment, rules.columns))
        best, losers = _newest(rows, rules)
        gone = [losers]
        if rules.deleted_field:
            gone.append(rows.filter(deleted(rows.column(rules.deleted_field))).column(_ROW).combine_chunks())
        for other in before:
            if _apart(segment, other, rules.keys[0]):
                continue
            lost, beaten = _compared(best, _numbered(read(other, rules.ordering)), rules)
            if len(beaten):
                _hide(found, other, beaten)
            if len(lost):
                gone.append(lost)
                best = best.filter(pc.invert(pc.is_in(best.column(_ROW), value_set=lost)))
        for places in gone:
            if len(places):
                _hide(found, segment, places)
        before.append(segment)
    return found


def within(
    read: Read, cursor_field: str, start: pa.Scalar, end: pa.Scalar, old: Sequence[Mergeable]
) -> Hidden:
    """The rows whose cursor lies from `start` on and before `end`, by the path of their segment."""
    found: Hidden = {}
    for segment in old:
        column = read(segment, [cursor_field]).column(cursor_field)
        inside = pc.and_(pc.greater_equal(column, start), pc.less(column, end))
        places = pc.indices_nonzero(pc.fill_null(inside, False))
        if len(places):
            _hide(found, segment, places.cast(pa.int64()))
    return found


def _hide(found: Hidden, segment: Mergeable, places: pa.Array) -> None:
    found[segment.path] = either(found.get(segment.path), bits(segment.rows, places))


def _numbered(rows: pa.Table) -> pa.Table:
    return rows.append_column(_ROW, pa.arange(0, rows.num_rows))


def _newest(rows: pa.Table, rules: Rules) -> tuple[pa.Table, pa.Array]:
    """One row for each key, and the numbers of the others."""
    order = pc.sort_indices(
        rows,
        sort_keys=[(rules.cursor_field, "ascending", "at_start"), (_ROW, "ascending", "at_start")],
    )
    ranked = rows.take(order).append_column(_RANK, pa.arange(0, rows.num_rows))
    last = ranked.group_by(list(rules.keys), use_threads=False).aggregate([(_RANK, "max")])
    wins = pc.is_in(ranked.column(_RANK), value_set=last.column(f"{_RANK}_max").combine_chunks())
    best = ranked.filter(wins).select([*rules.ordering, _ROW])
    return best, ranked.filter(pc.invert(wins)).column(_ROW).combine_chunks()


def _compared(best: pa.Table, other: pa.Table, rules: Rules) -> tuple[pa.Array, pa.Array]:
    """Rows of the new segment that lose, and rows of the older one that do."""
    cursor = "weir cursor"
    mine = best.select([*rules.keys, _ROW]).append_column(cursor, best.column(rules.cursor_field))
    theirs = other.select([*rules.keys]).append_column("weir their row", other.column(_ROW))
    theirs = theirs.append_column("weir their cursor", other.column(rules.cursor_field))
    met = mine.join(theirs, keys=list(rules.keys), join_type="inner", use_threads=False)
    own, their = met.column(cursor), met.column("weir their cursor")
    # A record without a cursor is older than any with one, and newer than another without.
    wins = pc.or_(pc.is_null(their), pc.fill_null(pc.greater_equal(own, their), False))
    lost = met.filter(pc.invert(wins)).column(_ROW)
    beaten = met.filter(wins).column("weir their row")
    return pc.unique(lost), pc.unique(beaten)


def _apart(one: Mergeable, other: Mergeable, key: str) -> bool:
    """True if the manifest alone tells that no key is in both."""
    mine, theirs = one.bounds.get(key), other.bounds.get(key)
    if mine is None or theirs is None or type(mine[0]) is not type(theirs[0]):
        return False
    # Texts of times and decimals are not in order as texts.
    if not isinstance(mine[0], int) or not isinstance(mine[1], int) or not isinstance(theirs[1], int):
        return False
    return bool(mine[1] < theirs[0] or theirs[1] < mine[0])


def deleted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Flags of true and false, of numbers (0 is false), or of texts and times; null is false."""
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column, False)
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return pc.fill_null(pc.not_equal(column, pa.scalar(0, column.type)), False)
    return pc.is_valid(column)

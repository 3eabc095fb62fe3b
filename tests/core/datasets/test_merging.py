"""Which record of a key counts, against the plainest way to say it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from weir_core.datasets.hidden import count, either, pack, unpack
from weir_core.datasets.merging import Hidden, Mergeable, settle, within
from weir_core.datasets.values import Rules

RULES = Rules(("k", "j"), "c", "d")
SCHEMA = pa.schema([("k", pa.int64()), ("j", pa.string()), ("c", pa.int64()), ("d", pa.bool_())])
records = st.fixed_dictionaries(
    {
        "k": st.integers(0, 3),
        "j": st.sampled_from("ab"),
        "c": st.none() | st.integers(1, 4),
        "d": st.booleans() | st.none(),
    }
)
segments = st.lists(st.lists(records, min_size=1, max_size=8), min_size=1, max_size=5)


class TestSettle:
    @given(segments, st.integers(0, 5), st.booleans())
    def test_the_newest_of_each_key_is_shown_however_its_segments_are_settled(
        self, stored: list[list[dict[str, Any]]], cut: int, together: bool
    ):
        tables = {f"s{at}": pa.Table.from_pylist(rows, SCHEMA) for at, rows in enumerate(stored)}
        parts = [Mergeable(path, table.num_rows, bounds_of(table)) for path, table in tables.items()]

        def read(segment: Mergeable, columns: Sequence[str]) -> pa.Table:
            return tables[segment.path].select(columns)

        hidden: Hidden = {}
        first, rest = parts[:cut], parts[cut:]
        steps = (
            [(first, []), (rest, first)]
            if together
            else [([part], parts[:at]) for at, part in enumerate(parts)]
        )
        for new, old in steps:
            for path, rows in settle(read, RULES, new, old).items():
                hidden[path] = either(hidden.get(path), rows)
        assert ordered(shown(tables, hidden)) == ordered(newest(stored))

    def test_a_field_of_the_key_may_be_the_cursor_too(self):
        tables = {
            "old": pa.table({"k": ["a", "b"], "at": [1, 2]}),
            "new": pa.table({"k": ["a", "a"], "at": [1, 3]}),
        }
        old, new = (Mergeable(path, 2) for path in tables)
        found = settle(
            lambda segment, columns: tables[segment.path].select(columns),
            Rules(("k", "at"), "at"),
            [new],
            [old],
        )
        assert {path: rows.to_pylist() for path, rows in found.items()} == {"old": [True, False]}

    @given(st.lists(st.booleans(), min_size=1, max_size=70))
    def test_hidden_rows_come_back_from_the_database_as_they_were(self, flags: list[bool]):
        hidden = pa.array(flags, pa.bool_())
        assert unpack(pack(hidden), len(flags)) == hidden
        assert count(hidden) == sum(flags)

    def test_rows_of_a_span_are_found_from_its_start_on_and_before_its_end(self):
        table = pa.table({"c": pa.array([1, 2, None, 3, 4], pa.int64())})
        found = within(
            lambda _, columns: table.select(columns), "c", pa.scalar(2), pa.scalar(4), [Mergeable("s", 5)]
        )
        assert found["s"].to_pylist() == [False, True, False, True, False]


def bounds_of(table: pa.Table):
    found = pc.min_max(table.column("k"))
    return {"k": (found["min"].as_py(), found["max"].as_py())}


def shown(tables: dict[str, pa.Table], hidden: Hidden) -> Iterator[dict[str, Any]]:
    for path, table in tables.items():
        rows = hidden.get(path)
        yield from (table.filter(pc.invert(rows)) if rows is not None else table).to_pylist()


def newest(stored: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    best: dict[Any, dict[str, Any]] = {}
    for record in (record for rows in stored for record in rows):
        key = record["k"], record["j"]
        there = best.get(key)
        if there is None or (record["c"] or 0) >= (there["c"] or 0):
            best[key] = record
    return [record for record in best.values() if not record["d"]]


def ordered(rows: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((row["k"], row["j"], row["c"] or 0, str(row["d"])) for row in rows)

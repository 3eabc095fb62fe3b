"""Which neighbours become one segment."""

from hypothesis import given
from hypothesis import strategies as st

from weir_core.datasets.grouping import Full, Sized, gain, groups
from weir_core.ids import new_id

FULL = Full(rows=100, bytes=1000)


def sized(rows: int, size: int = 1, hidden: int = 0) -> Sized:
    return Sized(new_id(), rows, size, hidden)


def rows_of(found: list[list[Sized]]) -> list[list[int]]:
    return [[one.rows for one in group] for group in found]


def test_small_neighbours_go_together_as_far_as_they_fit_and_large_ones_part_them():
    segments = [sized(rows) for rows in (40, 40, 30, 10, 90, 5, 60, 7, 8)]
    found = groups(segments, FULL, keeps_hidden=False)
    assert rows_of(found) == [[40, 40], [30, 10], [7, 8]]
    assert gain(found) == 3


def test_bytes_count_as_rows_do():
    found = groups([sized(1, size) for size in (400, 500, 300, 501)], FULL, keeps_hidden=False)
    assert [[one.bytes for one in group] for group in found] == [[400, 500]]


def test_rows_that_are_hidden_do_not_count_unless_they_are_kept():
    segments = [sized(100, 900, hidden=90), sized(20, 20)]
    assert rows_of(groups(segments, FULL, keeps_hidden=False)) == [[100, 20]]
    assert groups(segments, FULL, keeps_hidden=True) == []


@given(st.lists(st.tuples(st.integers(1, 120), st.integers(1, 1100)), max_size=40))
def test_what_was_put_together_is_put_together_again_only_with_what_came_beside_it(
    stored: list[tuple[int, int]],
):
    segments = [sized(*one) for one in stored]
    found = groups(segments, FULL, keeps_hidden=False)
    after = {id(group[0]): sized(sum(s.rows for s in group), sum(s.bytes for s in group)) for group in found}
    gone = {id(one) for group in found for one in group[1:]}
    assert (
        groups([after.get(id(s), s) for s in segments if id(s) not in gone], FULL, keeps_hidden=False) == []
    )
    for group in found:
        at = segments.index(group[0])
        assert segments[at : at + len(group)] == group
        assert sum(one.rows for one in group) <= FULL.rows
        assert sum(one.bytes for one in group) <= FULL.bytes

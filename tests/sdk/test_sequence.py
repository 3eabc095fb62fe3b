import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir.sequence import HoleError, Sequence
from weir.v1.task_pb2 import LogLine, TaskEvent


def item(seq: int) -> TaskEvent:
    return TaskEvent(seq=seq, log=LogLine(text="x"))


class TestSequence:
    @given(st.lists(st.integers(1, 12), max_size=60))
    def test_whatever_comes_what_is_handed_on_is_one_two_three(self, numbers: list[int]):
        sequence, handed_on = Sequence(0, filtered=False), list[int]()
        for number in numbers:
            if number > len(handed_on) + 1:
                with pytest.raises(HoleError, match=f"events {len(handed_on) + 1} to {number - 1} "):
                    sequence.take(item(number))
                continue
            handed_on += [number] if sequence.take(item(number)) else []
        assert handed_on == list(range(1, len(handed_on) + 1))
        assert sequence.next_seq == len(handed_on) + 1

    @given(st.lists(st.integers(1, 50), max_size=60))
    def test_a_filtered_one_only_ever_goes_up(self, numbers: list[int]):
        sequence, handed_on = Sequence(0, filtered=True), list[int]()
        for number in numbers:
            handed_on += [number] if sequence.take(item(number)) else []
        assert handed_on == sorted(set(handed_on))
        assert sequence.next_seq == max(handed_on, default=0) + 1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_workers.runs.lines import Lines

LONG = 16_000


def lines_of(*chunks: bytes) -> list[str]:
    lines = Lines()
    return [line for chunk in chunks for line in lines.feed(chunk)] + lines.rest()


@pytest.mark.parametrize(
    "chunks,expected",
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b\nc"], ["ab", "c"]),
        ([b"\n\n"], ["", ""]),
        ([b"a\r\nb\r\n"], ["a", "b"]),
        ([b"a\r", b"\nb"], ["a", "b"]),
        ([b"10%\r20%\r", b"30%\n"], ["30%"]),
        ([b"10%\r", b"\r", b"20%"], ["20%"]),
        ([b"x" * LONG + b"y\nz\n"], ["x" * LONG + " [cut]", "z"]),
        ([b"x" * LONG, b"y" * LONG, b"\rz\n"], ["z"]),
        (["né".encode()[:2], "né".encode()[2:] + b"\xff\n"], ["né�"]),
    ],
)
def test_a_stream_is_cut_into_lines(chunks: list[bytes], expected: list[str]):
    assert lines_of(*chunks) == expected


@given(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), st.integers(0, 50))
def test_where_a_chunk_ends_makes_no_difference(text: str, cut: int):
    whole = f"{text}\r\n{text}".encode()
    assert lines_of(whole[:cut], whole[cut:]) == lines_of(whole)


@given(st.lists(st.binary(max_size=40_000), max_size=6))
def test_what_waits_for_its_end_is_bounded(chunks: list[bytes]):
    lines = Lines()
    for chunk in chunks:
        assert all(len(line) <= LONG + 6 for line in lines.feed(chunk))
    assert all(len(line) <= LONG + 6 for line in lines.rest())
    assert not lines.begun

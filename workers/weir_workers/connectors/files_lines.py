"""Cuts a stream of bytes into blocks of whole lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

LONGEST: Final = 8 * 1024 * 1024
"""Bytes of a line at most: what is longer is rejected, and skipped to its end."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines, without their ends; and where the next one begins."""

    lines: list[bytes]
    end: int
    cut: bool = False
    """True: the only line here is the beginning of one that is too long."""


def blocks_of_lines(stream: BinaryIO, start: int, size: int, *, quote: bytes = b"") -> Iterator[Lines]:
    """All lines from here on. With `quote` a line end between two quotes ends no line."""
    rest, at, ended = b"", start, False
    while not ended:
        chunk = stream.read(size)
        ended = not chunk
        whole = rest + chunk
        cut = len(whole) if ended else whole.rfind(b"\n") + 1
        lines = whole[:cut].split(b"\n") if cut else []
        if lines and not lines[-1]:
            lines.pop()
        if quote and lines:
            lines, left = _joined(lines, quote, ended=ended)
            cut -= left
        rest = whole[cut:]
        at += cut
        if lines:
            yield Lines([line.removesuffix(b"\r") for line in lines], at)
        if len(rest) > LONGEST:
            head = rest[:LONGEST]
            rest, at = _after_line(stream, at + len(rest), size)
            yield Lines([head], at, cut=True)


def _joined(lines: list[bytes], quote: bytes, *, ended: bool) -> tuple[list[bytes], int]:
    """Lines joined until their quotes are even; and how many bytes at the end must wait."""
    found: list[bytes] = []
    waiting: list[bytes] = []
    odd = False
    for line in lines:
        waiting.append(line)
        odd ^= line.count(quote) % 2 == 1
        if not odd:
            found.append(b"\n".join(waiting))
            waiting = []
    if ended:
        # A quote that is never closed spoils its own line only.
        return [*found, *waiting], 0
    return found, sum(len(line) + 1 for line in waiting)


def _after_line(stream: BinaryIO, at: int, size: int) -> tuple[bytes, int]:
    while chunk := stream.read(size):
        end = chunk.find(b"\n")
        if end >= 0:
            return chunk[end + 1 :], at + end + 1
        at += len(chunk)
    return b"", at

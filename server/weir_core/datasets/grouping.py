"""Which segments of a dataset are put together: small ones that lie side by side. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

_MOST_TOGETHER: Final = 500


@dataclass(frozen=True, slots=True)
class Sized:
    """A segment, and what it holds."""

    id: UUID
    rows: int
    bytes: int
    hidden: int
    """Rows that do not count."""


@dataclass(frozen=True, slots=True)
class Full:
    """What a segment that is made of others holds at most."""

    rows: int
    bytes: int = 64 * 1024 * 1024


def groups(segments: Sequence[Sized], full: Full, *, keeps_hidden: bool) -> list[list[Sized]]:
    """Neighbours, at least two, that fit into one segment, in their order; at most 500.

    Only those are among them that hold at most half of a full segment: so what was put together is
    not small any more where its next neighbour did not fit. `keeps_hidden`: hidden rows count too.
    """
    found: list[list[Sized]] = []
    group: list[Sized] = []
    rows = size = 0.0
    for segment in segments:
        more_rows, more_bytes = _needs(segment, keeps_hidden=keeps_hidden)
        small = more_rows * 2 <= full.rows and more_bytes * 2 <= full.bytes
        fits = rows + more_rows <= full.rows and size + more_bytes <= full.bytes
        if not (small and fits and len(group) < _MOST_TOGETHER):
            found.append(group)
            group, rows, size = [], 0.0, 0.0
        if small:
            group.append(segment)
            rows, size = rows + more_rows, size + more_bytes
    return [group for group in (*found, group) if len(group) > 1]


def gain(found: Sequence[Sequence[Sized]]) -> int:
    """How many segments fewer there are once all groups are put together."""
    return sum(len(group) - 1 for group in found)


def _needs(segment: Sized, *, keeps_hidden: bool) -> tuple[float, float]:
    """Rows and bytes that a segment takes of the one that it is put into."""
    if keeps_hidden:
        return segment.rows, segment.bytes
    shown = segment.rows - segment.hidden
    return shown, segment.bytes * shown / max(1, segment.rows)

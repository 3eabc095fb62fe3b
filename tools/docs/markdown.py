"""Tables and cells."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, one row a line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def code(text: object) -> str:
    """As it is typed."""
    return f"`{text}`"


def codes(names: Iterable[object]) -> str:
    """Several of them."""
    return ", ".join(map(code, names))


def span(length: timedelta) -> str:
    """A length of time, as a setting is written."""
    seconds = length.total_seconds()
    if seconds % 1:
        return f"{seconds * 1000:g}ms"
    name, size = next((name, size) for name, size in _UNITS if seconds % size == 0)
    return f"{seconds / size:g}{name}"


def size(count: int) -> str:
    """Bytes, in the largest unit that goes evenly."""
    for name, unit in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count % unit == 0:
            return f"{count // unit:,} {name}"
    return f"{count:,} bytes"

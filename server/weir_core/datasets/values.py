"""What is said of datasets without their tables and without Arrow, for processes that load neither."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

CursorValue: TypeAlias = int | float | str
"""A value of a cursor field as JSON; see cursors.py."""

Packed: TypeAlias = bytes
"""Which rows of a segment are hidden; see hidden.py."""


class SchemaPolicy(IntEnum):
    """What happens when the source's columns change; numbered as in the contract."""

    EVOLVE = 1
    FREEZE = 2
    STRICT = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """By what records are told apart and ordered."""

    keys: tuple[str, ...]
    cursor_field: str
    deleted_field: str = ""
    """Column that is true in a record that the source has deleted; empty: there is none."""

    @property
    def ordering(self) -> list[str]:
        """The columns that tell records apart and order them; a field of the key may be the cursor too."""
        return list(dict.fromkeys((*self.keys, self.cursor_field)))

    @property
    def columns(self) -> list[str]:
        """The columns that are looked at."""
        return list(dict.fromkeys(name for name in (*self.ordering, self.deleted_field) if name))

"""What a tap says, whatever protocol it speaks. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a stream, as it came; `odd` says why it is none."""

    stream: str
    raw: bytes
    odd: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What is to be given back to a tap that is to go on here: it covers the records before it."""

    value: Any
    size: int
    """Its bytes as JSON."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The JSON schema of a stream's records, as JSON."""

    stream: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """Something for the log."""

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Why the tap is about to end; `lasting` where another try would fail as well."""

    text: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Other:
    """What does not matter here."""


Message: TypeAlias = Record | State | Schema | Told | Failed | Other

Hear: TypeAlias = Callable[[bytes], Message | None]
"""How a protocol reads a line; None: it is no message, such as what a library has printed."""

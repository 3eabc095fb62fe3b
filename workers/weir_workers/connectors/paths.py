"""Dotted paths into JSON that stays bytes."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts values out of others without reading them."""

    member: Callable[[bytes, str], bytes]
    """The member of an object with that name; empty if there is none, or no object."""
    elements: Callable[[bytes], list[bytes]]
    """The elements of a list."""


def find(raw: bytes, names: Sequence[str], cutter: Cutter) -> bytes:
    """The value at a path; empty if there is none. A number picks an element of a list."""
    for name in names:
        raw = _element(raw, int(name), cutter) if _picks(raw, name) else cutter.member(raw, name)
        if not raw:
            return raw
    return raw


def gathered(raw: bytes, names: Sequence[str], cutter: Cutter) -> bytes:
    """As `find`, but a list on the way that no number picks from is looked through.

    What is found in its elements, lists or single values, becomes one list; empty if none has the path.
    """
    for at, name in enumerate(names):
        if _is_list(raw) and not _picks(raw, name):
            return _from_each(cutter.elements(raw), names[at:], cutter)
        raw = find(raw, [name], cutter)
    return raw


def members(body: bytes, names: tuple[str, ...]) -> dict[str, bytes] | None:
    """Members of a proper JSON object, in one walk, empty where there is none; None: it is no object."""
    try:
        found: Any = msgspec.json.decode(body, type=_struct(names))
    except msgspec.ValidationError:
        return None
    return {name: bytes(getattr(found, f"m{at}")) for at, name in enumerate(names)}


def _from_each(elements: Sequence[bytes], names: Sequence[str], cutter: Cutter) -> bytes:
    found = [part for element in elements if (part := gathered(element, names, cutter).strip())]
    if elements and not found:
        return b""
    inner = (part[1:-1].strip() if _is_list(part) else part for part in found if part != b"null")
    return b"[" + b",".join(filter(None, inner)) + b"]"


def _is_list(raw: bytes) -> bool:
    return raw.lstrip()[:1] == b"["


def _picks(raw: bytes, name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= _MOST_DIGITS and _is_list(raw)


def _element(raw: bytes, at: int, cutter: Cutter) -> bytes:
    elements = cutter.elements(raw)
    return elements[at] if at < len(elements) else b""


@functools.lru_cache(maxsize=256)
def _struct(names: tuple[str, ...]) -> type[msgspec.Struct]:
    fields = [(f"m{at}", msgspec.Raw, msgspec.Raw(b"")) for at in range(len(names))]
    return msgspec.defstruct("Members", fields, rename={f"m{at}": name for at, name in enumerate(names)})


def _member(raw: bytes, name: str) -> bytes:
    found = members(raw, (name,))
    return b"" if found is None else found[name]


def _elements(raw: bytes) -> list[bytes]:
    return [bytes(element) for element in msgspec.json.decode(raw, type=list[msgspec.Raw])]


STRICT = Cutter(_member, _elements)
"""For proper JSON."""

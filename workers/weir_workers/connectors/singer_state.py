"""What of a tap's records may be committed, and how its STATE becomes a position. Pure.

A STATE covers the records before it, so records wait for one. Two things are not
as the word promises, and are mended here:

A tap that starts from a STATE gives the records at its border once more. A
position holds short digests of these, and they are dropped when they come again.

Many taps send no STATE for a long time, or one that leads nowhere: of a table that
is read whole, or of an unsorted stream ("progress_markers"). After 32 MiB records
are given without one: the position is then the STATE before, and how many records
came after it, with their digest. Who resumes reads these again, and goes on behind
them if they are the same; else NotTheSame.
"""

import hashlib
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec
import orjson

from weir_core.datasets.commits import Position
from weir_core.datasets.cursors import STATE

HELD: Final = 32 * 1024 * 1024
PORTION: Final = 1024 * 1024
MOST_SEEN: Final = 1000
LARGEST: Final = 24 * 1024
"""Bytes of a STATE at most: it is kept twice within what a position may have."""
_TAIL: Final = 100
_DIGEST: Final = 6
_NOWHERE: Final = frozenset(
    {
        "progress_markers",
        "starting_replication_value",
        "replication_key_signpost",
        "currently_syncing",
        "partitions_with_progress",
    }
)


class NotTheSame(Exception):
    """A tap did not give the records again that it gave before."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Records that may be given now, and the position after them."""

    raws: list[bytes]
    odd: dict[int, str]
    """Why a record is none, by its place."""
    position: Position


@dataclass(slots=True)
class _Border:
    """Digests of the records at the border of what was taken."""

    key: str
    """Field whose greatest value is the border; empty: the last 100 are it."""
    greatest: Any = None
    digests: deque[str] = field(default_factory=deque[str])

    def take(self, raw: bytes, digest: str) -> None:
        if not self.key:
            self.digests.append(digest)
            if len(self.digests) > _TAIL:
                self.digests.popleft()
            return
        value = _value(raw, self.key)
        if value is None:
            return
        if self.greatest is None or type(value) is not type(self.greatest) or value > self.greatest:
            self.greatest = value
            self.digests.clear()
        if value == self.greatest and len(self.digests) < MOST_SEEN:
            self.digests.append(digest)


class Covering:
    """Takes records and STATEs as they come; gives the records that may be committed."""

    def __init__(self, cursor: str | None, position: Position, key: str) -> None:
        told = cast("str | None", position.get("cursor")) or cursor
        found = state_of(told)
        self.start: Any = found.get("state") if told else None
        self._seen = Counter(cast("list[str]", found.get("seen", [])))
        self._looked = 0
        self._border = _Border(key, digests=deque(found.get("seen", [])))
        if key:
            self._border.greatest = found.get("greatest")
        self._cursor = told
        self._essence = essence(self.start)
        self._skip = int(position.get("rows", 0))
        self._wanted = str(position.get("digest", ""))
        self._rows = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._waiting: list[bytes] = []
        self._odd: dict[int, str] = {}
        self._size = 0
        self._marked: tuple[int, str] | None = None
        self.moved = False
        """True once a STATE came that leads somewhere."""

    @property
    def full(self) -> bool:
        """True where there is enough to give."""
        return self._size >= (PORTION if self._marked else HELD)

    def take(self, raw: bytes, odd: str = "") -> None:
        """Takes a record, or what can't be one, and why."""
        digest = hashlib.blake2b(raw, digest_size=_DIGEST).hexdigest()
        if self._came_before(digest):
            return
        if self._skip:
            self._pass_by(raw)
            self._border.take(raw, digest)
            return
        if odd:
            self._odd[len(self._waiting)] = odd
        self._waiting.append(raw)
        self._size += len(raw)
        self._border.take(raw, digest)

    def mark(self, state: Any) -> None:
        """Takes a STATE."""
        found = essence(state)
        if not found or found == self._essence or self._skip:
            return
        self._essence, self.moved = found, True
        told: dict[str, Any] = {"state": state, "seen": list(self._border.digests)}
        if self._border.key and self._border.greatest is not None:
            told["greatest"] = self._border.greatest
        self._marked = len(self._waiting), STATE + orjson.dumps(told).decode()

    def portion(self, *, last: bool = False) -> Portion | None:
        """What may be given now; with `last` the tap has ended well, and all may be."""
        if self._marked is None and not last and self._size < HELD:
            return None
        count, cursor = self._marked or (len(self._waiting), None)
        raws, self._waiting = self._waiting[:count], self._waiting[count:]
        odd = {at: why for at, why in self._odd.items() if at < count}
        self._odd = {at - count: why for at, why in self._odd.items() if at >= count}
        self._size, self._marked = sum(map(len, self._waiting)), None
        if cursor is not None:
            self._cursor, self._rows, self._hash = cursor, 0, hashlib.blake2b(digest_size=16)
            return Portion(raws, odd, {"cursor": cursor})
        for raw in raws:
            self._hash.update(raw + b"\n")
        self._rows += len(raws)
        return Portion(raws, odd, self._place()) if raws else None

    def end(self) -> Position:
        """The position after all; NotTheSame where records are missing that were there before."""
        if self._skip:
            raise NotTheSame
        return {"done": True, **({"cursor": self._cursor} if self._cursor else {})}

    def _place(self) -> Position:
        told = {"cursor": self._cursor} if self._cursor else {}
        return {"rows": self._rows, "digest": self._hash.hexdigest(), **told}

    def _came_before(self, digest: str) -> bool:
        self._looked += 1
        if not self._seen.get(digest) or (not self._border.key and self._looked > _TAIL):
            return False
        self._seen[digest] -= 1
        return True

    def _pass_by(self, raw: bytes) -> None:
        self._hash.update(raw + b"\n")
        self._rows += 1
        self._skip -= 1
        if not self._skip and self._hash.hexdigest() != self._wanted:
            raise NotTheSame


def state_of(cursor: str | None) -> dict[str, Any]:
    """What a cursor holds: the STATE, and what lies at its border."""
    return {} if cursor is None else cast("dict[str, Any]", orjson.loads(cursor.removeprefix(STATE)))


def essence(state: Any) -> Any:
    """What of a STATE leads somewhere; nothing where it would lead to the start."""
    if isinstance(state, dict):
        parts = {
            name: part
            for name, one in cast("dict[str, Any]", state).items()
            if name not in _NOWHERE and (part := essence(one)) not in (None, {}, [])
        }
        return parts or None
    if isinstance(state, list):
        return [essence(one) for one in cast("list[Any]", state)]
    return state


def _value(raw: bytes, key: str) -> Any:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    value = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    return value if isinstance(value, int | float | str) else None

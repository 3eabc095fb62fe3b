"""What of a tap's records may be committed, and how its STATE becomes a position. Pure.

A STATE covers the records before it, so records wait for one. Two things are not
as the word promises, and are mended here:

A tap that starts from a STATE gives the records at its border once more. A
position holds short digests of these, and they are dropped when they come again,
their fields in whatever order.

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
        "version",
        "initial_full_table_complete",
        "__ab_no_cursor_state_message",
    }
)
"""What names no place: a run that begins with only these begins at the start."""


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

    def take(self, record: Any, digest: str) -> None:
        if not self.key:
            self.digests.append(digest)
            if len(self.digests) > _TAIL:
                self.digests.popleft()
            return
        value = cast("dict[str, Any]", record).get(self.key) if isinstance(record, dict) else None
        if not isinstance(value, int | float | str):
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
        self._nowhere = _NOWHERE - {key}
        self._essence = essence(self.start, self._nowhere)
        self._skip = int(position.get("rows", 0))
        self._wanted = str(position.get("digest", ""))
        self._rows = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._waiting: list[tuple[bytes, str]] = []
        self._odd: dict[int, str] = {}
        self._size = 0
        self._marked: tuple[int, str] | None = None
        self._moved = False

    @property
    def stuck(self) -> bool:
        """True where records came from the start on, and no STATE that leads anywhere."""
        return bool(self._looked) and not self._moved and self.start is None

    @property
    def full(self) -> bool:
        """True where there is enough to give."""
        return self._size >= (PORTION if self._marked else HELD)

    def take(self, raw: bytes, odd: str = "") -> None:
        """Takes a record, or what can't be one, and why."""
        record, plain = _parsed(raw)
        digest = hashlib.blake2b(plain, digest_size=_DIGEST).hexdigest()
        if self._came_before(digest):
            return
        self._border.take(record, digest)
        if self._skip:
            self._pass_by(digest)
            return
        if odd:
            self._odd[len(self._waiting)] = odd
        self._waiting.append((raw, digest))
        self._size += len(raw)

    def mark(self, state: Any) -> None:
        """Takes a STATE."""
        found = essence(state, self._nowhere)
        if not found or found == self._essence or self._skip:
            return
        self._essence, self._moved = found, True
        told: dict[str, Any] = {"state": state, "seen": list(self._border.digests)}
        if self._border.key and self._border.greatest is not None:
            told["greatest"] = self._border.greatest
        self._marked = len(self._waiting), STATE + orjson.dumps(told).decode()

    def portion(self, *, hurry: bool = False) -> Portion | None:
        """What may be given now; with `hurry` all may be, where there is no STATE."""
        if self._marked is None and not hurry and self._size < HELD:
            return None
        count, cursor = self._marked or (len(self._waiting), None)
        given, self._waiting = self._waiting[:count], self._waiting[count:]
        raws = [raw for raw, _ in given]
        odd = {at: why for at, why in self._odd.items() if at < count}
        self._odd = {at - count: why for at, why in self._odd.items() if at >= count}
        self._size, self._marked = sum(len(raw) for raw, _ in self._waiting), None
        if cursor is not None:
            self._cursor, self._rows, self._hash = cursor, 0, hashlib.blake2b(digest_size=16)
            return Portion(raws, odd, {"cursor": cursor})
        for _, digest in given:
            self._hash.update(digest.encode())
        self._rows += len(given)
        return Portion(raws, odd, self._place()) if raws else None

    def rest(self) -> Portion:
        """All that is left, of a tap that has ended well; NotTheSame where records of before are missing.

        The position is its end, not its last STATE: one of a whole table may lead to the start again.
        """
        if self._skip:
            raise NotTheSame
        cursor = self._marked[1] if self._marked else self._cursor
        raws, odd = [raw for raw, _ in self._waiting], self._odd
        self._waiting, self._odd, self._marked, self._size = [], {}, None, 0
        return Portion(raws, odd, {"done": True, **({"cursor": cursor} if cursor else {})})

    def _place(self) -> Position:
        told = {"cursor": self._cursor} if self._cursor else {}
        return {"rows": self._rows, "digest": self._hash.hexdigest(), **told}

    def _came_before(self, digest: str) -> bool:
        self._looked += 1
        if not self._seen.get(digest) or (not self._border.key and self._looked > _TAIL):
            return False
        self._seen[digest] -= 1
        return True

    def _pass_by(self, digest: str) -> None:
        self._hash.update(digest.encode())
        self._rows += 1
        self._skip -= 1
        if not self._skip and self._hash.hexdigest() != self._wanted:
            raise NotTheSame


def state_of(cursor: str | None) -> dict[str, Any]:
    """What a cursor holds: the STATE, and what lies at its border."""
    return {} if cursor is None else cast("dict[str, Any]", orjson.loads(cursor.removeprefix(STATE)))


def essence(state: Any, nowhere: frozenset[str] = _NOWHERE) -> Any:
    """What of a STATE leads somewhere; nothing where it would lead to the start."""
    if isinstance(state, dict):
        parts = {
            name: part
            for name, one in cast("dict[str, Any]", state).items()
            if name not in nowhere and (part := essence(one, nowhere)) not in (None, {}, [])
        }
        return parts or None
    if isinstance(state, list):
        return [essence(one, nowhere) for one in cast("list[Any]", state)]
    return state


def _parsed(raw: bytes) -> tuple[Any, bytes]:
    """A record, and it as JSON with its fields in order; what can't be parsed stays as it is."""
    try:
        record = msgspec.json.decode(raw)
        return record, msgspec.json.encode(record, order="sorted")
    except (msgspec.MsgspecError, UnicodeError, OverflowError, RecursionError):
        return None, raw

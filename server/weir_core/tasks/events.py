"""A task's events: one sequence for state, progress, log, files and cancellation.

Whoever writes next numbers next. While an attempt runs that is its worker alone
(`AttemptLog`), from the base that its claim gave, up to the numbers reserved for
it; before, between and after attempts it is the transaction that changes the
state. Numbers that were reserved and can't be accounted for become one gap.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson
import zstandard

from weir_core.columns import EPOCH, MICROSECOND, micros
from weir_core.tasks.states import CancelPhase, TaskState

RESERVE: Final = 4096
_BACKLOG: Final = 4096
_LINES: Final = 50_000
_TAIL_LINES: Final = 50
_TAIL_BYTES: Final = 16_384
_TEXT: Final = 16_384
_CHUNK_EVENTS: Final = 500
_CHUNK_BYTES: Final = 256 * 1024
_STRETCH_EVENTS: Final = 100
_STRETCH_BYTES: Final = 64 * 1024
# Making one takes longer than a chunk. Each is used by the thread of the event loop alone.
_COMPRESSOR: Final = zstandard.ZstdCompressor(level=3)
_DECOMPRESSOR: Final = zstandard.ZstdDecompressor()


class EventKind(StrEnum):
    """What an event tells."""

    STATE = "state"
    PROGRESS = "progress"
    LOG = "log"
    ARTIFACT = "artifact"
    CANCEL = "cancel"
    GAP = "gap"


OF_ONE_TASK: Final = frozenset({EventKind.LOG, EventKind.ARTIFACT})
"""What who watches many tasks is not told of."""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a task's log; `body` is JSON by kind, as `rpc/convert_tasks.py` writes it out."""

    seq: int
    attempt: int
    time: datetime
    kind: EventKind
    body: dict[str, Any]

    @property
    def first_seq(self) -> int:
        """The first number that the event stands for: a gap stands for many."""
        return self.body["from_seq"] if self.kind is EventKind.GAP else self.seq

    @property
    def is_last(self) -> bool:
        """True for the terminal state change."""
        return self.kind is EventKind.STATE and self.body["to"] >= TaskState.SUCCEEDED


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Stretch:
    """Events of one task that follow each other, as many as one message holds: 100 and 64 KiB, or one."""

    events: list[Event]
    size: int
    """Bytes as JSON."""

    @property
    def first_seq(self) -> int:
        """The first number that it stands for."""
        return self.events[0].first_seq

    @property
    def last_seq(self) -> int:
        """The number of its last event."""
        return self.events[-1].seq


def encode(events: list[Event]) -> list[tuple[list[Event], bytes]]:
    """Events in chunks for the archive, at most 500 and 256 KiB each: compressed JSON."""
    chunks = _pack(events, _CHUNK_EVENTS, _CHUNK_BYTES)
    return [(chunk, _COMPRESSOR.compress(text)) for chunk, text in chunks]


def decode(chunk: bytes) -> list[Event]:
    """Events from compressed JSON."""
    return load(_DECOMPRESSOR.decompress(chunk))


def dump(events: Iterable[Event]) -> list[tuple[Stretch, bytes]]:
    """Events in stretches, with their JSON."""
    packed = _pack(events, _STRETCH_EVENTS, _STRETCH_BYTES)
    return [(Stretch(stretch, len(text)), text) for stretch, text in packed]


def load(text: bytes) -> list[Event]:
    """Events from JSON."""
    return [
        Event(seq, attempt, EPOCH + time * MICROSECOND, EventKind(kind), body)
        for seq, attempt, time, kind, body in orjson.loads(text)
    ]


def _pack(events: Iterable[Event], most: int, size: int) -> Iterator[tuple[list[Event], bytes]]:
    """Pieces of at most so many events and about so many bytes, or of one larger event."""
    piece, texts, room = list[Event](), list[bytes](), size
    for event in events:
        text = orjson.dumps([event.seq, event.attempt, micros(event.time), event.kind, event.body])
        if piece and (len(piece) == most or len(text) > room):
            yield piece, b"[" + b",".join(texts) + b"]"
            piece, texts, room = [], [], size
        piece.append(event)
        texts.append(text)
        room -= len(text)
    if piece:
        yield piece, b"[" + b",".join(texts) + b"]"


def state_body(
    before: TaskState, after: TaskState, reason: str = "", outcome: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The body of a state change; `outcome` where it is the last one."""
    return {"from": int(before), "to": int(after), "reason": reason, "outcome": outcome}


def gap_body(first: int, last: int, reason: str) -> dict[str, Any]:
    """The body of a gap."""
    return {"from_seq": first, "to_seq": last, "reason": reason}


def contiguous(events: list[Event], first: int) -> list[Event]:
    """The events from `first` on, as far as no number is missing."""
    found: list[Event] = []
    for event in events:
        if event.seq < first:
            continue
        if event.first_seq > first:
            break
        found.append(event)
        first = event.seq + 1
    return found


def after(archived: int, events: list[Event]) -> list[Event]:
    """Those that are not archived: an archive whose answer was lost may have some already."""
    return [event for event in events if event.seq > archived]


class Numbering:
    """Numbers events for a transaction that changes a task's state."""

    def __init__(self, last_seq: int, attempt: int) -> None:
        self.last_seq = last_seq
        self._attempt = attempt
        self.events: list[Event] = []

    def add(self, kind: EventKind, body: dict[str, Any]) -> None:
        """Add the next event."""
        self.last_seq += 1
        self.events.append(Event(self.last_seq, self._attempt, datetime.now(UTC), kind, body))

    def add_gap(self, last: int, reason: str) -> None:
        """Give up the numbers up to `last`."""
        body = gap_body(self.last_seq + 1, last, reason)
        self.last_seq = last
        self.events.append(Event(last, self._attempt, datetime.now(UTC), EventKind.GAP, body))

    def keep(self, events: list[Event]) -> None:
        """Take over events that are numbered already."""
        self.events += events
        self.last_seq = events[-1].seq if events else self.last_seq


class AttemptLog:
    """The events of one attempt, at its worker: numbered, and kept until they are archived.

    Bounds: 4,096 events wait for a number (older log lines than that are dropped
    and counted), 4,096 wait to be archived, and an attempt has 50,000 log lines.
    """

    def __init__(self, task_id: UUID, attempt: int, first: Event, reserved_seq: int) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.progress: dict[str, Any] | None = None
        self.phase: CancelPhase | None = None
        self.told_cancel = False
        """True: its numbered events say that a cancel was asked for."""
        self.sent_seq = first.seq - 1
        self.archived_seq = first.seq
        self.reserved_seq = reserved_seq
        self._last_seq = first.seq
        self._first = first
        self._kept: deque[Event] = deque([first])
        self._waiting: deque[tuple[EventKind, datetime, dict[str, Any]]] = deque()
        self._newest_progress: tuple[datetime, dict[str, Any]] | None = None
        self._tail: deque[dict[str, Any]] = deque(maxlen=_TAIL_LINES)
        self._lines = 0
        self._dropped = 0
        self._over = False

    @property
    def last_seq(self) -> int:
        """The newest number used."""
        return self._last_seq

    @property
    def streamed(self) -> bool:
        """True where something of it was sent, so that there is a live stream."""
        return self.sent_seq >= self._first.seq

    def add_progress(self, body: dict[str, Any]) -> None:
        """Take progress; what was told before and is not numbered yet is replaced."""
        if self._over:
            return
        self._newest_progress = datetime.now(UTC), body

    def add_log(self, body: dict[str, Any]) -> None:
        """Take a log line; beyond the limits it is dropped, and the drop is told."""
        if self._over:
            return
        self._lines += 1
        if self._lines > _LINES or len(self._waiting) >= _BACKLOG:
            self._dropped += 1
            if self._lines == _LINES + 1:
                self._wait_log("log limit reached: further lines are dropped")
            return
        text = body["text"]
        body["text"] = text if len(text) <= _TEXT else text[: _TEXT - 8] + " [cut]"
        self._tail.append(body)
        self._waiting.append((EventKind.LOG, datetime.now(UTC), body))

    def add(self, kind: EventKind, body: dict[str, Any]) -> None:
        """Take an event that is never dropped, but after the end: a state change, a phase, a file."""
        if self._over:
            return
        self._number_waiting()
        self._waiting.append((kind, datetime.now(UTC), body))

    def number(self) -> None:
        """Give numbers to what waits, as far as they are reserved."""
        if not self._waiting:
            self._tell_dropped()
        if self._newest_progress is not None and self._last_seq < self.reserved_seq:
            time, body = self._newest_progress
            self._newest_progress = None
            self.progress = body | {"time": time.isoformat()}
            self._waiting.append((EventKind.PROGRESS, time, body))
        self._number_waiting()

    def number_all(self) -> None:
        """Number all that waits, reserved or not: for the transaction that ends the attempt.

        From now on the log takes nothing more: that transaction gives out the numbers that follow.
        """
        self._tell_dropped()
        self.reserved_seq = self._last_seq + len(self._waiting) + 2
        self.number()
        self._over = True

    def unsent(self) -> list[Event]:
        """Numbered events that were not sent live."""
        return [event for event in self._kept if event.seq > self.sent_seq]

    def unarchived(self) -> list[Event]:
        """Numbered events that are not archived."""
        return [event for event in self._kept if event.seq > self.archived_seq]

    def everything(self) -> list[Event]:
        """All events kept, to fill a live stream that was lost."""
        return list(self._kept)

    def archived(self, seq: int, reserved_seq: int) -> None:
        """Events up to `seq` are archived; forget those that were sent too."""
        self.archived_seq, self.reserved_seq = seq, reserved_seq
        while self._kept and self._kept[0].seq <= min(seq, self.sent_seq):
            self._kept.popleft()

    def tail(self) -> list[dict[str, Any]]:
        """The last log lines, at most 50 and 16 KiB."""
        lines: list[dict[str, Any]] = []
        size = 0
        for line in reversed(self._tail):
            size += len(line["text"])
            if size > _TAIL_BYTES:
                break
            lines.insert(0, line)
        return lines

    def _tell_dropped(self) -> None:
        if self._dropped and self._lines <= _LINES:
            self._wait_log(f"{self._dropped} log lines were dropped: written faster than they can be kept")
            self._dropped = 0

    def _wait_log(self, text: str) -> None:
        body: dict[str, Any] = {"level": 3, "source": 4, "text": text, "fields": {}}
        self._waiting.append((EventKind.LOG, datetime.now(UTC), body))

    def _number_waiting(self) -> None:
        while self._waiting and self._last_seq < self.reserved_seq:
            kind, time, body = self._waiting.popleft()
            self._last_seq += 1
            self._kept.append(Event(self._last_seq, self.attempt, time, kind, body))
            self.told_cancel = self.told_cancel or kind is EventKind.CANCEL

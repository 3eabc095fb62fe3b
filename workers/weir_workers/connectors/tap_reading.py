"""One run of a tap: its messages as batches, each with the position after it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from weir_core.datasets.commits import Counts, Position
from weir_workers.connectors.contract import Batch, Checkpoint, Drift, Item, Said, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.tap_failures import ended, failed, invalid
from weir_workers.connectors.tap_lines import LONGEST, TapLines
from weir_workers.connectors.tap_messages import Failed, Hear, Message, Record, Schema, State, Told
from weir_workers.connectors.tap_process import Program, Tap, running
from weir_workers.connectors.tap_rows import RowMaker
from weir_workers.connectors.tap_state import LARGEST, Covering, NotTheSame, Portion

_LOOK_SECONDS: Final = 0.5
_WAIT_SECONDS: Final = 2.0
"""Longest that what may be given waits for more of it."""
_MOST_NAMES: Final = 100
_MOST_UNKNOWN: Final = 100
_PRINTED: Final = 2000


@dataclass(frozen=True, slots=True)
class Start:
    """What is started, and how it is understood."""

    program: Program
    hear: Hear
    streams: frozenset[str]
    """Names that the records of the wanted stream bear."""
    idle_seconds: float
    schema: bytes = b""
    """That of the records, as JSON, where it is known before."""


def covering_of(wanted: Wanted, position: Position | None) -> Covering:
    """Where a run begins, and what may be committed of it."""
    cursor = wanted.cursor if isinstance(wanted.cursor, str) else None
    return Covering(cursor, position or {}, wanted.cursor_field)


class Reading:
    """One run."""

    def __init__(self, start: Start, wanted: Wanted, declared: pa.Schema | None, covering: Covering) -> None:
        self._start = start
        self._wanted = wanted
        self._rows = RowMaker(declared, wanted, start.schema)
        self._covering = covering
        self._lines = TapLines()
        self._passed_over: set[str] = set()
        self._drifted: set[str] = set()
        self._failed: Failed | None = None
        self._records = self._bytes = 0
        self._left = wanted.limit

    async def items(self) -> AsyncGenerator[Item]:
        """What the tap gives."""
        async with running(self._start.program) as tap:
            try:
                async with aclosing(self._running(tap)) as items:
                    async for item in items:
                        yield item
                        if self._enough(item):
                            return
                error = self._error(await tap.ended(), tap)
                for text in tap.said():
                    yield Said(text)
                async for item in self._given(self._covering.portion() if error else self._covering.rest()):
                    yield item
                if error:
                    raise error
            except NotTheSame:
                raise invalid(
                    "the tap did not give the same records once more, so the run that broke off can't go on "
                    "behind them; read all anew with `full`",
                    "tap.replay",
                ) from None

    async def _running(self, tap: Tap) -> AsyncGenerator[Item]:
        """What comes while the tap runs."""
        coming = asyncio.ensure_future(tap.read())
        heard = given = time.monotonic()
        try:
            while True:
                await asyncio.wait({coming}, timeout=_LOOK_SECONDS)
                for text in tap.said():
                    heard = time.monotonic()
                    yield Said(text)
                idle = not coming.done()
                if not idle:
                    chunk = coming.result()
                    if not chunk:
                        break
                    coming = asyncio.ensure_future(tap.read())
                    heard = time.monotonic()
                    for text in self._take(chunk):
                        yield Said(text)
                elif time.monotonic() - heard > self._start.idle_seconds:
                    raise SourceError(
                        "DEPENDENCY",
                        f"the tap sent nothing for {self._start.idle_seconds:g} s",
                        code="tap.timeout",
                    )
                if self._covering.full or idle or self._left or time.monotonic() - given > _WAIT_SECONDS:
                    given = time.monotonic()
                    async for item in self._given(self._covering.portion(hurry=bool(self._left))):
                        yield item
            for text in self._take(b"\n"):
                yield Said(text)
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    def _take(self, chunk: bytes) -> list[str]:
        """Takes what the tap has written; gives what is to be told of it."""
        told: list[str] = []
        for line, whole in self._lines.feed(chunk):
            if not whole:
                self._cut(line)
            elif (message := self._start.hear(line)) is not None:
                told += self._heed(message)
            elif line.strip():
                told.append(line[:_PRINTED].decode(errors="replace"))
        return [self._start.program.masks.clean(text) for text in told]

    def _cut(self, line: bytes) -> None:
        """Takes the beginning of a line that is too long."""
        if b'"RECORD"' not in line[:200] and b'"RECORD"' not in line[-200:]:
            raise invalid(f"a message of the tap has more than {LONGEST:,} bytes", "tap.line")
        self._count(line)
        self._covering.take(line, "the message is too long")

    def _heed(self, message: Message) -> list[str]:
        """Does what a message says; gives what is to be told of it."""
        streams = self._start.streams
        match message:
            case Record(stream, raw, odd) if stream in streams:
                self._count(raw)
                self._covering.take(raw, odd)
            case Record(stream) if stream not in self._passed_over and len(self._passed_over) < _MOST_NAMES:
                self._passed_over.add(stream)
                return [f"records of the stream {stream[:200]!r} are passed over"]
            case State(value, size):
                if size > LARGEST:
                    raise invalid(f"the tap's STATE has more than {LARGEST:,} bytes", "tap.state")
                self._covering.mark(value)
            case Schema(stream, raw) if stream in streams:
                self._rows.told = raw
            case Told(text):
                return [text]
            case Failed():
                text = self._start.program.masks.clean(message.text)
                self._failed = self._failed or Failed(text, message.lasting)
            case _:
                pass
        return []

    def _count(self, raw: bytes) -> None:
        self._records += 1
        self._bytes += len(raw)

    async def _given(self, portion: Portion | None) -> AsyncGenerator[Item]:
        """A portion as columns; its position is with the last of it."""
        if portion is None:
            return
        counts, self._records, self._bytes = Counts(self._records, self._bytes), 0, 0
        rows = await asyncio.to_thread(self._rows.rows, portion)
        unknown = sorted(rows.unknown - self._drifted)
        self._drifted.update(unknown)
        if unknown and self._rows.declared is None:
            yield Drift(tuple(unknown[:_MOST_UNKNOWN]))
        for reject in rows.rejects:
            yield reject
        if rows.batch is None:
            yield Checkpoint(portion.position, counts)
        else:
            yield Batch(rows.batch, portion.position, counts)

    def _enough(self, item: Item) -> bool:
        if not self._wanted.limit or not isinstance(item, Batch | Checkpoint):
            return False
        self._left -= item.counts.records
        return self._left <= 0

    def _error(self, code: int, tap: Tap) -> SourceError | None:
        """Why the run fails now that the tap has ended."""
        if self._failed:
            return failed(self._failed)
        if code:
            return ended(code, tap.last_words)
        if self._wanted.cursor_field and self._covering.stuck:
            return invalid(
                "the tap gave no STATE to go on from, so it can't be read INCREMENTAL; take mode FULL",
                "tap.state",
            )
        return None

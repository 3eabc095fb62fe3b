"""The connector `singer`: taps of the Singer specification, each in a process and an environment of its own.

What a position is stands in `singer_state`. The cursor between runs is the tap's STATE.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast

import msgspec
import orjson
import pyarrow as pa
from pydantic import BaseModel

from weir.task import Masks
from weir_core.datasets.commits import Counts, Position, Reject
from weir_core.datasets.cursors import is_state
from weir_workers import __version__
from weir_workers.connectors import singer_messages as messages
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Connector,
    Drift,
    Item,
    Partition,
    Said,
    Source,
    SourceStream,
    Wanted,
)
from weir_workers.connectors.envelope import Envelope
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.infer import TooManyColumns
from weir_workers.connectors.records import Page, PageParser
from weir_workers.connectors.rereading import Reread, reread_json
from weir_workers.connectors.singer_state import LARGEST, Covering, NotTheSame, Portion
from weir_workers.connectors.tap_environment import program_of
from weir_workers.connectors.tap_process import Program, Tap, running
from weir_workers.connectors.tap_settings import TapCollection, TapConnection, secret_texts

_LONGEST: Final = 8 * 1024 * 1024
_LARGEST_CATALOG: Final = 32 * 1024 * 1024
_LOOK_SECONDS: Final = 0.5
_WAIT_SECONDS: Final = 2.0
"""Longest that what may be given waits for more of it."""
_MIB: Final = 1024 * 1024
_PAGE: Final = 4 * 1024 * 1024
_MOST_NAMES: Final = 100


class SingerConnector(Connector):
    """Reads streams of a tap."""

    name: ClassVar[str] = "singer"
    description: ClassVar[str] = "Taps of the Singer specification, from a package registry or installed"
    version: ClassVar[str] = __version__
    modes: ClassVar[frozenset[str]] = frozenset({"FULL", "APPEND", "INCREMENTAL", "MERGE"})
    connection_settings: ClassVar[type[BaseModel]] = TapConnection
    collection_settings: ClassVar[type[BaseModel]] = TapCollection
    has_streams: ClassVar[bool] = True

    async def check(self, source: Source) -> None:
        """Has the tap list its streams; of one that has none only the program is looked for."""
        connection = _connection(source)
        async with program_of(connection) as program:
            if connection.catalog != "none":
                await _catalog(connection, program)

    async def discover(self, source: Source) -> Sequence[SourceStream]:
        """The streams of the tap's catalog."""
        connection = _connection(source)
        if connection.catalog == "none":
            return ()
        async with program_of(connection) as program:
            catalog, _ = await _catalog(connection, program)
        return [_stream(entry) for entry in messages.streams_of(catalog)]

    async def read(
        self, source: Source, wanted: Wanted, partition: Partition, position: Position | None = None
    ) -> AsyncGenerator[Item]:
        """Runs the tap from a position on; see `Connector.read`."""
        if position is not None and position.get("done"):
            return
        connection = _connection(source)
        settings = wanted.parsed(TapCollection)
        _check_wanted(wanted)
        async with program_of(connection) as program:
            reading = _Reading(connection, program, settings, wanted, position or {})
            async with aclosing(reading.items()) as items:
                async for item in items:
                    yield item

    def reread(self, wanted: Wanted, raws: Sequence[bytes]) -> Reread:
        """Reads rejected records by the columns of today."""
        settings = wanted.parsed(TapCollection)
        return reread_json(raws, settings.declared_schema() or wanted.schema or pa.schema([]))


class _Reading:
    """One run of a tap."""

    def __init__(
        self,
        connection: TapConnection,
        program: str,
        settings: TapCollection,
        wanted: Wanted,
        position: Position,
    ) -> None:
        self._connection = connection
        self._masks = _masks(connection)
        self._program = program
        self._declared = settings.declared_schema()
        self._wanted = wanted
        cursor = wanted.cursor if isinstance(wanted.cursor, str) else None
        self._covering = Covering(cursor, position, wanted.cursor_field)
        self._lines = _Lines()
        self._names = {wanted.stream}
        self._passed_over: set[str] = set()
        self._parser: PageParser | None = None
        self._schema_seen = b""
        self._schema_told = b""
        self._told: set[str] = set()
        self._pages = 0
        self._records = self._bytes = 0
        self._left = wanted.limit

    async def items(self) -> AsyncGenerator[Item]:
        """What the tap gives."""
        catalog, said = None, list[str]()
        if self._connection.catalog != "none":
            catalog, said = await _catalog(self._connection, self._program)
        for text in said:
            yield Said(text)
        async with running(self._command(catalog)) as tap:
            try:
                async with aclosing(self._running(tap)) as items:
                    async for item in items:
                        yield item
                        if self._enough(item):
                            return
                code = await tap.ended()
                for text in tap.said():
                    yield Said(text)
                if not code:
                    self._check_moved()
                async for item in self._given(self._covering.portion() if code else self._covering.rest()):
                    yield item
                if code:
                    raise _ended(code, tap)
            except NotTheSame:
                raise SourceError(
                    "INVALID_INPUT",
                    "the tap did not give the same records once more, so the run that broke off can't go on "
                    "behind them; read all anew with `full`",
                    code="tap.replay",
                ) from None

    def _command(self, catalog: Any) -> Program:
        files = {"config": orjson.dumps(self._connection.whole_config()).decode()}
        argv = [self._program, "--config", "{config}"]
        if catalog is not None:
            stream, streams = self._wanted.stream, messages.streams_of(catalog)
            entry = next((one for one in streams if messages.name_of(one) == stream), None)
            if entry is None:
                known = ", ".join(sorted(map(messages.name_of, streams))[:20])
                raise _invalid(f"the tap has no stream {stream!r}; it has {known or 'none'}", "tap.stream")
            files["catalog"] = messages.selected(catalog, stream, self._wanted.cursor_field)
            # Its records bear either of the names that the catalog has for it.
            self._names |= {str(entry.get("stream") or stream)}
            argv += [f"--{self._connection.catalog}", "{catalog}"]
        if self._covering.start is not None:
            files["state"] = orjson.dumps(self._covering.start).decode()
            argv += ["--state", "{state}"]
        return _program(self._connection, argv, files)

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
                elif time.monotonic() - heard > self._connection.idle_seconds:
                    raise SourceError(
                        "DEPENDENCY",
                        f"the tap sent nothing for {self._connection.idle_seconds:g} s",
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
        """Takes what the tap has written; gives what is no message."""
        printed: list[str] = []
        for line, whole in self._lines.feed(chunk):
            if not whole:
                if b'"RECORD"' not in line[:200] and b'"RECORD"' not in line[-200:]:
                    raise _invalid(f"a message of the tap has more than {_LONGEST:,} bytes", "tap.line")
                self._count(line)
                self._covering.take(line, "the message is too long")
                continue
            message = messages.message_of(line)
            match message:
                case messages.OddMessage():
                    if message.stream in self._names:
                        self._count(message.record)
                        self._covering.take(message.record, "the record is no proper JSON")
                case None:
                    if line.strip():
                        printed.append(self._masks.clean(line[:2000].decode(errors="replace")))
                case _:
                    printed += self._heed(message)
        return printed

    def _heed(self, message: messages.Message) -> list[str]:
        """Does what a message says; gives what is to be told of it."""
        match message.type:
            case "RECORD" if message.stream in self._names:
                raw = bytes(message.record)
                self._count(raw)
                self._covering.take(raw)
            case "STATE":
                if len(message.value) > LARGEST:
                    raise _invalid(f"the tap's STATE has more than {LARGEST:,} bytes", "tap.state")
                self._covering.mark(msgspec.json.decode(message.value))
            case "SCHEMA" if message.stream in self._names:
                self._schema_told = bytes(message.schema)
            case "RECORD" if message.stream not in self._passed_over and len(self._passed_over) < _MOST_NAMES:
                self._passed_over.add(message.stream)
                return [f"records of the stream {self._masks.clean(message.stream[:200])!r} are passed over"]
            case _:
                # ACTIVATE_VERSION says that what it gave before is outdated: a FULL run swaps by itself.
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
        batches: list[pa.RecordBatch] = []
        for first, raws in _pages(portion.raws):
            self._pages += 1
            page, rejects = await asyncio.to_thread(self._parsed, first, raws, portion.odd)
            unknown = sorted(page.unknown - self._told)
            self._told.update(unknown)
            if unknown and self._declared is None:
                yield Drift(tuple(unknown[:100]))
            for reject in rejects:
                yield reject
            if page.rows is not None and page.rows.num_rows:
                batches.append(page.rows)
        whole = _joined(batches)
        if whole is None:
            yield Checkpoint(portion.position, counts)
        else:
            yield Batch(whole, portion.position, counts)

    def _parsed(self, first: int, raws: list[bytes], odd: dict[int, str]) -> tuple[Page, list[Reject]]:
        number = self._pages
        good = [(at, raw) for at, raw in enumerate(raws) if first + at not in odd]
        rejects = [
            Reject.of(raw, odd[first + at], page=number, position=at + 1)
            for at, raw in enumerate(raws)
            if first + at in odd
        ]
        if not good:
            return Page(None, (), 0), rejects
        try:
            body = b"[" + b",".join(raw for _, raw in good) + b"]"
            page = self._columns().parse(Envelope(body, True, ()), number)
        except TooManyColumns as error:
            raise _invalid(str(error), "tap.columns") from None
        rejects += [replace(one, position=good[one.position - 1][0] + 1) for one in page.rejects]
        return page, sorted(rejects, key=lambda one: one.position)

    def _columns(self) -> PageParser:
        if self._parser is not None and self._schema_told == self._schema_seen:
            return self._parser
        self._schema_seen = self._schema_told
        before = self._parser.schema if self._parser else None
        known = self._declared or before or self._wanted.schema
        evolve = self._declared is None and self._wanted.evolve
        told = messages.columns_of(self._schema_told) if self._schema_told else pa.schema([])
        if known is None:
            schema = told if len(told) else None
        elif evolve:
            schema = pa.schema([*known, *(one for one in told if one.name not in known.names)])
        else:
            schema = known
        self._parser = PageParser(schema, evolve=evolve)
        return self._parser

    def _enough(self, item: Item) -> bool:
        if not self._wanted.limit or not isinstance(item, Batch | Checkpoint):
            return False
        self._left -= item.counts.records
        return self._left <= 0

    def _check_moved(self) -> None:
        if self._wanted.cursor_field and self._covering.stuck:
            raise _invalid(
                "the tap gave no STATE to go on from, so it can't be read INCREMENTAL; take mode FULL",
                "tap.state",
            )


@dataclass(slots=True)
class _Lines:
    """Cuts what a tap writes into lines; of one that is too long the beginning is kept."""

    rest: bytes = b""
    skipping: bool = False

    def feed(self, chunk: bytes) -> list[tuple[bytes, bool]]:
        """The lines that end here, and whether they are whole."""
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        found: list[tuple[bytes, bool]] = []
        for line in lines:
            if self.skipping:
                self.skipping = False
                continue
            found.append((line, True))
        if len(self.rest) > _LONGEST:
            if not self.skipping:
                found.append((self.rest[:_LONGEST], False))
            self.rest, self.skipping = b"", True
        return found


def _pages(raws: list[bytes]) -> list[tuple[int, list[bytes]]]:
    """Records in pages of about 4 MiB, each with the place of its first."""
    pages: list[tuple[int, list[bytes]]] = []
    size = _PAGE
    for at, raw in enumerate(raws):
        if size >= _PAGE:
            pages.append((at, []))
            size = 0
        pages[-1][1].append(raw)
        size += len(raw)
    return pages


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch | None:
    """One batch of all, with the columns of the last: these only grow."""
    if not batches:
        return None
    tables = [pa.Table.from_batches([one]) for one in batches]
    whole = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    return whole.to_batches()[0]


async def _catalog(connection: TapConnection, program: str) -> tuple[Any, list[str]]:
    """The tap's catalog, and what it said meanwhile."""
    files = {"config": orjson.dumps(connection.whole_config()).decode()}
    command = _program(connection, [program, "--config", "{config}", "--discover"], files)
    told: list[bytes] = []
    async with running(command) as tap:
        try:
            async with asyncio.timeout(connection.idle_seconds):
                while chunk := await tap.read():
                    told.append(chunk)
                    if sum(map(len, told)) > _LARGEST_CATALOG:
                        raise _invalid(
                            f"the tap's catalog has more than {_LARGEST_CATALOG:,} bytes", "tap.catalog"
                        )
                code = await tap.ended()
        except TimeoutError:
            raise SourceError(
                "DEPENDENCY", "the tap did not list its streams in time", code="tap.timeout"
            ) from None
        if code:
            raise _ended(code, tap)
        said = tap.said()
    try:
        catalog = orjson.loads(b"".join(told))
    except ValueError:
        raise _invalid(
            "the tap's list of streams is no JSON; is it one? See `catalog`", "tap.catalog"
        ) from None
    if not isinstance(catalog, dict):
        raise _invalid("the tap's list of streams is no object", "tap.catalog")
    return catalog, said  # pyright: ignore[reportUnknownVariableType]


def _stream(entry: dict[str, Any]) -> SourceStream:
    root = messages.root_of(entry)
    try:
        schema = messages.columns_of(orjson.dumps(entry.get("schema") or {}))
    except (TypeError, AttributeError):
        schema = None
    cursors = cast("list[Any]", root.get("valid-replication-keys") or [])
    keys = cast("list[Any]", entry.get("key_properties") or root.get("table-key-properties") or [])
    return SourceStream(messages.name_of(entry), schema, tuple(map(str, cursors)), tuple(map(str, keys)))


def _program(connection: TapConnection, argv: Sequence[str], files: dict[str, str]) -> Program:
    return Program(argv, files, connection.memory_mib * _MIB, _masks(connection))


def _masks(connection: TapConnection) -> Masks:
    masks = Masks()
    for text in secret_texts(connection.secret_config()):
        masks.add(text)
    return masks


def _connection(source: Source) -> TapConnection:
    connection = source.parsed(TapConnection)
    if not source.allow_private:
        raise _invalid(
            "a tap dials by itself, and nobody checks where: its connection needs `allow_private_addresses`",
            "address.refused",
        )
    return connection


def _check_wanted(wanted: Wanted) -> None:
    if wanted.until is not None:
        raise _invalid("a tap can't read up to a value, so there are no backfills", "settings.invalid")
    if wanted.cursor is not None and not is_state(wanted.cursor):
        raise _invalid(
            'a tap\'s cursor is its STATE, such as state:{"state":{"bookmarks":{}}}; set it anew, or to none',
            "settings.invalid",
        )


def _ended(code: int, tap: Tap) -> SourceError:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    words = f": {tap.last_words}" if tap.last_words else ""
    return SourceError("DEPENDENCY", f"the tap {how}{words}", code="tap.exit")


def _invalid(message: str, code: str) -> SourceError:
    return SourceError("INVALID_INPUT", message, code=code)

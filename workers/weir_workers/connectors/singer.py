"""The connector `singer`: taps of the Singer specification, each in a process and an environment of its own.

What a position is stands in `tap_state`. The cursor between runs is the tap's STATE.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, cast

import orjson
from pydantic import BaseModel

from weir_core.datasets.commits import Position
from weir_workers import __version__
from weir_workers.connectors import singer_messages as messages
from weir_workers.connectors.contract import Connector, Item, Partition, Said, Source, SourceStream, Wanted
from weir_workers.connectors.rereading import Reread
from weir_workers.connectors.tap_asking import ask
from weir_workers.connectors.tap_columns import columns_or_none
from weir_workers.connectors.tap_environment import program_of
from weir_workers.connectors.tap_failures import check_source, check_wanted, ended, invalid
from weir_workers.connectors.tap_process import Program
from weir_workers.connectors.tap_reading import Reading, Start, covering_of
from weir_workers.connectors.tap_rows import reread
from weir_workers.connectors.tap_settings import TapCollection, TapConnection


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
        check_wanted(wanted)
        covering = covering_of(wanted, position)
        async with program_of(connection) as program:
            catalog, said = None, list[str]()
            if connection.catalog != "none":
                catalog, said = await _catalog(connection, program)
            for text in said:
                yield Said(text)
            start = _start(connection, program, catalog, wanted, covering.start)
            reading = Reading(start, wanted, settings.declared_schema(), covering)
            async with aclosing(reading.items()) as items:
                async for item in items:
                    yield item

    def reread(self, wanted: Wanted, raws: Sequence[bytes]) -> Reread:
        """Reads rejected records by the columns of today."""
        return reread(wanted, raws)


def _connection(source: Source) -> TapConnection:
    connection = source.parsed(TapConnection)
    check_source(source)
    return connection


def _start(connection: TapConnection, program: str, catalog: Any, wanted: Wanted, state: Any) -> Start:
    names, files = {wanted.stream}, _config(connection)
    argv = [program, "--config", "{config}"]
    if catalog is not None:
        entry = _entry(catalog, wanted.stream)
        files["catalog"] = messages.selected(catalog, wanted.stream, wanted.cursor_field)
        # Its records bear either of the names that the catalog has for it.
        names.add(str(entry.get("stream") or wanted.stream))
        argv += [f"--{connection.catalog}", "{catalog}"]
    if state is not None:
        files["state"] = orjson.dumps(state).decode()
        argv += ["--state", "{state}"]
    run = Program(argv, files, connection.memory, connection.masks())
    return Start(run, messages.message_of, frozenset(names), connection.idle_seconds)


def _entry(catalog: Any, stream: str) -> Mapping[str, Any]:
    entries = messages.streams_of(catalog)
    for entry in entries:
        if messages.name_of(entry) == stream:
            return entry
    known = ", ".join(sorted(map(messages.name_of, entries))[:20])
    raise invalid(f"the tap has no stream {stream!r}; it has {known or 'none'}", "tap.stream")


async def _catalog(connection: TapConnection, program: str) -> tuple[Any, list[str]]:
    """The tap's catalog, and what it said meanwhile."""
    argv = [program, "--config", "{config}", "--discover"]
    run = Program(argv, _config(connection), connection.memory, connection.masks())
    answer = await ask(run, connection.idle_seconds)
    if answer.code:
        raise ended(answer.code, answer.last_words)
    try:
        catalog = orjson.loads(answer.written)
    except ValueError:
        raise invalid(
            "the tap's list of streams is no JSON; is it one? See `catalog`", "tap.catalog"
        ) from None
    if not isinstance(catalog, dict):
        raise invalid("the tap's list of streams is no object", "tap.catalog")
    return cast("dict[str, Any]", catalog), answer.said


def _config(connection: TapConnection) -> dict[str, str]:
    return {"config": orjson.dumps(connection.whole_config()).decode()}


def _stream(entry: dict[str, Any]) -> SourceStream:
    root = messages.root_of(entry)
    schema = columns_or_none(entry.get("schema"))
    cursors = cast("list[Any]", root.get("valid-replication-keys") or [])
    keys = cast("list[Any]", entry.get("key_properties") or root.get("table-key-properties") or [])
    return SourceStream(messages.name_of(entry), schema, tuple(map(str, cursors)), tuple(map(str, keys)))

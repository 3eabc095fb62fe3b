"""The connector `airbyte`: sources that speak the Airbyte protocol, declarative manifests above all.

Each runs in a process and an environment of its own. What a position is stands in
`tap_state`; the STATE there is that of the one stream that is read.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import orjson
from pydantic import BaseModel

from weir_core.datasets.commits import Position
from weir_workers import __version__
from weir_workers.connectors import airbyte_messages as messages
from weir_workers.connectors.airbyte_manifest import manifest_of
from weir_workers.connectors.airbyte_settings import AirbyteConnection
from weir_workers.connectors.contract import Connector, Item, Partition, Said, Source, SourceStream, Wanted
from weir_workers.connectors.rereading import Reread
from weir_workers.connectors.tap_asking import ask
from weir_workers.connectors.tap_columns import columns_or_none
from weir_workers.connectors.tap_environment import program_of
from weir_workers.connectors.tap_failures import check_source, check_wanted, ended, failed, invalid
from weir_workers.connectors.tap_messages import Failed
from weir_workers.connectors.tap_process import Program
from weir_workers.connectors.tap_reading import Reading, Start, covering_of
from weir_workers.connectors.tap_rows import reread
from weir_workers.connectors.tap_settings import TapCollection


class AirbyteConnector(Connector):
    """Reads streams of a source."""

    name: ClassVar[str] = "airbyte"
    description: ClassVar[str] = "Declarative manifests and other sources that speak the Airbyte protocol"
    version: ClassVar[str] = __version__
    modes: ClassVar[frozenset[str]] = frozenset({"FULL", "APPEND", "INCREMENTAL", "MERGE"})
    connection_settings: ClassVar[type[BaseModel]] = AirbyteConnection
    collection_settings: ClassVar[type[BaseModel]] = TapCollection
    has_streams: ClassVar[bool] = True

    async def check(self, source: Source) -> None:
        """Has the source check its config."""
        async with _child(source) as child:
            answer = await child.ask("check")
            if not answer.works:
                raise failed(answer.failed or Failed("it did not say whether it works"))

    async def discover(self, source: Source) -> Sequence[SourceStream]:
        """The streams of the source's catalog."""
        async with _child(source) as child:
            entries, _ = await child.streams()
        return [_stream(entry) for entry in entries]

    async def read(
        self, source: Source, wanted: Wanted, partition: Partition, position: Position | None = None
    ) -> AsyncGenerator[Item]:
        """Runs the source from a position on; see `Connector.read`."""
        if position is not None and position.get("done"):
            return
        settings = wanted.parsed(TapCollection)
        check_wanted(wanted)
        covering = covering_of(wanted, position)
        async with _child(source) as child:
            entries, said = await child.streams()
            for text in said:
                yield Said(text)
            start = child.start(_entry(entries, wanted), wanted, covering.start)
            reading = Reading(start, wanted, settings.declared_schema(), covering)
            async with aclosing(reading.items()) as items:
                async for item in items:
                    yield item

    def reread(self, wanted: Wanted, raws: Sequence[bytes]) -> Reread:
        """Reads rejected records by the columns of today."""
        return reread(wanted, raws)


@dataclass(frozen=True, slots=True)
class _Child:
    """A source's program, and the files that it is given each time."""

    connection: AirbyteConnection
    program: str
    files: Mapping[str, str]

    async def ask(self, question: str) -> messages.Answers:
        """What it answers; SourceError where it fails."""
        answer = await ask(self._run(question, {}), self.connection.idle_seconds)
        found, masks = messages.answers(answer.written), self.connection.masks()
        if found.failed:
            found.failed = replace(found.failed, text=masks.clean(found.failed.text))
        if answer.code:
            raise failed(found.failed) if found.failed else ended(answer.code, answer.last_words)
        found.told = [masks.clean(text) for text in found.told] + answer.said
        return found

    async def streams(self) -> tuple[Sequence[dict[str, Any]], list[str]]:
        """The entries of its catalog, and what it said meanwhile."""
        answer = await self.ask("discover")
        if answer.catalog is None:
            raise failed(answer.failed) if answer.failed else invalid("it lists no streams", "tap.catalog")
        return messages.streams_of(answer.catalog), answer.told

    def start(self, entry: Mapping[str, Any], wanted: Wanted, state: Any) -> Start:
        """What is to be run."""
        more = {"catalog": messages.configured(entry, wanted.cursor_field)}
        if state is not None:
            more["state"] = messages.state_of(wanted.stream, state)
        return Start(
            self._run("read", more),
            messages.hearing(wanted.stream, by_state=bool(wanted.cursor_field)),
            frozenset({wanted.stream}),
            self.connection.idle_seconds,
            orjson.dumps(entry.get("json_schema") or {}),
        )

    def _run(self, command: str, more: Mapping[str, str]) -> Program:
        files = {**self.files, **more}
        named = {"manifest": "--manifest-path"}
        options = [part for name in files for part in (named.get(name, f"--{name}"), f"{{{name}}}")]
        connection = self.connection
        return Program([self.program, command, *options], files, connection.memory, connection.masks())


@asynccontextmanager
async def _child(source: Source) -> AsyncGenerator[_Child]:
    connection = source.parsed(AirbyteConnection)
    check_source(source)
    files = {"config": orjson.dumps(connection.whole_config()).decode()}
    if connection.manifest:
        files["manifest"] = await manifest_of(connection.manifest)
    async with program_of(connection) as program:
        yield _Child(connection, program, files)


def _entry(entries: Sequence[dict[str, Any]], wanted: Wanted) -> dict[str, Any]:
    found = {str(one.get("name")): one for one in entries}
    if wanted.stream not in found:
        known = ", ".join(sorted(found)[:20])
        raise invalid(f"the source has no stream {wanted.stream!r}; it has {known or 'none'}", "tap.stream")
    entry = found[wanted.stream]
    if wanted.cursor_field and not messages.by_state(entry):
        raise invalid(
            f"the stream {wanted.stream!r} can't be read INCREMENTAL; take mode FULL", "settings.invalid"
        )
    return entry


def _stream(entry: Mapping[str, Any]) -> SourceStream:
    schema = columns_or_none(entry.get("json_schema"))
    cursors = cast("list[Any]", entry.get("default_cursor_field") or []) if messages.by_state(entry) else []
    keys = cast("list[list[Any]]", entry.get("source_defined_primary_key") or [])
    return SourceStream(
        str(entry.get("name")), schema, tuple(map(str, cursors[-1:])), tuple(str(path[-1]) for path in keys)
    )

"""The connector `sql`: tables, views and queries of MySQL, MariaDB, PostgreSQL and SQLite.

A position is `{"pass": N, "after": [key], "rows": N}`, or `{"done": true}` at the
end. All that touches the database happens in a child process; here are only
settings, the check of the address, and what the child tells.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any, ClassVar, Final

import orjson
import pyarrow as pa
from pydantic import BaseModel

from weir_core.datasets.commits import Counts, Position
from weir_workers import __version__
from weir_workers.connectors import sql_frames as frames
from weir_workers.connectors.addresses import check_literal, may_dial, refused
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Connector,
    Drift,
    Item,
    Partition,
    Source,
    SourceStream,
    Wanted,
)
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.rereading import Reread, reread_json
from weir_workers.connectors.roots import inside_roots
from weir_workers.connectors.sql_place import Place
from weir_workers.connectors.sql_process import ChildBroke, frames_of
from weir_workers.connectors.sql_settings import SqlCollection, SqlConnection

_CHECK_SECONDS: Final = 10.0


class SqlConnector(Connector):
    """Reads tables of a database."""

    name: ClassVar[str] = "sql"
    description: ClassVar[str] = "Tables, views and queries of MySQL, MariaDB, PostgreSQL and SQLite"
    version: ClassVar[str] = __version__
    modes: ClassVar[frozenset[str]] = frozenset({"FULL", "APPEND", "INCREMENTAL", "MERGE"})
    connection_settings: ClassVar[type[BaseModel]] = SqlConnection
    collection_settings: ClassVar[type[BaseModel]] = SqlCollection
    has_streams: ClassVar[bool] = True

    def __init__(self, **sizes: int) -> None:
        self._sizes = sizes

    async def check(self, source: Source) -> None:
        """Signs in and goes."""
        place = _place(source)
        place = replace(place, timeout=min(_CHECK_SECONDS, place.timeout))
        async for _ in _told(place, {"verb": "check"}, source):
            pass

    async def discover(self, source: Source) -> Sequence[SourceStream]:
        """Tables and views, with the columns that the database says they have."""
        streams: list[SourceStream] = []
        async for _, content in _told(_place(source), {"verb": "discover"}, source):
            for name, schema, cursors, key, estimate in orjson.loads(content):
                columns = frames.schema_of(schema)
                streams.append(SourceStream(name, columns, tuple(cursors), tuple(key), estimate))
        return streams

    def side_by_side(self, wanted: Wanted) -> int:
        """As many as the collection has connections."""
        return wanted.parsed(SqlCollection).connections

    async def partitions(self, source: Source, wanted: Wanted) -> Sequence[Partition]:
        """Ranges of the key; one where there is one connection."""
        if self.side_by_side(wanted) == 1 or wanted.limit:
            return [Partition()]
        ends: list[Any] = []
        asked = {**_order(wanted), "verb": "cut", "sizes": self._sizes}
        async for _, content in _told(_place(source), asked, source):
            ends = orjson.loads(content)
        edges = pairwise([None, *ends, None])
        return [Partition(settings={"after": after, "until": until}) for after, until in edges]

    async def read(
        self, source: Source, wanted: Wanted, partition: Partition, position: Position | None = None
    ) -> AsyncGenerator[Item]:
        """Reads rows from a position on; see `Connector.read`."""
        if position is not None and position.get("done"):
            return
        place, order = _place(source), _order(wanted)
        for fast in (True, False):
            asked = {
                **order,
                "part": partition.settings,
                "position": position,
                "fast": fast,
                "sizes": self._sizes,
            }
            try:
                async with aclosing(_told(place, asked, source)) as told:
                    async for kind, content in told:
                        item = _item(kind, content)
                        yield item
                        if isinstance(item, Batch | Checkpoint):
                            position = item.position
            except ChildBroke:
                if not fast:
                    raise _broken(place) from None
            else:
                return

    def reread(self, wanted: Wanted, raws: Sequence[bytes]) -> Reread:
        """Reads rejected rows, which are kept as JSON, by the columns of today."""
        settings = wanted.parsed(SqlCollection)
        return reread_json(raws, settings.declared_schema() or wanted.schema or pa.schema([]))


async def _told(
    place: Place, order: Mapping[str, Any], source: Source
) -> AsyncGenerator[tuple[bytes, bytes]]:
    """What a child tells that does this."""
    addresses = (
        [] if place.dialect == "sqlite" else await _addresses(place, allow_private=source.allow_private)
    )
    if place.tls == "auto":
        public = any(may_dial(ipaddress.ip_address(one), allow_private=False) for one in addresses)
        place = replace(place, tls="verified" if public else "off")
    try:
        async with (
            frames_of({**order, "place": asdict(place), "addresses": addresses}, place.timeout) as told,
            aclosing(told),
        ):
            async for frame in told:
                yield frame
    except ChildBroke:
        if order["verb"] == "read":
            raise
        raise _broken(place) from None


async def _addresses(place: Place, *, allow_private: bool) -> list[str]:
    """The addresses of the server that may be dialled: one of these is."""
    check_literal(place.host, allow_private=allow_private)
    try:
        async with asyncio.timeout(place.timeout):
            found = await asyncio.get_running_loop().getaddrinfo(
                place.host, place.port, type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError, TimeoutError):
        raise SourceError(
            "DEPENDENCY", f"the name {place.host!r} can't be resolved", code="sql.dns", host=place.host
        ) from None
    addresses = list(dict.fromkeys(str(entry[4][0]).split("%", 1)[0] for entry in found))
    good = [one for one in addresses if may_dial(ipaddress.ip_address(one), allow_private=allow_private)]
    if addresses and not good:
        raise refused(place.host, addresses[0])
    return good


def _place(source: Source) -> Place:
    place = source.parsed(SqlConnection).place()
    return replace(place, path=str(inside_roots(place.path))) if place.dialect == "sqlite" else place


def _order(wanted: Wanted) -> dict[str, Any]:
    settings = wanted.parsed(SqlCollection)
    if bool(wanted.stream) == bool(settings.query):
        raise SourceError(
            "INVALID_INPUT",
            "a collection of a database needs either a stream, which is a table or view, or the setting "
            "`query`",
            code="settings.invalid",
        )
    declared = settings.declared_schema()
    schema = declared or (None if wanted.evolve else wanted.schema)
    return {
        "verb": "read",
        "stream": wanted.stream,
        "query": settings.query,
        "key": settings.key,
        "schema": frames.schema_text(schema.remove_metadata()) if schema is not None else "",
        "declared": declared is not None,
        "asked": {
            "cursor_field": wanted.cursor_field,
            "cursor": wanted.cursor,
            "inclusive": wanted.inclusive,
            "until": wanted.until,
        },
        "limit": wanted.limit,
    }


def _item(kind: bytes, content: bytes) -> Item:
    if kind == frames.REJECT:
        return frames.reject_of(content)
    if kind == frames.DRIFT:
        return Drift(tuple(orjson.loads(content)))
    about, records = frames.rows_of(content)
    counts = Counts(about["records"], about["bytes"], about["requests"])
    position = about["position"]
    return Checkpoint(position, counts) if records is None else Batch(records, position, counts)


def _broken(place: Place) -> SourceError:
    return SourceError(
        "DEPENDENCY", "the process that reads the database ended by itself", code="sql.child", host=place.host
    )

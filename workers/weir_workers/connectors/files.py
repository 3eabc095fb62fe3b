"""The connector `files`: CSV, NDJSON, JSON, Parquet and Excel, in folders, buckets and on web servers.

Files are read one after the other, by their time where that is the cursor, else by
their names. A position names the file that was read, as it was then, and the place in it.
"""

import asyncio
import ipaddress
import socket
import zlib
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import pyarrow as pa
from pydantic import BaseModel

from weir_core.datasets.commits import Counts, Position
from weir_workers import __version__
from weir_workers.connectors.addresses import check_literal, may_dial, refused
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Connector,
    Drift,
    Item,
    Partition,
    Source,
    Wanted,
)
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.files_formats import (
    BLOCK,
    Columns,
    FileJob,
    Part,
    reader_of,
    unpacked,
    unreadable,
)
from weir_workers.connectors.files_http import http_place
from weir_workers.connectors.files_places import Found, Place, local_place, s3_host, s3_place
from weir_workers.connectors.files_settings import FilesCollection, FilesConnection
from weir_workers.connectors.rereading import Reread, reread_json

FILE, TIME = "_file", "_file_time"
"""Columns that are added where they are wanted: a file's path, and when it was changed last."""
# A system's own limits end what hangs long before; a great file may take its time.
_PATIENCE: Final = 900.0
_A_LINE: Final = "a line of CSV can't be read again without its file: run the collection once more"
_SYSTEM: Final = {FILE: pa.string(), TIME: pa.timestamp("us", "UTC")}


@dataclass(frozen=True, slots=True)
class _Since:
    """Which files are wanted by their time."""

    after: datetime | None
    inclusive: bool
    until: datetime | None

    def wants(self, found: Found) -> bool:
        time = found.time
        if time is None:
            return True
        new = self.after is None or time > self.after or (self.inclusive and time == self.after)
        return new and (self.until is None or time < self.until)


class FilesConnector(Connector):
    """Reads files."""

    name: ClassVar[str] = "files"
    description: ClassVar[str] = "CSV, JSON, Parquet and Excel files in folders, in S3 and on web servers"
    version: ClassVar[str] = __version__
    modes: ClassVar[frozenset[str]] = frozenset({"FULL", "APPEND", "INCREMENTAL", "MERGE"})
    connection_settings: ClassVar[type[BaseModel]] = FilesConnection
    collection_settings: ClassVar[type[BaseModel]] = FilesCollection

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block

    async def check(self, source: Source) -> None:
        """Looks into the folder; of a web server only the address is checked."""
        connection = source.parsed(FilesConnection)
        async with _opened(connection, source) as place:
            if not connection.url.startswith("http"):
                async with _in_time():
                    await asyncio.to_thread(place.listed, ["*"])

    async def read(
        self, source: Source, wanted: Wanted, partition: Partition, position: Position | None = None
    ) -> AsyncGenerator[Item]:
        """Reads files from a position on; see `Connector.read`."""
        if position is not None and position.get("done"):
            return
        connection = source.parsed(FilesConnection)
        settings = wanted.parsed(FilesCollection)
        async with _opened(connection, source) as place:
            items = _Reading(place, settings, wanted, position or {}, self._block).items()
            pool = ThreadPoolExecutor(1, thread_name_prefix="weir-files")
            loop = asyncio.get_running_loop()
            try:
                while True:
                    async with _in_time():
                        item = await loop.run_in_executor(pool, next, items, None)
                    if item is None:
                        break
                    yield item
            finally:
                # What the thread does now it ends by itself; then it closes the file.
                pool.submit(items.close)
                pool.shutdown(wait=False)

    def reread(self, wanted: Wanted, raws: Sequence[bytes]) -> Reread:
        """Reads rejected records by the columns of today; a line of CSV says nothing without its file."""
        settings = wanted.parsed(FilesCollection)
        found = reread_json(raws, settings.declared_schema() or wanted.schema or pa.schema([]))
        lines = {place: _A_LINE for place in found.misfits if not raws[place].lstrip().startswith(b"{")}
        return Reread(found.rows, {**found.misfits, **lines})


class _Reading:
    """One reading, in a thread of its own."""

    def __init__(
        self, place: Place, settings: FilesCollection, wanted: Wanted, position: Position, block: int
    ) -> None:
        self._place = place
        self._settings = settings
        self._wanted = wanted
        self._position = position
        self._block = block
        schema = settings.declared_schema() or wanted.schema
        self._system = [
            name
            for name in _SYSTEM
            if name == wanted.cursor_field or (schema is not None and name in schema.names)
        ]
        plain = None if schema is None else pa.schema([one for one in schema if one.name not in self._system])
        self._columns = Columns(plain)
        self._told: set[str] = set()
        self._by_time = wanted.cursor_field == TIME
        self._since = position.get("since", wanted.cursor if self._by_time else None)

    def items(self) -> Generator[Item]:
        """What is read, in order."""
        number = int(self._position.get("file", 0))
        last = self._position.get("name")
        left = self._wanted.limit
        for found in self._files():
            again = found.name == last and (not self._by_time or _stamp(found) == self._position["time"])
            number += 0 if again else 1
            for item in self._file(found, number, again=again):
                yield item
                if left and isinstance(item, Batch | Checkpoint):
                    left -= item.counts.records
                    if left <= 0:
                        return
        yield Checkpoint({"done": True}, Counts())

    def _files(self) -> list[Found]:
        """The files that are to be read, in order, from the one of the position on."""
        by_time = self._by_time
        found = self._place.listed(self._settings.files)
        if by_time and any(one.time is None for one in found):
            raise unreadable(found[0].name, f"a web server tells no time of its files for {TIME}", "no_time")
        if not by_time and self._wanted.cursor_field:
            raise _invalid(
                f"files go forward by {TIME}; the cursor field {self._wanted.cursor_field!r} can't be one"
            )
        if self._wanted.until is not None and not by_time:
            raise _invalid(f"a reading that ends at a value needs the cursor field {TIME}")
        since = _Since(_time(self._since), self._wanted.inclusive, _time(self._wanted.until))
        wanted = sorted(
            (one for one in found if since.wants(one)), key=lambda one: _place_of(one, by_time=by_time)
        )
        if "name" not in self._position:
            return wanted
        start = (self._position["time"] if by_time else "", self._position["name"])
        return [one for one in wanted if _place_of(one, by_time=by_time) >= start]

    def _file(self, found: Found, number: int, *, again: bool) -> Iterator[Item]:
        at: Mapping[str, int] = self._position["at"] if again else {}
        if at.get("end"):
            return
        kind = self._settings.format_of(found.name)
        if kind is None:
            raise unreadable(found.name, "its name does not tell what it is; set `format`", "format")
        before = self._place.counts()
        stream, version = self._place.opened(found)
        asked = self._place.counts() - before
        with closing(stream):
            if again and version != self._position["version"]:
                raise unreadable(found.name, "has changed since it was read; start a new run", "changed")
            where = {"file": number, "name": found.name, "time": _stamp(found), "version": version}
            plain = unpacked(stream, self._settings.compression_of(found.name))
            job = FileJob(found.name, number, plain, self._settings, self._columns, at, self._block)
            try:
                for part in reader_of(kind)(job):
                    yield from self._items(found, where, part)
            except (OSError, EOFError, zlib.error) as error:
                raise unreadable(found.name, f"is broken: {type(error).__name__}", "broken") from None
        yield Checkpoint(self._after(where, {"end": 1}), Counts(requests=asked.requests or 1))

    def _items(self, found: Found, where: Mapping[str, Any], part: Part) -> Iterator[Item]:
        new = sorted(part.unknown - self._told)
        self._told.update(new)
        if new and not self._settings.columns:
            yield Drift(tuple(new[:100]))
        yield from part.rejects
        position = self._after(where, part.at)
        counts = Counts(part.records, part.bytes)
        if part.rows is None or not part.rows.num_rows:
            yield Checkpoint(position, counts)
        else:
            yield Batch(self._complete(part.rows, found), position, counts)

    def _complete(self, rows: pa.RecordBatch, found: Found) -> pa.RecordBatch:
        """The rows with the columns that tell where they are from."""
        for name in self._system:
            value = pa.scalar(found.name if name == FILE else found.time, _SYSTEM[name])
            rows = rows.append_column(pa.field(name, _SYSTEM[name]), pa.repeat(value, rows.num_rows))
        return rows

    def _after(self, where: Mapping[str, Any], at: Mapping[str, int]) -> Position:
        since = {"since": self._since} if self._since is not None else {}
        return {**where, "at": dict(at), **since}


def _place_of(found: Found, *, by_time: bool) -> tuple[str, str]:
    return (_stamp(found) if by_time else "", found.name)


def _stamp(found: Found) -> str:
    return found.time.isoformat(timespec="microseconds") if found.time else ""


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        raise _invalid(f"the cursor {value!r} is no time, such as 2024-01-31T10:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _place(connection: FilesConnection) -> Place:
    return local_place(connection) if connection.url.startswith("file:") else s3_place(connection)


@asynccontextmanager
async def _in_time() -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(_PATIENCE):
            yield
    except TimeoutError:
        raise SourceError(
            "DEPENDENCY", f"no rows came within {_PATIENCE:g} s", code="files.timeout"
        ) from None


@asynccontextmanager
async def _opened(connection: FilesConnection, source: Source) -> AsyncGenerator[Place]:
    await _check_address(connection, source)
    if connection.url.startswith("http"):
        async with http_place(connection, source) as place:
            yield place
    else:
        yield await asyncio.to_thread(_place, connection)


async def _check_address(connection: FilesConnection, source: Source) -> None:
    """Refuses a server that may not be dialled."""
    if not connection.url.startswith("s3:"):
        return
    host, port, tls = s3_host(connection)
    check_literal(host, allow_private=source.allow_private)
    if not tls and not source.allow_private:
        # In plain text nothing proves that the server is the one whose address was checked.
        raise _invalid("an `endpoint` in plain text needs `allow_private_addresses`; use https")
    try:
        async with asyncio.timeout(connection.timeout_seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise SourceError(
            "DEPENDENCY", f"the name {host!r} can't be resolved", code="files.dns", host=host
        ) from None
    addresses = [str(entry[4][0]).split("%", 1)[0] for entry in found]
    bad = [
        one
        for one in addresses
        if not may_dial(ipaddress.ip_address(one), allow_private=source.allow_private)
    ]
    if bad:
        raise refused(host, bad[0])


def _invalid(message: str) -> SourceError:
    return SourceError("INVALID_INPUT", message, code="settings.invalid")

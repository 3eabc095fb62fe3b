"""Reading a dataset for a caller: from one version throughout, to be resumed after any row.

The segments of a version never change, so a place among them stays good as long
as the version is kept. A token holds version and place, signed together with
the query that it belongs to.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

import orjson
import pyarrow as pa

from weir_core.datasets.ahead import ahead
from weir_core.datasets.ipc import IpcMessage, to_ipc_messages
from weir_core.datasets.reading import Chunk, Place, Reading
from weir_core.errors import InvalidArgument, PageTokenInvalid, PositionExpired
from weir_core.paging import PageTokens


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records are wanted; 0 and empty mean the newest version, no limit, all columns and records."""

    dataset_id: UUID
    columns: tuple[str, ...] = ()
    filter: str = ""
    version: int = 0
    limit: int = 0
    resume_token: str = ""

    @property
    def scope(self) -> str:
        """What a token is bound to."""
        parts = [str(self.dataset_id), self.columns, self.filter, self.version, self.limit]
        return orjson.dumps(parts).decode()


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a reading has come: in which version, where, and after how many rows in all."""

    version: int = 0
    place: Place = field(default_factory=Place)
    given: int = 0


class Marks:
    """Writes marks as tokens, and reads them back."""

    def __init__(self, tokens: PageTokens) -> None:
        self._tokens = tokens

    def write(self, mark: Mark, query: RecordQuery) -> str:
        """The token of a mark."""
        place = mark.place
        return self._tokens.make([mark.version, place.segment, place.row, mark.given], query.scope)

    def read(self, query: RecordQuery) -> Mark:
        """Where a query wants to go on; InvalidArgument where its token is not of this query."""
        if not query.resume_token:
            return Mark(query.version)
        try:
            version, segment, row, given = self._tokens.read(query.resume_token, query.scope)
        except PageTokenInvalid:
            raise InvalidArgument.at(
                "query.resume_token",
                "is altered, older than 24 hours, or of another query; all else must be the same as before",
            ) from None
        return Mark(version, Place(segment, row), given)


@dataclass(frozen=True, slots=True)
class Portion:
    """Some records, and the tokens to go on after any of them."""

    chunk: Chunk
    given: int
    """Records given before these."""
    version: int
    query: RecordQuery
    marks: Marks

    @property
    def records(self) -> pa.RecordBatch:
        """The records."""
        return self.chunk.rows

    def token_after(self, rows: int) -> str:
        """The token that goes on after the first `rows` of these records, at least one."""
        mark = Mark(self.version, self.chunk.head(rows).end, self.given + rows)
        return self.marks.write(mark, self.query)


class Records:
    """The records of one query, as they are read."""

    def __init__(self, project: str, reading: Reading, marks: Marks, query: RecordQuery, start: Mark) -> None:
        self.project = project
        self._reading = reading
        self._marks = marks
        self._query = query
        self._start = start

    @property
    def version(self) -> int:
        """The version that is read."""
        return self._start.version

    async def portions(self, most_rows: int) -> AsyncGenerator[Portion]:
        """The records, at most so many at a time; PositionExpired where the version goes meanwhile."""
        given = self._start.given
        if self._is_complete():
            return
        try:
            async with aclosing(ahead(self._reading.chunks(most_rows))) as chunks:
                async for chunk in chunks:
                    yield Portion(chunk, given, self.version, self._query, self._marks)
                    given += chunk.rows.num_rows
        except FileNotFoundError:
            raise expired(self.version) from None

    async def messages(self, most_bytes: int) -> AsyncGenerator[tuple[IpcMessage, str]]:
        """The schema, then the records as Arrow messages of at most so many bytes, each with its token."""
        given = self._start.given
        try:
            async with aclosing(ahead(to_ipc_messages(self._reading, most_bytes))) as messages:
                async for message in messages:
                    given += message.rows
                    mark = Mark(self.version, message.end, given)
                    yield message, self._marks.write(mark, self._query)
                    if self._is_complete():
                        return
        except FileNotFoundError:
            raise expired(self.version) from None

    def _is_complete(self) -> bool:
        """True where all that the limit allows was given before."""
        return 0 < self._query.limit <= self._start.given


def expired(version: int) -> PositionExpired:
    """The error for a version that is not kept any more."""
    return PositionExpired(
        f"version {version} of the dataset is not kept any more; start anew without resume_token and version",
        version=str(version),
    )


def checked_version(asked: int, newest: int, oldest: int) -> int:
    """The version to read; refused where there is no such one."""
    if asked > newest:
        raise InvalidArgument.at("query.version", f"{asked} is not reached yet; the newest is {newest}")
    if asked and asked < oldest:
        raise expired(asked)
    return asked or newest

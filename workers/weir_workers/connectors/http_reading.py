"""One reading of an API's collection, from a position to the end."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing

import pyarrow as pa
import pyarrow.compute as pc
from yarl import URL

from weir_core.datasets.commits import Counts, Position
from weir_core.datasets.cursors import CursorValue, as_scalar
from weir_workers.connectors.contract import Batch, Checkpoint, Drift, Item, Wanted
from weir_workers.connectors.envelope import Envelope, WrongShape, split
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.fetch import Answer, Fetcher
from weir_workers.connectors.http_settings import (
    HttpCollection,
    HttpConnection,
    NextLinks,
    PageNumbers,
    Scalar,
)
from weir_workers.connectors.infer import TooManyColumns
from weir_workers.connectors.pages import Loaded, Numbering, Turn, linked, numbered
from weir_workers.connectors.records import Page, PageParser

_MAX_LINK = 8192
# Pages this long don't come twice by chance.
_TELLING_PAGE = 10


class HttpReading:
    """Turns pages into items; made for one reading and used once."""

    def __init__(
        self,
        fetcher: Fetcher,
        pool: Executor,
        *,
        connection: HttpConnection,
        collection: HttpCollection,
        wanted: Wanted,
        position: Position,
    ) -> None:
        self._fetcher = fetcher
        self._pool = pool
        self._collection = collection
        self._wanted = wanted
        self._position = position
        self._since: CursorValue | None = position.get("since", wanted.cursor)
        self._url = _first_url(connection, collection, self._since)
        declared = collection.declared_schema()
        self._parser = PageParser(declared or wanted.schema, evolve=wanted.evolve and declared is None)
        self._seen: int = position.get("seen", 0)
        self._told: Counts = fetcher.counts
        self._known: set[str] = set()

    async def items(self) -> AsyncGenerator[Item]:
        """What is read, in order."""
        before = b""
        async with aclosing(self._turns()) as turns:
            async for turn in turns:
                if turn.digest == before and turn.page.records >= _TELLING_PAGE:
                    raise _same_again(self._url)
                before = turn.digest
                for item in self._items_of(turn):
                    yield item
        yield Checkpoint({"done": True}, self._counts(0))

    def _turns(self) -> AsyncGenerator[Turn]:
        pagination = self._collection.pagination
        if isinstance(pagination, PageNumbers):
            rules = Numbering(
                pagination.start,
                1 if self._wanted.limit else pagination.in_flight,
                pagination.page_size,
                pagination.short_page_ends,
                pagination.not_found_ends,
            )
            return numbered(
                self._load_number, rules, self._position.get("page", pagination.start), self._seen
            )
        start = URL(self._position["next"], encoded=True) if "next" in self._position else self._url
        first = self._position.get("page", 1)
        return linked(self._load_link, start, first, eager=not self._wanted.limit)

    async def _load_number(self, number: int) -> Loaded:
        rules = self._collection.pagination
        assert isinstance(rules, PageNumbers)
        query = {rules.page_param: str(number)}
        if rules.size_param:
            query[rules.size_param] = str(rules.page_size)
        _, envelope, digest = await self._get(
            self._url.update_query(query), (rules.total_path,) if rules.total_path else ()
        )
        total = envelope.extras[0] if envelope.extras else None
        ordinal = number - rules.start + 1
        return Loaded(self._parse(envelope, ordinal), digest, None, total if isinstance(total, int) else None)

    async def _load_link(self, url: URL, number: int) -> Loaded:
        rules = self._collection.pagination
        path = rules.next_path if isinstance(rules, NextLinks) else ""
        answer, envelope, digest = await self._get(url, (path,) if path else ())
        link = envelope.extras[0] if path else answer.next_link
        following = (
            self._checked_link(answer.url, url, link) if isinstance(rules, NextLinks) and link else None
        )
        return Loaded(self._parse(envelope, number), digest, following)

    async def _get(self, url: URL, extra_paths: Sequence[str]) -> tuple[Answer, Envelope, bytes]:
        path = self._collection.records_path

        def decode(answer: Answer) -> tuple[Answer, Envelope, bytes]:
            try:
                envelope = split(answer.body, path, extra_paths)
            except WrongShape as error:
                raise _wrong(url, str(error)) from None
            return answer, envelope, hashlib.blake2b(envelope.records, digest_size=16).digest()

        return await self._fetcher.get(url, decode)

    def _parse(self, envelope: Envelope, number: int) -> asyncio.Future[Page]:
        return asyncio.get_running_loop().run_in_executor(self._pool, self._parsed, envelope, number)

    def _parsed(self, envelope: Envelope, number: int) -> Page:
        try:
            return self._parser.parse(envelope, number)
        except TooManyColumns as error:
            raise _wrong(self._url, str(error)) from None

    def _checked_link(self, page: URL, asked: URL, link: object) -> URL:
        if not isinstance(link, str | URL):
            raise _wrong(page, "the next link is no text")
        try:
            following = page.join(URL(link))
        except ValueError:
            raise _wrong(page, "the next link is no URL") from None
        if following in {page, asked}:
            raise _wrong(page, "the next link leads to the same page again")
        if len(str(following)) > _MAX_LINK:
            raise _wrong(page, f"the next link is longer than {_MAX_LINK} characters")
        self._fetcher.check_trusted(following)
        return following.with_fragment(None)

    def _items_of(self, turn: Turn) -> list[Item]:
        page = turn.page
        self._seen += page.records
        new = tuple(sorted(page.unknown - self._known))
        self._known.update(new)
        position, counts = self._after(turn), self._counts(page.records)
        rows = self._fresh(page.rows) if page.rows is not None else None
        last = Batch(rows, position, counts) if rows is not None else Checkpoint(position, counts)
        return [*([Drift(new)] if new else []), *page.rejects, last]

    def _after(self, turn: Turn) -> Position:
        since = {"since": self._since} if self._since is not None else {}
        if isinstance(self._collection.pagination, PageNumbers):
            return {"page": turn.number + 1, "seen": self._seen, **since}
        if turn.link is None:
            return {"done": True}
        return {"next": str(turn.link), "page": turn.number + 1, "seen": self._seen, **since}

    def _fresh(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows without those that the run before has read: equal to its cursor."""
        field = self._wanted.cursor_field
        if field and field not in rows.schema.names:
            raise _wrong(
                self._url,
                f"the cursor field {field!r} is none of the columns: {', '.join(rows.schema.names)}",
            )
        if self._since is None or not field or self._collection.keep_equal:
            return rows
        column = rows.column(field)
        try:
            repeated = pc.equal(column, as_scalar(self._since, column.type))
        except ValueError as error:
            raise _wrong(self._url, str(error)) from None
        return rows.filter(pc.invert(pc.fill_null(repeated, False)))

    def _counts(self, records: int) -> Counts:
        """What was done since the item before."""
        now = self._fetcher.counts
        since, self._told = now - self._told, now
        return since + Counts(records=records)


def _first_url(connection: HttpConnection, collection: HttpCollection, since: CursorValue | None) -> URL:
    path = collection.path.lstrip("/")
    url = URL(connection.base_url.rstrip("/") + (f"/{path}" if path else ""))
    query: dict[str, str | list[str]] = {
        name: [_text(one) for one in value] if isinstance(value, list) else _text(value)
        for name, value in collection.params.items()
    }
    if since is not None and collection.cursor_param:
        query[collection.cursor_param] = _text(since)
    return url.update_query(query)


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A whole number may have become a double on its way through JSON.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _wrong(url: URL, message: str) -> SourceError:
    return SourceError(
        "INVALID_INPUT", f"{url.host}{url.path}: {message}", code="http.shape", host=url.host or ""
    )


def _same_again(url: URL) -> SourceError:
    return _wrong(url, "two pages in a row have the same records; does the source know the page parameter?")

"""One reading of an API's collection, from a position to the end."""

from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from yarl import URL

from weir_core.datasets.commits import Position
from weir_core.datasets.values import CursorValue
from weir_workers.connectors.column_settings import declared_schema
from weir_workers.connectors.contract import Batch, Checkpoint, Drift, Item, Unchanged, Wanted
from weir_workers.connectors.cursor_range import CursorRange, OutOfRange
from weir_workers.connectors.fetch import Fetcher, NotModified
from weir_workers.connectors.http_collection import HttpCollection
from weir_workers.connectors.http_connection import HttpConnection
from weir_workers.connectors.http_loading import PageLoader, wrong
from weir_workers.connectors.http_pagination import TimeWindows
from weir_workers.connectors.http_request import Question, question
from weir_workers.connectors.http_turns import Walk, time_of
from weir_workers.connectors.http_validators import can_tell, fingerprint, unless
from weir_workers.connectors.pages import SamePageAgain, Turn
from weir_workers.connectors.records import PageParser
from weir_workers.connectors.times import rounded, written

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
        self._collection = collection
        self._position = position
        self._wanted = wanted
        self._since: CursorValue | None = position.get("since", wanted.cursor)
        asked = _question(connection, collection, self._since, wanted.until)
        self._asked = fingerprint(connection, collection, asked.url) if can_tell(collection) else ""
        self._question = replace(asked, unless=unless(wanted.known, self._asked))
        self._range = CursorRange(
            wanted.cursor_field,
            self._since,
            wanted.until,
            keep_equal=wanted.inclusive or collection.keep_equal,
            # What a coarse parameter brings again.
            drop_below=collection.cursor_format != "as_is" or isinstance(collection.pagination, TimeWindows),
        )
        declared = declared_schema(collection.columns)
        parser = PageParser(declared or wanted.schema, evolve=wanted.evolve and declared is None)
        self._loader = PageLoader(fetcher, pool, parser, collection)
        self._walk = Walk(self._loader, collection.pagination, self._since, wanted.until, wanted.limit)
        self._url: URL = asked.url
        self._seen: int = position.get("seen", 0)
        self._known: set[str] = set()

    async def items(self) -> AsyncGenerator[Item]:
        """What is read, in order."""
        before = b""
        try:
            async with aclosing(self._walk.turns(self._question, self._position)) as turns:
                async for turn in turns:
                    self._check(turn, before)
                    before = turn.digest
                    for item in self._items_of(turn):
                        yield item
        except SamePageAgain:
            raise wrong(self._url, "the next link or cursor leads to a page that was read before") from None
        except NotModified:
            yield Unchanged(self._fetcher.counted(0))
            return
        yield Checkpoint({"done": True}, self._fetcher.counted(0), self._known_now())

    def _known_now(self) -> Mapping[str, Any] | None:
        told = self._loader.validators
        return {"asked": self._asked, "unless": told} if self._asked and told else None

    def _check(self, turn: Turn, before: bytes) -> None:
        most = self._collection.max_pages
        if turn.ordinal > most:
            raise wrong(self._url, f"there are more than {most} pages; if that is right, raise `max_pages`")
        if turn.page is not None and turn.digest == before and turn.page.records >= _TELLING_PAGE:
            raise wrong(
                self._url,
                "two pages in a row have the same records; does the source know the page parameter?",
            )

    def _items_of(self, turn: Turn) -> list[Item]:
        page, records = turn.page, turn.page.records if turn.page is not None else 0
        self._seen += records
        position, counts = self._after(turn), self._fetcher.counted(records)
        if page is None:
            return [Checkpoint(position, counts)]
        new = tuple(sorted(page.unknown - self._known))
        self._known.update(new)
        try:
            rows = self._range.inside(page.rows) if page.rows is not None else None
        except OutOfRange as error:
            raise wrong(self._url, str(error)) from None
        last = Batch(rows, position, counts) if rows is not None else Checkpoint(position, counts)
        return [*([Drift(new)] if new else []), *page.rejects, last]

    def _after(self, turn: Turn) -> Position:
        if turn.after.get("done"):
            return turn.after
        # Where there was no cursor, a resumed run must not take the one that has come since.
        since = {"since": self._since} if self._wanted.cursor_field else {}
        return {"page": turn.ordinal + 1, "seen": self._seen, **turn.after, **since}


def _question(
    connection: HttpConnection,
    collection: HttpCollection,
    since: CursorValue | None,
    until: CursorValue | None,
) -> Question:
    body = collection.body if collection.method == "POST" else None
    asked = question(connection.base_url, collection.path, collection.params, body, collection.send_in)
    params: dict[str, CursorValue] = {}
    if since is not None and collection.cursor_param:
        params[collection.cursor_param] = _shown(collection, since, up=False)
    if until is not None and collection.until_param:
        params[collection.until_param] = _shown(collection, until, up=True)
    return asked.with_params(params) if params else asked


def _shown(collection: HttpCollection, value: CursorValue, *, up: bool) -> CursorValue:
    """A cursor as the source is told it; rounded so that nothing is left out."""
    form = collection.cursor_format
    if form == "as_is" or (isinstance(value, int | float) and form in {"epoch_seconds", "epoch_ms"}):
        return value
    return written(rounded(time_of(value, form, "cursor_format", up=up), form, up=up), form)

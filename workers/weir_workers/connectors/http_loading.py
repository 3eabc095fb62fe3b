"""Asks for single pages, takes them apart and has them parsed."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, cast

import orjson
from yarl import URL

from weir_workers.connectors.envelope import Envelope, WrongShape, last_value, split, split_lines
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.fetch import Answer, Fetcher
from weir_workers.connectors.http_collection import HttpCollection
from weir_workers.connectors.http_pagination import Cursors, NextLinks, Offsets, PageNumbers
from weir_workers.connectors.http_request import Question, Request
from weir_workers.connectors.http_validators import validators
from weir_workers.connectors.infer import TooManyColumns
from weir_workers.connectors.pages import Loaded
from weir_workers.connectors.records import Page, PageParser

_MAX_MARK = 8192


class PageLoader:
    """Loads the pages of one reading; counts them for what is said of rejected records."""

    def __init__(
        self, fetcher: Fetcher, pool: Executor, parser: PageParser, collection: HttpCollection
    ) -> None:
        self._fetcher = fetcher
        self._pool = pool
        self._parser = parser
        self._collection = collection
        self.validators: dict[str, str] = {}
        """Of the newest page that a link led to."""

    async def at_number(
        self, question: Question, rules: PageNumbers | Offsets, number: int, ordinal: int
    ) -> Loaded:
        """The page at a number or offset."""
        name = rules.page_param if isinstance(rules, PageNumbers) else rules.offset_param
        sized = {rules.size_param: rules.page_size} if rules.size_param else {}
        asked = question.with_params({name: number, **sized}).request()
        paths = [rules.total_path] if rules.total_path else []
        _, envelope, digest = await self._get(asked, paths)
        total = envelope.extras[0] if envelope.extras else None
        return Loaded(self._parse(envelope, ordinal), digest, total=total if isinstance(total, int) else None)

    async def at_link(self, question: Question, rules: NextLinks | None, link: str, ordinal: int) -> Loaded:
        """The page that a link leads to; None as rules: it leads to no other."""
        asked = question.request(URL(link, encoded=True))
        path = rules.next_path if rules is not None else ""
        answer, envelope, digest = await self._get(asked, [path] if path else [])
        self.validators = validators(answer.headers)
        found = envelope.extras[0] if path else answer.next_link
        following = self._checked_link(answer.url, asked.url, found) if rules is not None and found else None
        return Loaded(self._parse(envelope, ordinal), digest, following)

    async def at_cursor(self, question: Question, rules: Cursors, mark: Any, ordinal: int) -> Loaded:
        """The page that a cursor leads to; None: the first."""
        params: Mapping[str, Any] = {} if mark is None else {rules.next_param: mark}
        sized = {rules.size_param: rules.page_size} if rules.size_param else {}
        asked = question.with_params({**params, **sized}).request()
        paths = [path for path in (rules.next_path, rules.has_more_path) if path]
        _, envelope, digest = await self._get(asked, paths)
        found = envelope.extras[0] if rules.next_path else last_value(envelope, rules.record_path)
        ended = rules.has_more_path and not _true(envelope.extras[-1])
        none = ended or found is None or found is False or found == ""
        following = None if none else _checked_mark(asked.url, found, question)
        return Loaded(self._parse(envelope, ordinal), digest, following)

    async def _get(self, asked: Request, paths: Sequence[str]) -> tuple[Answer, Envelope, bytes]:
        settings = self._collection

        def decode(answer: Answer) -> tuple[Answer, Envelope, bytes]:
            try:
                if settings.format == "ndjson":
                    envelope = split_lines(answer.body)
                else:
                    envelope = split(
                        answer.body, settings.records_path, paths, one_record=settings.one_record
                    )
            except WrongShape as error:
                raise wrong(asked.url, str(error)) from None
            return answer, envelope, hashlib.blake2b(envelope.records, digest_size=16).digest()

        return await self._fetcher.get(asked, decode)

    def _parse(self, envelope: Envelope, ordinal: int) -> asyncio.Future[Page]:
        return asyncio.get_running_loop().run_in_executor(self._pool, self._parsed, envelope, ordinal)

    def _parsed(self, envelope: Envelope, ordinal: int) -> Page:
        try:
            return self._parser.parse(envelope, ordinal)
        except TooManyColumns as error:
            raise SourceError("INVALID_INPUT", str(error), code="http.shape") from None

    def _checked_link(self, page: URL, asked: URL, link: object) -> str:
        if not isinstance(link, str | URL):
            raise wrong(page, "the next link is no text")
        try:
            following = self._fetcher.without_secret(page.join(URL(link)).with_fragment(None))
        except ValueError:
            raise wrong(page, "the next link is no URL") from None
        if following in {page, asked}:
            raise wrong(page, "the next link leads to the same page again")
        if len(str(following)) > _MAX_MARK:
            raise wrong(page, f"the next link is longer than {_MAX_MARK} characters")
        self._fetcher.check_trusted(following)
        return str(following)


def wrong(url: URL, message: str) -> SourceError:
    """The error for an answer that is not what the settings say. No query is told."""
    return SourceError(
        "INVALID_INPUT", f"{url.host}{url.path}: {message}", code="http.shape", host=url.host or ""
    )


def _true(told: object) -> bool:
    return bool(told) and told != "false"


def _checked_mark(url: URL, mark: Any, question: Question) -> Any:
    scalar = isinstance(mark, str | int | float) and not isinstance(mark, bool)
    if not scalar and not (question.in_body and isinstance(mark, list | dict)):
        raise wrong(url, "the cursor of the next page is no text and no number")
    if len(mark if isinstance(mark, str) else orjson.dumps(cast("Any", mark))) > _MAX_MARK:
        raise wrong(url, f"the cursor of the next page is longer than {_MAX_MARK} characters")
    return cast("Any", mark)

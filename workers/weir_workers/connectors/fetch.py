"""One request at a time until it succeeds or may not be tried again.

A try that failed for a while (429, 5xx, a timeout, a broken connection, a body that
is cut) is repeated with growing waits, honouring Retry-After; one that asks for
more patience than there is raises, and the task's own retry waits. Redirects
are followed by hand, because each address must be checked and the token must
not leave the hosts it is for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import BinaryIO, TypeAlias, TypeVar

import aiohttp
from yarl import URL

from weir_core.datasets.commits import Counts
from weir_workers.connectors.addresses import check_literal
from weir_workers.connectors.budget import Budget
from weir_workers.connectors.clock import REAL, Clock
from weir_workers.connectors.errors import BodyCut, SourceError
from weir_workers.connectors.failures import broken, held_back, refused_answer, retryable, too_large
from weir_workers.connectors.http_auth import Auth, Credentials
from weir_workers.connectors.http_request import Request
from weir_workers.connectors.inflate import ACCEPTED, TooGreat, UnknownEncoding, inflate
from weir_workers.connectors.links import Trust, bad_redirect, foreign, target, with_query
from weir_workers.connectors.retry import RetryPolicy, retry_after

MAX_BODY = 64 * 1024 * 1024
_MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_KEEPING_METHOD = {307, 308}
_SLOWING = {429, 503}
_BLOCK = 1024 * 1024

T = TypeVar("T")
Consume: TypeAlias = Callable[[URL, aiohttp.ClientResponse, asyncio.Timeout], Awaitable[T]]
_NO_CREDENTIALS = Credentials()


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer, body and all."""

    url: URL
    """Where it came from, after redirects."""
    headers: Mapping[str, str]
    body: bytes
    next_link: URL | None
    """Where the header Link says the next page is."""


@dataclass(frozen=True, slots=True)
class Download:
    """What was written elsewhere, as it came: by `headers` it may have a Content-Encoding."""

    url: URL
    headers: Mapping[str, str]
    size: int
    """Bytes."""


class NotModified(Exception):
    """The source has nothing new, by what the request asked; for `Request.unless`."""


class Fetcher:
    """Asks one API, politely."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        trust: Trust,
        auth: Auth,
        *,
        timeout: float,
        allow_private: bool,
        decoders: Executor,
        budget: Budget,
        accept: str = "application/json",
        secret_param: str = "",
        policy: RetryPolicy | None = None,
        clock: Clock = REAL,
        max_body: int = MAX_BODY,
    ) -> None:
        self._session = session
        self._trust = trust
        self._auth = auth
        self._timeout = timeout
        self._allow_private = allow_private
        self._decoders = decoders
        self._budget = budget
        self._accept = accept
        self._secret_param = secret_param
        self._policy = policy or RetryPolicy()
        self._clock = clock
        self._max_body = max_body
        self._requests = self._bytes = 0
        self._told = Counts()

    @property
    def counts(self) -> Counts:
        """What was asked and got so far, tries that failed included."""
        return Counts(0, self._bytes, self._requests)

    def counted(self, records: int) -> Counts:
        """What it took since the last call, with so many records: the counts of the next item."""
        now = self.counts
        since, self._told = now - self._told, now
        return since + Counts(records=records)

    def check_trusted(self, url: URL) -> None:
        """Refuses a next link that leaves the connection's hosts."""
        if not self._trust.covers(url):
            raise foreign(url)

    def without_secret(self, url: URL) -> URL:
        """A link as it may be kept: sources like to repeat the query, and the key is in it."""
        known = self._secret_param and self._secret_param in url.query
        return url.without_query_params(self._secret_param) if known else url

    async def get(self, asked: URL | Request, decode: Callable[[Answer], T]) -> T:
        """The decoded answer. `decode` runs in a thread; BodyCut from it counts as a failed try."""
        request = asked if isinstance(asked, Request) else Request(asked)
        headers = {"Accept": self._accept, "Accept-Encoding": ACCEPTED}

        async def once() -> T:
            answer = await self._follow(request, headers, self._whole)
            return await self._in_thread(lambda: decode(self._inflated(answer)))

        return await self._persist(request.url.host or "", once)

    async def download(self, url: URL, into: BinaryIO, limit: int) -> Download:
        """Writes a body of at most `limit` bytes into a file that can seek; a failed try begins anew there.

        The deadline is for each part of it, not for the whole.
        """
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}

        async def write(at: URL, response: aiohttp.ClientResponse, deadline: asyncio.Timeout) -> Download:
            size = 0
            async for part in response.content.iter_chunked(_BLOCK):
                size += len(part)
                self._bytes += len(part)
                if size > limit:
                    raise too_large(at.host or "", limit, "the file is not read")
                # A write that was left alone would meet what the next try writes.
                deadline.reschedule(None)
                await self._in_thread(lambda part=part: into.write(part))
                deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)
            return Download(at, response.headers, size)

        async def once() -> Download:
            await self._in_thread(lambda: into.truncate(into.seek(0)))
            return await self._follow(Request(url), headers, write)

        return await self._persist(url.host or "", once)

    async def _persist(self, host: str, once: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await once()
            except (aiohttp.ClientError, TimeoutError, BodyCut) as caught:
                error = broken(caught, host, self._timeout)
            except SourceError as caught:
                error = caught
            failures += 1
            wait = self._policy.wait(failures, error.retry_after)
            slowing = error.status in _SLOWING or error.retry_after is not None
            if slowing:
                self._budget.hold(wait)
            if not retryable(error) or failures >= self._policy.tries or self._too_long(error):
                # What it was raised from may hold an address with a key in it.
                raise error from None
            if not slowing:
                await self._clock.sleep(wait)

    async def _follow(self, request: Request, headers: Mapping[str, str], consume: Consume[T]) -> T:
        for _ in range(_MAX_REDIRECTS + 1):
            found = await self._hop(request, headers, consume)
            if not isinstance(found, _Redirect):
                return found
            if request.url.scheme == "https" and found.to.scheme != "https":
                raise bad_redirect(request.url, "to an address without TLS")
            if request.body is not None and found.status not in _KEEPING_METHOD:
                raise bad_redirect(request.url, f"a POST with {found.status}; ask where it leads to")
            if request.body is not None and not self._trust.covers(found.to):
                raise bad_redirect(request.url, f"a POST to {found.to.origin()}, which is not its host")
            request = replace(request, url=self.without_secret(found.to))
        raise bad_redirect(request.url, f"more than {_MAX_REDIRECTS} times")

    async def _hop(
        self, request: Request, headers: Mapping[str, str], consume: Consume[T]
    ) -> "T | _Redirect":
        check_literal(request.url.host or "", allow_private=self._allow_private)
        if not self._trust.covers(request.url):
            return await self._send(request, headers, _NO_CREDENTIALS, consume)
        credentials = await self._auth.credentials()
        try:
            return await self._send(request, headers, credentials, consume)
        except SourceError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
            fresh = await self._auth.credentials(credentials)
            if fresh is credentials:
                raise
            return await self._send(request, headers, fresh, consume)

    async def _send(
        self, request: Request, headers: Mapping[str, str], credentials: Credentials, consume: Consume[T]
    ) -> "T | _Redirect":
        url = request.url
        if self._budget.held > self._policy.patience:
            raise held_back(url.host or "", self._budget.held)
        typed = {} if request.body is None else {"Content-Type": "application/json"}
        async with self._budget.turn() as begun, asyncio.timeout(self._timeout) as deadline:
            self._requests += 1
            async with self._session.request(
                request.method,
                with_query(url, credentials.query),
                data=request.body,
                headers={**headers, **typed, **request.unless, **credentials.headers},
                allow_redirects=False,
            ) as response:
                if response.status in _REDIRECTS:
                    return _Redirect(response.status, target(url, response.headers.get("Location", "")))
                if response.status == HTTPStatus.NOT_MODIFIED and request.unless:
                    self._budget.answered()
                    raise NotModified
                if response.status in _SLOWING:
                    self._budget.refused(begun)
                if response.status != HTTPStatus.OK:
                    hint = retry_after(response.headers.get("Retry-After"))
                    raise refused_answer(url, response.status, hint)
                found = await consume(url, response, deadline)
                self._budget.answered()
                return found

    async def _whole(self, url: URL, response: aiohttp.ClientResponse, _: asyncio.Timeout) -> Answer:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            self._bytes += len(part)
            size += len(part)
            parts.append(part)
            if size > self._max_body:
                raise too_large(url.host or "", self._max_body, "ask for smaller pages")
        return Answer(url, response.headers, b"".join(parts), self._next_link(url, response))

    def _inflated(self, answer: Answer) -> Answer:
        encoding = answer.headers.get("Content-Encoding", "")
        if not encoding:
            return answer
        host = answer.url.host or ""
        try:
            return replace(answer, body=inflate(answer.body, encoding, self._max_body))
        except TooGreat:
            raise too_large(host, self._max_body, "ask for smaller pages") from None
        except UnknownEncoding as error:
            raise SourceError("INVALID_INPUT", f"{host}: {error}", code="http.encoding", host=host) from None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work)

    def _next_link(self, url: URL, response: aiohttp.ClientResponse) -> URL | None:
        try:
            link = response.links.get("next")
        except ValueError:
            return None
        found = link.get("url") if link is not None else None
        return self.without_secret(found) if isinstance(found, URL) else None

    def _too_long(self, error: SourceError) -> bool:
        return error.retry_after is not None and error.retry_after > self._policy.patience


@dataclass(frozen=True, slots=True)
class _Redirect:
    status: int
    to: URL

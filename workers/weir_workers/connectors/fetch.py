"""One GET at a time until it succeeds or may not be tried again.

A try that failed for a while (429, 5xx, a timeout, a broken connection, a body that
is cut) is repeated with growing waits, honouring Retry-After; one that asks for
more patience than there is raises, and the task's own retry waits. Redirects
are followed by hand, because each address must be checked and the token must
not leave the hosts it is for.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import aiohttp
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from weir_core.datasets.commits import Counts
from weir_workers.connectors.addresses import GuardedResolver, check_literal
from weir_workers.connectors.envelope import BodyCut
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.failures import broken, refused_answer, retryable
from weir_workers.connectors.retry import RetryPolicy, retry_after

MAX_BODY = 64 * 1024 * 1024
_MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer, body and all."""

    url: URL
    headers: Mapping[str, str]
    body: bytes
    next_link: URL | None
    """Where the header Link says the next page is."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Which hosts get the token and the fixed headers."""

    base: URL
    extra_hosts: frozenset[str]

    def covers(self, url: URL) -> bool:
        """True for the connection's own host and those named beside it."""
        if url.scheme not in {self.base.scheme, "https"}:
            return False
        own = (url.scheme, url.host, url.port) == (self.base.scheme, self.base.host, self.base.port)
        return own or str(url.host) in self.extra_hosts or f"{url.host}:{url.port}" in self.extra_hosts


class Fetcher:
    """Asks one API, politely."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        trust: Trust,
        private_headers: Mapping[str, str],
        *,
        timeout: float,
        allow_private: bool,
        decoders: Executor,
        policy: RetryPolicy | None = None,
        sleep: Sleep = asyncio.sleep,
        max_body: int = MAX_BODY,
    ) -> None:
        self._session = session
        self._trust = trust
        self._private_headers = private_headers
        self._timeout = timeout
        self._allow_private = allow_private
        self._decoders = decoders
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._max_body = max_body
        self._requests = self._bytes = 0
        self._not_before = 0.0

    @property
    def counts(self) -> Counts:
        """What was asked and got so far, tries that failed included."""
        return Counts(0, self._bytes, self._requests)

    def check_trusted(self, url: URL) -> None:
        """Refuses a next link that leaves the connection's hosts."""
        if not self._trust.covers(url):
            raise SourceError(
                "INVALID_INPUT",
                f"the next link leads to {url.origin()}, which is not the connection's host; "
                "if that is right, add it to the connection's `extra_hosts`",
                code="link.foreign",
                host=url.host or "",
            )

    async def get(self, url: URL, decode: Callable[[Answer], T]) -> T:
        """The decoded answer. `decode` runs in a thread; BodyCut from it counts as a failed try."""
        failures = 0
        while True:
            await self._wait_turn()
            try:
                return await self._try(url, decode)
            except SourceError as error:
                failures += 1
                if not retryable(error) or failures >= self._policy.tries or self._too_long(error):
                    raise
                await self._pause(error, failures)

    async def _try(self, url: URL, decode: Callable[[Answer], T]) -> T:
        host = url.host or ""
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._follow(url)
            return await asyncio.get_running_loop().run_in_executor(self._decoders, decode, answer)
        except (aiohttp.ClientError, TimeoutError, BodyCut) as error:
            raise broken(error, host, self._timeout) from error

    async def _follow(self, url: URL) -> Answer:
        for _ in range(_MAX_REDIRECTS + 1):
            found = await self._once(url)
            if isinstance(found, Answer):
                return found
            if url.scheme == "https" and found.scheme != "https":
                raise _bad_redirect(url, "to an address without TLS")
            url = found
        raise _bad_redirect(url, f"more than {_MAX_REDIRECTS} times")

    async def _once(self, url: URL) -> Answer | URL:
        check_literal(url.host or "", allow_private=self._allow_private)
        self._requests += 1
        headers = self._private_headers if self._trust.covers(url) else None
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status in _REDIRECTS:
                return _target(url, response)
            if response.status != HTTPStatus.OK:
                hint = retry_after(response.headers.get("Retry-After"))
                raise refused_answer(url, response.status, hint)
            body = await self._read(url, response)
            return Answer(url, response.headers, body, _next_link(response))

    async def _read(self, url: URL, response: aiohttp.ClientResponse) -> bytes:
        parts = bytearray()
        async for part in response.content.iter_any():
            self._bytes += len(part)
            parts += part
            if len(parts) > self._max_body:
                raise SourceError(
                    "INVALID_INPUT",
                    f"an answer of {url.host} is greater than {self._max_body} bytes; ask for smaller pages",
                    code="http.too_large",
                    host=url.host or "",
                )
        return bytes(parts)

    async def _wait_turn(self) -> None:
        """Waits while the source has asked all of us to."""
        left = self._not_before - asyncio.get_running_loop().time()
        if left > 0:
            await self._sleep(left)

    async def _pause(self, error: SourceError, failures: int) -> None:
        wait = self._policy.wait(failures, error.retry_after)
        if error.retry_after is not None:
            self._not_before = max(self._not_before, asyncio.get_running_loop().time() + error.retry_after)
        await self._sleep(wait)

    def _too_long(self, error: SourceError) -> bool:
        return error.retry_after is not None and error.retry_after > self._policy.patience


@asynccontextmanager
async def open_session(
    *, allow_private: bool, connections: int, user_agent: str
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that dials checked addresses only, keeps connections, and no cookies."""
    resolver = GuardedResolver(ThreadedResolver(), allow_private=allow_private)
    connector = aiohttp.TCPConnector(limit=connections, resolver=resolver)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"},
        # The whole of a try has one deadline, with its redirects: see Fetcher.
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=256 * 1024,
        trust_env=False,
    ) as session:
        yield session


def _target(url: URL, response: aiohttp.ClientResponse) -> URL:
    location = response.headers.get("Location", "")
    try:
        target = url.join(URL(location))
    except ValueError:
        raise _bad_redirect(url, "to something that is no URL") from None
    if not location or target.scheme not in {"http", "https"} or not target.host:
        raise _bad_redirect(url, "to something that is no web address")
    return target.with_user(None)


def _next_link(response: aiohttp.ClientResponse) -> URL | None:
    try:
        link = response.links.get("next")
    except ValueError:
        return None
    found = link.get("url") if link is not None else None
    return found if isinstance(found, URL) else None


def _bad_redirect(url: URL, why: str) -> SourceError:
    return SourceError(
        "INVALID_INPUT", f"{url.host} redirects {why}", code="http.redirect", host=url.host or ""
    )

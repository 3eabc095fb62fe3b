"""The connector `http`: JSON over REST, page by page.

A position is `{"page": N, …}` for numbered pages, `{"offset": N, …}` for
offsets, `{"next": …}` for links and cursors, `{"window": time, "end": time, "at":
position in the window}` for time windows, `{"done": true}` at the end. It carries
the cursor that the run began with, so that a resumed run asks the very same question.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from typing import ClassVar

import aiohttp
import pyarrow as pa
from pydantic import BaseModel
from yarl import URL

from weir_core.datasets.commits import Position
from weir_workers import __version__
from weir_workers.connectors.budget import Budget
from weir_workers.connectors.clock import REAL, Clock
from weir_workers.connectors.column_settings import declared_schema
from weir_workers.connectors.contract import Connector, Item, Partition, Source, Wanted
from weir_workers.connectors.envelope import WrongShape, split
from weir_workers.connectors.errors import BodyCut, SourceError
from weir_workers.connectors.failures import broken
from weir_workers.connectors.fetch import MAX_BODY, Answer, Fetcher
from weir_workers.connectors.http_auth import Auth, Fixed, Grant, OAuth2, Tokens, fixed_credentials, identity
from weir_workers.connectors.http_collection import HttpCollection
from weir_workers.connectors.http_connection import HttpConnection
from weir_workers.connectors.http_pagination import TimeWindows
from weir_workers.connectors.http_reading import HttpReading
from weir_workers.connectors.http_request import question
from weir_workers.connectors.http_token import fetch_token
from weir_workers.connectors.links import Trust
from weir_workers.connectors.rereading import Reread, reread_json
from weir_workers.connectors.retry import RetryPolicy
from weir_workers.connectors.session import open_session
from weir_workers.connectors.shared import shared

_PARSERS = 2
_CHECK_SECONDS = 10.0
_ACCEPT = {
    "json": "application/json",
    "ndjson": "application/x-ndjson, application/jsonl, application/json;q=0.9, */*;q=0.5",
}


class HttpConnector(Connector):
    """Reads JSON records from a REST API."""

    name: ClassVar[str] = "http"
    description: ClassVar[str] = (
        "JSON records from a REST API, by page numbers, offsets, cursors, next links or time windows"
    )
    version: ClassVar[str] = __version__
    modes: ClassVar[frozenset[str]] = frozenset({"FULL", "APPEND", "INCREMENTAL", "MERGE"})
    connection_settings: ClassVar[type[BaseModel]] = HttpConnection
    collection_settings: ClassVar[type[BaseModel]] = HttpCollection
    can_pace: ClassVar[bool] = True

    def __init__(
        self, policy: RetryPolicy | None = None, clock: Clock = REAL, max_body: int = MAX_BODY
    ) -> None:
        self._policy = policy or RetryPolicy()
        self._clock = clock
        self._max_body = max_body

    async def check(self, source: Source) -> None:
        """Asks once, as `check_path` says."""
        connection = source.parsed(HttpConnection)
        brief = connection.model_copy(
            update={"timeout_seconds": min(_CHECK_SECONDS, connection.timeout_seconds)}
        )
        url = question(connection.base_url, connection.check_path, {}, None, "query").url
        async with self._fetcher(brief, source, RetryPolicy(tries=1), 1) as (fetcher, _):
            try:
                # Tokens, redirects and the turn of others come on top of the request itself.
                async with asyncio.timeout(2 * _CHECK_SECONDS):
                    await fetcher.get(url, _is_json if connection.check_path else _anything)
            except TimeoutError as error:
                raise broken(error, url.host or "", 2 * _CHECK_SECONDS) from None
            except SourceError as error:
                refused = error.status not in range(300, 500) or error.status in {401, 403, 407, 429}
                if connection.check_path or refused:
                    raise

    async def read(
        self, source: Source, wanted: Wanted, partition: Partition, position: Position | None = None
    ) -> AsyncGenerator[Item]:
        """Reads pages from a position on; see `Connector.read`."""
        if position is not None and position.get("done"):
            return
        connection, collection = source.parsed(HttpConnection), _collection(wanted)
        accept = _ACCEPT[collection.format]
        async with self._fetcher(connection, source, self._policy, _in_flight(collection), accept) as opened:
            reading = HttpReading(
                *opened,
                connection=connection,
                collection=collection,
                wanted=wanted,
                position=position or {},
            )
            async with aclosing(reading.items()) as items:
                async for item in items:
                    yield item

    def reread(self, wanted: Wanted, raws: Sequence[bytes]) -> Reread:
        """Reads rejected records by the columns of today."""
        schema = declared_schema(_collection(wanted).columns) or wanted.schema
        return reread_json(raws, schema or pa.schema([]))

    @asynccontextmanager
    async def _fetcher(
        self,
        connection: HttpConnection,
        source: Source,
        policy: RetryPolicy,
        connections: int,
        accept: str = "application/json",
    ) -> AsyncGenerator[tuple[Fetcher, ThreadPoolExecutor]]:
        """A fetcher and the threads that parse, for as long as they are needed."""
        pool = ThreadPoolExecutor(_PARSERS, thread_name_prefix="weir-parse")
        private, agent = source.allow_private, f"weir/{__version__}"
        key = identity(connection)
        budget = shared((key, id(self._clock)), lambda: Budget(self._clock))
        budget.allow(connection.max_concurrency, source.turn)
        try:
            async with open_session(
                allow_private=private, connections=connections, user_agent=agent
            ) as session:
                fetcher = Fetcher(
                    session,
                    Trust(
                        URL(connection.base_url), frozenset(host.lower() for host in connection.extra_hosts)
                    ),
                    self._auth(connection, session, key, private=private),
                    timeout=connection.timeout_seconds,
                    allow_private=private,
                    decoders=pool,
                    budget=budget,
                    accept=accept,
                    secret_param=connection.auth_param if connection.auth == "query" else "",
                    policy=policy,
                    clock=self._clock,
                    max_body=self._max_body,
                )
                yield fetcher, pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _auth(
        self, connection: HttpConnection, session: aiohttp.ClientSession, key: bytes, *, private: bool
    ) -> Auth:
        if not connection.auth.startswith("oauth2"):
            return Fixed(fixed_credentials(connection))

        async def ask(refresh_token: str | None) -> Grant:
            return await fetch_token(session, connection, refresh_token, allow_private=private)

        tokens = shared(("token", key, id(self._clock)), Tokens)
        return OAuth2(tokens, self._clock, ask, connection.headers)


def _anything(_: Answer) -> None:
    """What is answered does not matter, only that it is."""


def _is_json(answer: Answer) -> None:
    try:
        with suppress(WrongShape):
            split(answer.body, "")
    except BodyCut:
        host, kind = answer.url.host or "", answer.headers.get("Content-Type", "").split(";")[0]
        raise SourceError(
            "INVALID_INPUT",
            f"{host} answers {answer.url.path!r} with no JSON"
            + (f", but {kind[:60]!r}" if kind else "")
            + "; are `base_url` and `check_path` right?",
            code="http.body",
            host=host,
        ) from None


def _in_flight(collection: HttpCollection) -> int:
    return max(getattr(rules, "in_flight", 2) for rules in (collection.pagination, collection.inner))


def _collection(wanted: Wanted) -> HttpCollection:
    collection = wanted.parsed(HttpCollection)
    if isinstance(collection.pagination, TimeWindows):
        return collection
    if wanted.cursor_field and not collection.cursor_param:
        raise _invalid("cursor_param is needed to read from a cursor on")
    if wanted.until is not None and not collection.until_param:
        raise _invalid("until_param is needed to read only what lies before a value, as a backfill does")
    return collection


def _invalid(message: str) -> SourceError:
    return SourceError("INVALID_INPUT", f"the collection's settings: {message}", code="settings.invalid")

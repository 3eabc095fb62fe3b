"""The connector `http`: JSON over REST, page by page.

A position is `{"page": N, …}` for numbered pages, `{"next": URL, …}` for linked
ones, `{"done": true}` at the end. It carries the cursor that the run began
with, so that a resumed run asks the very same question.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ValidationError
from yarl import URL

from weir_core.datasets.commits import Position
from weir_workers import __version__
from weir_workers.connectors.contract import Item, Partition, Reread, Source, SourceStream, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.fetch import MAX_BODY, Answer, Fetcher, Sleep, Trust, open_session
from weir_workers.connectors.http_reading import HttpReading
from weir_workers.connectors.http_settings import HttpCollection, HttpConnection, PageNumbers
from weir_workers.connectors.rereading import reread_json
from weir_workers.connectors.retry import RetryPolicy

_PARSERS = 2
_CHECK_SECONDS = 10.0

Settings = TypeVar("Settings", bound=BaseModel)


class HttpConnector:
    """Reads JSON records from a REST API."""

    name: ClassVar[str] = "http"
    description: ClassVar[str] = "JSON records from a REST API, by page numbers or next links"
    version: ClassVar[str] = __version__
    modes: ClassVar[frozenset[str]] = frozenset({"FULL", "APPEND", "INCREMENTAL", "MERGE"})
    connection_settings: ClassVar[type[BaseModel]] = HttpConnection
    collection_settings: ClassVar[type[BaseModel]] = HttpCollection
    has_streams: ClassVar[bool] = False

    def __init__(
        self, policy: RetryPolicy | None = None, sleep: Sleep = asyncio.sleep, max_body: int = MAX_BODY
    ) -> None:
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._max_body = max_body

    async def check(self, source: Source) -> None:
        """Asks for `base_url` once: any answer that is no refusal and no breakdown will do."""
        connection = _connection(source)
        brief = connection.model_copy(
            update={"timeout_seconds": min(_CHECK_SECONDS, connection.timeout_seconds)}
        )
        async with self._fetcher(brief, source, RetryPolicy(tries=1), 1) as (fetcher, _):
            try:
                await fetcher.get(URL(connection.base_url), _nothing)
            except SourceError as error:
                if error.status not in range(300, 500) or error.status in {401, 403, 407, 429}:
                    raise

    async def discover(self, source: Source) -> Sequence[SourceStream]:
        """Nothing: an API does not say what it has."""
        return ()

    async def partitions(self, source: Source, wanted: Wanted) -> Sequence[Partition]:
        """One: pages follow each other."""
        return [Partition()]

    async def read(
        self, source: Source, wanted: Wanted, partition: Partition, position: Position | None = None
    ) -> AsyncGenerator[Item]:
        """Reads pages from a position on; see `Connector.read`."""
        if position is not None and position.get("done"):
            return
        connection, collection = _connection(source), _collection(wanted)
        pagination = collection.pagination
        connections = pagination.in_flight if isinstance(pagination, PageNumbers) else 2
        async with self._fetcher(connection, source, self._policy, connections) as opened:
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
        schema = _collection(wanted).declared_schema() or wanted.schema
        return reread_json(raws, schema or pa.schema([]))

    @asynccontextmanager
    async def _fetcher(
        self, connection: HttpConnection, source: Source, policy: RetryPolicy, connections: int
    ) -> AsyncGenerator[tuple[Fetcher, ThreadPoolExecutor]]:
        """A fetcher and the threads that parse, for as long as they are needed."""
        pool = ThreadPoolExecutor(_PARSERS, thread_name_prefix="weir-parse")
        private, agent = source.allow_private, f"weir/{__version__}"
        try:
            async with open_session(
                allow_private=private, connections=connections, user_agent=agent
            ) as session:
                fetcher = Fetcher(
                    session,
                    Trust(
                        URL(connection.base_url), frozenset(host.lower() for host in connection.extra_hosts)
                    ),
                    _private_headers(connection),
                    timeout=connection.timeout_seconds,
                    allow_private=private,
                    decoders=pool,
                    policy=policy,
                    sleep=self._sleep,
                    max_body=self._max_body,
                )
                yield fetcher, pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _nothing(_: Answer) -> None:
    """What is answered does not matter, only that it is."""


def _private_headers(connection: HttpConnection) -> Mapping[str, str]:
    token = connection.token.get_secret_value() if connection.token else ""
    match connection.auth:
        case "none":
            return dict(connection.headers)
        case "bearer":
            return {**connection.headers, "Authorization": f"Bearer {token}"}
        case "header":
            return {**connection.headers, connection.auth_header: token}


def _connection(source: Source) -> HttpConnection:
    return _parsed_settings(
        HttpConnection, {**source.settings, **source.secrets}, "the connection's settings"
    )


def _collection(wanted: Wanted) -> HttpCollection:
    collection = _parsed_settings(HttpCollection, wanted.settings, "the collection's settings")
    if wanted.cursor_field and not collection.cursor_param:
        raise _invalid("the collection's settings: cursor_param is needed to read from a cursor on")
    return collection


def _parsed_settings(model: type[Settings], settings: Mapping[str, Any], what: str) -> Settings:
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        # Of the values nothing is told: one of them may be a secret.
        faults = (
            f"{'.'.join(str(part) for part in fault['loc']) or 'all'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise _invalid(f"{what}: {'; '.join(faults)}") from None


def _invalid(message: str) -> SourceError:
    return SourceError("INVALID_INPUT", message, code="settings.invalid")

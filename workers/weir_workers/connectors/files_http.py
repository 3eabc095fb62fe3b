"""Files of a web server, fetched whole, one at a time."""

import asyncio
import hashlib
import io
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import BinaryIO

from yarl import URL

from weir_core.datasets.commits import Counts
from weir_workers import __version__
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.fetch import MAX_BODY, Answer, Fetcher, Trust, open_session
from weir_workers.connectors.files_patterns import is_wild
from weir_workers.connectors.files_places import Found, Place
from weir_workers.connectors.files_settings import FilesConnection


class HttpPlace:
    """Asks the loop to fetch, from the thread that reads."""

    def __init__(self, fetcher: Fetcher, base: URL, loop: asyncio.AbstractEventLoop) -> None:
        self._fetcher = fetcher
        self._base = base
        self._loop = loop

    def listed(self, patterns: Sequence[str]) -> list[Found]:
        """The files by their whole paths: a web server has no list of them."""
        for pattern in patterns:
            if is_wild(pattern):
                raise SourceError(
                    "INVALID_INPUT",
                    f"{pattern!r}: a web server does not list its files; name each path as it is",
                    code="settings.invalid",
                )
        return [Found(name, 0, None) for name in dict.fromkeys(patterns)]

    def opened(self, found: Found) -> tuple[BinaryIO, str]:
        """The file's bytes, and what they are known by."""
        url = self._base.joinpath(*found.name.split("/"))
        body = asyncio.run_coroutine_threadsafe(self._fetcher.get(url, _body), self._loop).result()
        return io.BytesIO(body), hashlib.blake2b(body, digest_size=16).hexdigest()

    def counts(self) -> Counts:
        """What was asked so far."""
        return self._fetcher.counts


@asynccontextmanager
async def http_place(connection: FilesConnection, *, allow_private: bool) -> AsyncGenerator[Place]:
    """A web server, for as long as its session is open."""
    base = URL(connection.url)
    token = connection.token.get_secret_value() if connection.token else ""
    with ThreadPoolExecutor(1, thread_name_prefix="weir-fetch") as pool:
        async with open_session(
            allow_private=allow_private, connections=1, user_agent=f"weir/{__version__}"
        ) as session:
            fetcher = Fetcher(
                session,
                Trust(base, frozenset()),
                {"Accept": "*/*"} | ({"Authorization": f"Bearer {token}"} if token else {}),
                timeout=connection.timeout_seconds,
                allow_private=allow_private,
                decoders=pool,
                max_body=MAX_BODY,
            )
            yield HttpPlace(fetcher, base, asyncio.get_running_loop())


def _body(answer: Answer) -> bytes:
    return answer.body

"""Files of a web server, fetched whole, one at a time."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, cast

from yarl import URL

from weir_core.datasets.commits import Counts
from weir_workers.connectors.contract import Source
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.fetch import Fetcher
from weir_workers.connectors.fetching import open_fetcher
from weir_workers.connectors.files_patterns import is_wild
from weir_workers.connectors.files_places import Found, Place
from weir_workers.connectors.files_settings import FilesConnection

MAX_FILE: Final = 4 * 1024**3
"""Bytes of one file of a web server at most, as they come."""
# Of one web server, over all runs of a process; each run fetches one after the other.
_AT_ONCE: Final = 4
_IN_MEMORY: Final = 8 * 1024**2
_BLOCK: Final = 1024**2


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
        # Beyond some size it lies on the disk, under no name.
        file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  its reader closes it
        try:
            fetching = self._fetcher.download(url, cast("BinaryIO", file), MAX_FILE)
            asyncio.run_coroutine_threadsafe(fetching, self._loop).result()
            digest = _digest(cast("BinaryIO", file))
        except BaseException:
            file.close()
            raise
        return cast("BinaryIO", file), digest

    def counts(self) -> Counts:
        """What was asked so far."""
        return self._fetcher.counts


def _digest(file: BinaryIO) -> str:
    """What the content is known by; the file stands at its beginning afterwards."""
    found = hashlib.blake2b(digest_size=16)
    file.seek(0)
    while block := file.read(_BLOCK):
        found.update(block)
    file.seek(0)
    return found.hexdigest()


@asynccontextmanager
async def http_place(connection: FilesConnection, source: Source) -> AsyncGenerator[Place]:
    """A web server, for as long as its session is open."""
    token = connection.token.get_secret_value() if connection.token else ""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with open_fetcher(
        source, connection.url, headers=headers, at_once=_AT_ONCE, timeout=connection.timeout_seconds
    ) as fetcher:
        yield HttpPlace(fetcher, URL(connection.url), asyncio.get_running_loop())

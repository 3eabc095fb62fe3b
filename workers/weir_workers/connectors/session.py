"""A session of the HTTP client that dials checked addresses only."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.resolver import ThreadedResolver

from weir_workers.connectors.addresses import GuardedResolver


@asynccontextmanager
async def open_session(
    *, allow_private: bool, connections: int, user_agent: str
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session that keeps connections, and no cookies."""
    resolver = GuardedResolver(ThreadedResolver(), allow_private=allow_private)
    connector = aiohttp.TCPConnector(limit=connections, resolver=resolver)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        # Each request has one deadline, with its body: see Fetcher.
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=256 * 1024,
        # What comes is counted as it came, and unpacked in a thread, within a bound.
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session

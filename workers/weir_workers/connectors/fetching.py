"""Opens what asks over HTTP: a session that dials checked addresses, threads that decode, a budget."""

import hashlib
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from yarl import URL

from weir_workers import __version__
from weir_workers.connectors.budget import Budget
from weir_workers.connectors.clock import REAL
from weir_workers.connectors.contract import Source
from weir_workers.connectors.fetch import MAX_BODY, Fetcher
from weir_workers.connectors.http_auth import Credentials, Fixed
from weir_workers.connectors.links import Trust
from weir_workers.connectors.session import open_session
from weir_workers.connectors.shared import shared


@asynccontextmanager
async def open_fetcher(
    source: Source,
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    accept: str = "*/*",
    at_once: int = 1,
    timeout: float = 60.0,
    max_body: int = MAX_BODY,
) -> AsyncGenerator[Fetcher]:
    """Asks the web server of an address, as many requests at a time as is said.

    `headers`, credentials among them, are shown to its host only; `allow_private` of the connection is
    heeded; all readings in a process that reach one host with the same headers share its budget.
    The pace is the connection's. `timeout` is for one request, in seconds, `max_body` for one answer, in
    bytes.
    """
    base, shown = URL(base_url), dict(headers or {})
    budget = shared(("fetch", str(base.origin()), _digest(shown)), lambda: Budget(REAL))
    budget.allow(at_once, source.turn)
    pool = ThreadPoolExecutor(1, thread_name_prefix="weir-fetch")
    try:
        async with open_session(
            allow_private=source.allow_private, connections=at_once, user_agent=f"weir/{__version__}"
        ) as session:
            yield Fetcher(
                session,
                Trust(base, frozenset()),
                Fixed(Credentials(shown)),
                timeout=timeout,
                allow_private=source.allow_private,
                decoders=pool,
                budget=budget,
                accept=accept,
                max_body=max_body,
            )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _digest(headers: Mapping[str, str]) -> bytes:
    """Tells who asks apart, and no secret."""
    return hashlib.blake2b(repr(sorted(headers.items())).encode(), digest_size=16).digest()

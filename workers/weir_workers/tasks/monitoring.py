"""The task `monitor.source`: is a URL reachable, how fast, and how long its certificate is good."""

import asyncio
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import aiohttp
from aiohttp.resolver import DefaultResolver
from cryptography import x509
from pydantic import AnyUrl, BaseModel, Field, UrlConstraints
from yarl import URL

from weir.task import Context, Retry, TaskFailure, task
from weir_core.collections.repository import get_connection
from weir_core.runtime import Runtime
from weir_workers.connectors.addresses import GuardedResolver, check_literal
from weir_workers.connectors.errors import SourceError

_AGENT: Final = "weir-monitor"
_DAY: Final = timedelta(days=1)


class MonitorInput(BaseModel):
    """What to look at."""

    url: Annotated[AnyUrl, UrlConstraints(max_length=2000, allowed_schemes=["http", "https"])] = Field(
        description="Address to ask with GET. A private one needs `connection_id`"
    )
    connection_id: UUID | None = Field(
        default=None,
        description="A connection of the project to the same host and port that may reach private addresses",
    )
    timeout_seconds: float = Field(default=10, gt=0, le=60, description="Longest wait for the answer")


class MonitorOutput(BaseModel):
    """What was seen. A source that can't be reached is an answer, not a failure."""

    reachable: bool = Field(description="True: it answered, whatever the status")
    status: int | None = Field(
        default=None, description="HTTP status of the answer; redirects are not followed"
    )
    latency_ms: float | None = Field(default=None, description="Time until the head of the answer came")
    certificate_days: float | None = Field(
        default=None,
        description="Days that the certificate has left, negative for one that ended; HTTPS only",
    )
    error: str = Field(default="", description="Why it could not be reached")


@task(
    "monitor.source",
    version=1,
    permission="connections.use",
    timeout=timedelta(minutes=3),
    retry=Retry(max_attempts=2),
)
async def monitor_source(asked: MonitorInput, ctx: Context) -> MonitorOutput:
    """Ask a URL once: is it reachable, how fast, how many days its certificate has left."""
    url = URL(str(asked.url))
    allow_private = await _may_go_private(url, asked.connection_id, ctx)
    ctx.progress(0, 2, unit="steps", message=f"asking {url.host}")
    seen = await _ask(url, asked.timeout_seconds, allow_private=allow_private)
    ctx.log.info(_sentence(url, seen))
    ctx.progress(1, 2, unit="steps", message="answered" if seen.reachable else "no answer")
    if url.scheme == "https":
        seen.certificate_days = await _certificate_days(
            url, asked.timeout_seconds, allow_private=allow_private
        )
    ctx.progress(2, 2, unit="steps", message="done")
    return seen


async def _may_go_private(url: URL, connection_id: UUID | None, ctx: Context) -> bool:
    if connection_id is None:
        return False
    runtime: Runtime = ctx.resources
    async with runtime.db.read() as tx:
        connection = await get_connection(tx, connection_id)
    if connection is None or connection.project != ctx.project:
        raise TaskFailure(
            "INVALID_INPUT", f"input.connection_id: project {ctx.project} has no connection {connection_id}"
        )
    base = URL(str(connection.settings.get("base_url", "")))
    if not base.absolute:
        message = f"input.connection_id: connection {connection.name!r} leads to no address of the web"
        raise TaskFailure("INVALID_INPUT", message)
    if url.origin() != base.origin():
        message = f"input.url: must lie on {base.origin()}, where connection {connection.name!r} leads"
        raise TaskFailure("INVALID_INPUT", message)
    return connection.allow_private_addresses


async def _ask(url: URL, seconds: float, *, allow_private: bool) -> MonitorOutput:
    began = time.monotonic()
    try:
        async with _session(seconds, allow_private=allow_private, verify=True) as session:
            check_literal(url.host or "", allow_private=allow_private)
            async with session.get(url, allow_redirects=False) as answer:
                latency = (time.monotonic() - began) * 1000
                return MonitorOutput(reachable=True, status=answer.status, latency_ms=round(latency, 2))
    except SourceError as error:
        raise TaskFailure("INVALID_INPUT", f"input.url: {error}", code="address.refused") from None
    except TimeoutError:
        return MonitorOutput(reachable=False, error=f"no answer within {seconds:g} s")
    except aiohttp.ClientError as error:
        return MonitorOutput(reachable=False, error=str(error) or type(error).__name__)


async def _certificate_days(url: URL, seconds: float, *, allow_private: bool) -> float | None:
    """Read the certificate without judging it: one that has ended is what is looked for."""
    try:
        async with (
            _session(seconds, allow_private=allow_private, verify=False) as session,
            session.head(url, allow_redirects=False) as answer,
        ):
            transport = answer.connection and answer.connection.transport
            tls: ssl.SSLObject | None = transport and transport.get_extra_info("ssl_object")
            encoded = tls and tls.getpeercert(binary_form=True)
    except (aiohttp.ClientError, TimeoutError, SourceError):
        return None
    if not encoded:
        return None
    certificate = await asyncio.to_thread(x509.load_der_x509_certificate, encoded)
    return round((certificate.not_valid_after_utc - datetime.now(UTC)) / _DAY, 2)


def _session(seconds: float, *, allow_private: bool, verify: bool) -> aiohttp.ClientSession:
    resolver = GuardedResolver(DefaultResolver(), allow_private=allow_private)
    connector = aiohttp.TCPConnector(resolver=resolver, ssl=verify, use_dns_cache=False, force_close=True)
    timeout = aiohttp.ClientTimeout(total=seconds)
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers={"User-Agent": _AGENT}, trust_env=False
    )


def _sentence(url: URL, seen: MonitorOutput) -> str:
    if seen.reachable:
        return f"{url.host} answered {seen.status} in {seen.latency_ms} ms"
    return f"{url.host} can't be reached: {seen.error}"

"""The HTTP port: `/metrics` for Prometheus and `/healthz` for who can't speak gRPC."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

_SECONDS: Final = 5.0
_LARGEST_HEAD: Final = 8192
_CONNECTIONS: Final = 64


class HttpServer:
    """Answers one small GET a connection."""

    def __init__(self, registry: CollectorRegistry, serving: Callable[[], bool]) -> None:
        self._registry = registry
        self._serving = serving
        self._server: asyncio.Server | None = None
        self._open = 0

    @property
    def port(self) -> int:
        """The port, once it listens."""
        return self._server.sockets[0].getsockname()[1] if self._server else 0

    async def start(self, listen: str) -> None:
        """Listen on `HOST:PORT`."""
        host, _, port = listen.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._answer, host.strip("[]"), int(port), limit=_LARGEST_HEAD
            )
        except (OSError, ValueError):
            raise SystemExit(
                f"can't listen on WEIR_HTTP_LISTEN {listen!r}; it must be HOST:PORT, not in use"
            ) from None

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _CONNECTIONS:
                async with asyncio.timeout(_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._response(head))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _response(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        match method, rest.partition(b" ")[0]:
            case b"GET", b"/metrics":
                return _message(HTTPStatus.OK, generate_latest(self._registry), CONTENT_TYPE_LATEST)
            case b"GET", b"/healthz" if self._serving():
                return _message(HTTPStatus.OK, b"ok\n")
            case b"GET", b"/healthz":
                return _message(HTTPStatus.SERVICE_UNAVAILABLE, b"not serving\n")
            case _:
                return _message(HTTPStatus.NOT_FOUND, b"there are /metrics and /healthz\n")


def _message(status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body

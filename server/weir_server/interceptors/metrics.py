"""Counts and times calls for Prometheus."""

import asyncio
import time

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from weir_server.interceptors.call import Call, Proceed


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "weir_calls", "Calls that have ended", ["method", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "weir_call_seconds", "How long unary calls took", ["method"], registry=self.registry
        )
        self._open = Gauge("weir_open_calls", "Calls that run", ["kind"], registry=self.registry)

    async def count(self, call: Call, proceed: Proceed) -> bytes | None:
        """Counts a call, under one name for all unknown methods."""
        method = call.method if call.known else "unknown"
        running = self._open.labels("stream" if call.streams else "unary")
        running.inc()
        started = time.monotonic()
        try:
            return await proceed(call)
        except asyncio.CancelledError:
            call.code = grpc.StatusCode.CANCELLED
            raise
        finally:
            running.dec()
            self._calls.labels(method, call.code.name).inc()
            if not call.streams:
                self._seconds.labels(method).observe(time.monotonic() - started)

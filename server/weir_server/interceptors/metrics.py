"""Counts and times calls for Prometheus."""

import asyncio
import time
from collections.abc import Callable
from functools import cache

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
        running = Gauge("weir_open_calls", "Calls that run", ["kind"], registry=self.registry)
        self._kinds = {False: running.labels("unary"), True: running.labels("stream")}
        # To find a label's number takes longer than to count; there are as many as methods and codes.
        self._ended: Callable[[str, grpc.StatusCode], Counter] = cache(self._ending)
        self._took: Callable[[str], Histogram] = cache(self._taking)

    async def count(self, call: Call, proceed: Proceed) -> bytes | None:
        """Counts a call, under one name for all unknown methods."""
        method = call.method if call.known else "unknown"
        running = self._kinds[call.streams]
        running.inc()
        started = time.monotonic()
        try:
            return await proceed(call)
        except asyncio.CancelledError:
            call.code = grpc.StatusCode.CANCELLED
            raise
        finally:
            running.dec()
            self._ended(method, call.code).inc()
            if not call.streams:
                self._took(method).observe(time.monotonic() - started)

    def _ending(self, method: str, code: grpc.StatusCode) -> Counter:
        return self._calls.labels(method, code.name)

    def _taking(self, method: str) -> Histogram:
        return self._seconds.labels(method)

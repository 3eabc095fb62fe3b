"""grpc.health.v1: is this server fit to take calls? Parts of it are services of their own."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from weir_core.errors import NotFound
from weir_core.system.health import DB, REDIS, STORAGE, Part, PartState

OVERALL: Final = ""
_PARTS: Final = (DB, REDIS, STORAGE)
# What the server can't do without; losing Redis slows it down only.
_VITAL: Final = (DB,)

_Status = health_pb2.HealthCheckResponse
_SERVING: Final = _Status.SERVING
_NOT_SERVING: Final = _Status.NOT_SERVING


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Answers from what the newest probe found."""

    def __init__(self, services: Iterable[str]) -> None:
        self._whole = (OVERALL, *services)
        self._states = dict.fromkeys((*self._whole, *_PARTS), _NOT_SERVING)
        self._changed = asyncio.Event()
        self._draining = False

    @property
    def serving(self) -> bool:
        """True where this server is fit to take calls."""
        return self._states[OVERALL] == _SERVING

    def publish(self, parts: Mapping[str, Part]) -> None:
        """Take over what was found."""
        works = {name: parts[name].state is not PartState.DOWN for name in _PARTS}
        whole = all(works[name] for name in _VITAL) and not self._draining
        self._set(dict.fromkeys(self._whole, whole) | works)

    def drain(self) -> None:
        """Say for good that this server takes no more calls."""
        self._draining = True
        self._set(dict.fromkeys(self._whole, False))

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:
        if request.service not in self._states:
            raise NotFound("service", request.service)
        return _Status(status=self._states[request.service])

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> AsyncGenerator[Any]:
        shown = None
        while True:
            changed = self._changed
            state = self._states.get(request.service, _Status.SERVICE_UNKNOWN)
            if state != shown:
                shown = state
                yield _Status(status=state)
            await changed.wait()

    def _set(self, works: Mapping[str, bool]) -> None:
        states = self._states | {name: _SERVING if fine else _NOT_SERVING for name, fine in works.items()}
        if states != self._states:
            self._states = states
            self._changed.set()
            self._changed = asyncio.Event()

"""The gRPC server: its limits, its interceptors in order, its services, its start and its end."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from weir.v1 import (
    collection_service_pb2,
    collection_service_pb2_grpc,
    system_service_pb2,
    system_service_pb2_grpc,
    task_service_pb2,
    task_service_pb2_grpc,
    user_service_pb2,
    user_service_pb2_grpc,
)
from weir_core.config import Settings, require
from weir_core.readiness import tell_ready
from weir_core.runtime import Runtime
from weir_core.system.health import Health
from weir_server.http_port import HttpServer
from weir_server.interceptors.access import Access
from weir_server.interceptors.access_log import access_log
from weir_server.interceptors.admission import Admission
from weir_server.interceptors.authentication import Authentication
from weir_server.interceptors.call import Steps
from weir_server.interceptors.deadline import allow_wait, deadline
from weir_server.interceptors.errors import errors
from weir_server.interceptors.metrics import Metrics
from weir_server.interceptors.permission import Permission
from weir_server.interceptors.request_id import request_id
from weir_server.interceptors.streams import OpenStreams
from weir_server.interceptors.validation import Validation
from weir_server.interceptors.wrap import Wrap
from weir_server.rpc.collection_service import CollectionServicer
from weir_server.rpc.health_service import HealthServicer
from weir_server.rpc.system_service import SystemServicer
from weir_server.rpc.task_service import TaskServicer
from weir_server.rpc.user_service import UserServicer

_PROBE_SECONDS: Final = 1.0

_OPTIONS: Final[list[tuple[str, int]]] = [
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", 4 * 1024 * 1024),
    # Without it a rapid reset of streams stalls the server for a second.
    ("grpc.max_concurrent_streams", 100),
    # Closes connections that never say a word.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.max_connection_idle_ms", 300_000),
    # Ends requests that are sent half; long streams resume.
    ("grpc.max_connection_age_ms", 1_800_000),
    ("grpc.max_connection_age_grace_ms", 60_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The SDK pings every 30 s, with or without a call.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
]
_RPCS: Final = 10_000

_log = logging.getLogger(__name__)


def services() -> dict[str, ServiceDescriptor]:
    """The services of the contract that are served, by full name."""
    files: tuple[Any, ...] = (
        task_service_pb2,
        collection_service_pb2,
        user_service_pb2,
        system_service_pb2,
    )
    found = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    return {service.full_name: service for service in found}


class Server:
    """One gRPC server with what runs beside it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._settings = runtime.settings
        access = Access(services().values())
        permission = Permission(access)
        self.metrics = Metrics()
        self._admission = Admission()
        self._validation = Validation()
        self._streams = OpenStreams(runtime.people.authenticator, permission)
        self._health = Health(runtime.db, runtime.redis, runtime.store, runtime.settings.data_dir)
        self._health_servicer = HealthServicer(services())
        self._http = HttpServer(self.metrics.registry, lambda: self._health_servicer.serving)
        self._beside: list[asyncio.Task[None]] = []
        # The first is the outermost. What comes after `errors` may raise.
        steps: Steps = (
            request_id,
            access_log,
            self.metrics.count,
            errors,
            self._admission.admit,
            deadline,
            Authentication(runtime.people.authenticator, access).identify,
            permission.require,
            self._validation.validate,
            allow_wait,
            self._streams.track,
        )
        self._server = grpc.aio.server(
            interceptors=[Wrap(steps)], options=_OPTIONS, maximum_concurrent_rpcs=_RPCS
        )
        self._register(access)
        self.port = 0

    @property
    def http_port(self) -> int:
        """The port for metrics and liveness; 0: none."""
        return self._http.port

    async def start(self) -> None:
        """Listen, and answer SERVING once the database does."""
        listen = self._settings.listen
        if not self._settings.insecure:
            _refuse_plain_text("WEIR_LISTEN", listen)
            _refuse_plain_text("WEIR_HTTP_LISTEN", self._settings.http_listen)
        try:
            self.port = self._server.add_insecure_port(listen)
        except RuntimeError:
            raise SystemExit(f"can't listen on {listen!r}; is the port taken?") from None
        await self._probe()
        await self._server.start()
        if self._settings.http_listen:
            await self._http.start(self._settings.http_listen)
        for work in (self._probe_forever, self._streams.watch, self._runtime.hub.run):
            self._beside.append(asyncio.create_task(_again(work)))
        self._tell_ready()
        _log.info("listening on %s", listen, extra={"port": self.port})

    async def drain(self, grace_seconds: float) -> None:
        """Stop: NOT_SERVING first, then no new calls, then time for those that were taken."""
        self._health_servicer.drain()
        self._admission.close()
        self._streams.drain()
        await self._server.stop(grace_seconds)
        await self._http.stop()
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)

    def _register(self, access: Access) -> None:
        runtime, server = self._runtime, self._server
        tasks = TaskServicer(runtime, self._validation)
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(tasks, server)
        collections = CollectionServicer(runtime.collecting, runtime.trying, runtime.pages, self._validation)
        collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(collections, server)
        users = UserServicer(runtime.people, runtime.pages, access)
        user_service_pb2_grpc.add_UserServiceServicer_to_server(users, server)
        system = SystemServicer(runtime, self._health)
        system_service_pb2_grpc.add_SystemServiceServicer_to_server(system, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health_servicer, server)
        if self._settings.reflection:
            names = (*services(), "grpc.health.v1.Health", reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)

    async def _probe(self) -> None:
        await self._health.probe()
        self._health_servicer.publish(self._health.parts)

    async def _probe_forever(self) -> None:
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            await self._probe()
            self._tell_ready()

    def _tell_ready(self) -> None:
        if self._health_servicer.serving:
            tell_ready()


def build_server(runtime: Runtime) -> Server:
    """A server over a process's parts, not yet started."""
    return Server(runtime)


async def serve(settings: Settings) -> None:
    """Run a server until SIGTERM or SIGINT."""
    require(settings, "database_url", "redis_url", "master_key")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Runtime.open(settings) as runtime:
        server = build_server(runtime)
        await server.start()
        await stop.wait()
        _log.info("draining")
        await server.drain(settings.drain_grace.total_seconds())


def is_loopback(listen: str) -> bool:
    """True where only this machine can reach the address."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_plain_text(name: str, listen: str) -> None:
    if listen and not is_loopback(listen):
        raise SystemExit(
            f"{name} {listen!r} is not a loopback address, and calls would travel in plain text; "
            "listen on 127.0.0.1 behind a proxy with TLS, or set WEIR_INSECURE=true"
        )


async def _again(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - one failure must not end what has to go on
            _log.exception("%s ended; it starts again", work.__qualname__)
        await asyncio.sleep(1)

"""The worker process: registers, holds its lease, works; begins anew where the lease was lost."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from weir_core.collections.models import Connector, SyncMode
from weir_core.config import Settings
from weir_core.errors import WeirError
from weir_core.fleet.models import TaskType
from weir_core.fleet.service import SchemaChanged
from weir_core.ids import new_id
from weir_core.readiness import tell_ready
from weir_core.tasks.models import Limits, RetryPolicy
from weir_core.tasks.states import Priority
from weir_workers import __version__
from weir_workers.child import ChildGone
from weir_workers.crew import Crew, start_all
from weir_workers.lease import Lease
from weir_workers.parts import Parts
from weir_workers.supervisor import Supervisor
from weir_workers.wards.strays import kept_clear

_log = logging.getLogger(__name__)

_PAUSE = 1.0


async def run(settings: Settings, starting: asyncio.Task[Crew]) -> None:
    """Work until SIGTERM or SIGINT, at first by a crew that is being started."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Parts.open(settings) as parts, kept_clear():
        while True:
            try:
                await _incarnation(settings, parts, stop, await _up(starting))
            except WeirError as error:
                _log.warning("the worker can't begin: %s", error)
                await asyncio.sleep(_PAUSE)
            if stop.is_set():
                return
            starting = asyncio.create_task(start_all(settings.packs))


async def _up(starting: asyncio.Task[Crew]) -> Crew:
    try:
        return await starting
    except ChildGone as error:
        raise SystemExit(f"weir worker: {error}") from None


async def _incarnation(settings: Settings, parts: Parts, stop: asyncio.Event, crew: Crew) -> None:
    """One life of the worker under one id and lease."""
    worker_id = new_id()
    types = [_type(child.pack, task) for child in crew.children for task in child.tasks]
    connectors = [_connector(each) for child in crew.children for each in child.connectors]
    lost = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell_lost() -> None:
        loop.call_soon_threadsafe(lost.set)

    lease = Lease(settings, worker_id, renewed=crew.wards.trust, lost=tell_lost)
    supervisor = Supervisor(
        worker_id,
        parts.execution,
        reader := parts.queue.reader(settings.queues, settings.packs),
        crew,
        asking=parts.asking,
        files=parts.files,
        signals=parts.signals,
        fleet=parts.fleet,
        slots=settings.slots,
        heartbeat=settings.heartbeat,
        holds=lease.holds,
    )
    try:
        crew.wards.trust(time.monotonic() + settings.lease.total_seconds())
        await _register(settings, parts, worker_id, types, connectors)
        lease.start()
        _log.info("worker %s serves %s with %d slots", worker_id, ", ".join(settings.queues), settings.slots)
        work = asyncio.create_task(supervisor.run())
        tell_ready()
        await _first(stop, lost, work)
        if lost.is_set():
            _log.error("the lease was lost: all children are killed")
            await supervisor.abandon()
        else:
            await parts.fleet.drain(worker_id)
            await supervisor.drain(settings.drain_grace)
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await parts.fleet.stop(worker_id)
    finally:
        lease.stop()
        await supervisor.kill_children()
        await reader.close()


async def _first(stop: asyncio.Event, lost: asyncio.Event, work: asyncio.Task[None]) -> None:
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(lost.wait())]
    await asyncio.wait([*waits, work], return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if work.done():
        work.result()


async def _register(
    settings: Settings, parts: Parts, worker_id: UUID, types: list[TaskType], connectors: list[Connector]
) -> None:
    values = {
        "host": socket.gethostname(),
        "version": __version__,
        "slots": settings.slots,
        "queues": settings.queues,
    }
    try:
        await parts.connections.register_connectors(connectors)
        await parts.fleet.register(worker_id, values, types)
    except SchemaChanged as error:
        raise SystemExit(f"weir worker: {error}") from None


def _type(pack: str, task: dict[str, Any]) -> TaskType:
    retry = task["retry"]
    return TaskType(
        name=task["name"],
        version=task["version"],
        pack=pack,
        description=task["description"],
        input_schema=task["input_schema"],
        output_schema=task["output_schema"],
        queue=task["queue"],
        priority=Priority[task["priority"]],
        permission=task["permission"],
        limits=Limits(
            attempt=_seconds(task["timeout"]),
            stall=_seconds(task["stall"]),
            grace=timedelta(seconds=task["grace"]),
            retry=RetryPolicy(
                max_attempts=retry["max_attempts"],
                initial_delay=timedelta(seconds=retry["initial_delay"]),
                max_delay=timedelta(seconds=retry["max_delay"]),
                multiplier=retry["multiplier"],
            ),
        ),
    )


def _connector(told: dict[str, Any]) -> Connector:
    values: dict[str, Any] = told | {"modes": tuple(map(SyncMode, told["modes"]))}
    return Connector(**values)


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)

"""Calls as bytes, so that the client costs the same whoever answers; and tasks made without a server."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc

from tests.bench import pack
from tests.bench.site import PACK, Ground, Program
from weir_core.fleet.models import TaskType
from weir_core.fleet.service import FleetService
from weir_core.ids import new_id
from weir_core.tasks import submitting
from weir_core.tasks.models import Task
from weir_core.tasks.submitting import NewTask, Stored
from weir_workers.app import _type as declared
from weir_workers.packs import definitions, introduction

NOOP = "bench.noop"
_STREAMS = 90
_LARGEST = ("grpc.max_receive_message_length", 1 << 26)


@dataclass(frozen=True)
class Load:
    """What a number of callers got done."""

    calls: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds

    @property
    def cost(self) -> float:
        """Seconds of the server's processor time a call."""
        return self.cpu / self.calls


async def load(call: Callable[[], Awaitable[Any]], program: Program, seconds: float, in_flight: int) -> Load:
    """Call again and again, so many at a time."""
    count = 0
    until = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await call()
            count += 1

    cpu, began = program.cpu(), time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return Load(count, time.perf_counter() - began, program.cpu() - cpu)


@asynccontextmanager
async def channels(address: str, streams: int) -> AsyncGenerator[list[grpc.aio.Channel]]:
    """Connections enough for so many streams at a time."""
    options = [("grpc.use_local_subchannel_pool", 1), _LARGEST]
    opened = [grpc.aio.insecure_channel(address, options) for _ in range(-(-streams // _STREAMS))]
    try:
        yield opened
    finally:
        await asyncio.gather(*(channel.close() for channel in opened))


async def known_type(ground: Ground, name: str = NOOP) -> TaskType:
    """The type of a task, brought by a worker that is only a row."""
    found = declared(PACK, introduction(definitions(pack)[name]))
    values = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]}
    await FleetService(ground.runtime.db, timedelta(hours=12)).register(new_id(), values, [found])
    return found


async def store(ground: Ground, kind: TaskType, inputs: list[dict[str, Any]]) -> list[Task]:
    """Tasks in the database, of which no queue was told."""
    new = [NewTask("default", kind.name, given) for given in inputs]
    made = [submitting.make(ground.caller, each, kind, None, timedelta(days=30)) for each in new]
    tasks: list[Task] = []
    for start in range(0, len(made), 500):
        part = made[start : start + 500]
        stored = await ground.runtime.db.write(lambda tx, part=part: submitting.store(tx, part))
        tasks += [each.task for each in stored if isinstance(each, Stored)]
    return tasks

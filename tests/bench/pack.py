"""Tasks that benchmarks run: one that does nothing, one that tells the time, one that tells how far it is."""

import asyncio
import random
import socket
import struct
import time

from pydantic import BaseModel

from weir.task import Context, task

STARTED = struct.Struct("!d")
# Progress that follows sooner may become one event.
_APART = 0.1


class Quiet(BaseModel):
    """No output."""


class Start(BaseModel):
    """Whom to tell that the handler runs: the path of a datagram socket; empty: nobody."""

    tell: str = ""


class Ticks(BaseModel):
    """How many events, a second apart."""

    count: int


class Telling(BaseModel):
    """At how many moments progress is told, or nothing."""

    moments: int
    told: bool


@task("bench.noop")
async def noop(given: Start, ctx: Context) -> Quiet:  # noqa: ARG001
    """Do nothing, and tell when."""
    if given.tell:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(STARTED.pack(time.time()), given.tell)
    return Quiet()


@task("bench.tick")
async def tick(given: Ticks, ctx: Context) -> Quiet:
    """Log the time each second, beginning at any moment within one."""
    await asyncio.sleep(random.random())
    for _ in range(given.count):
        ctx.log.info(repr(time.time()))
        await asyncio.sleep(1)
    return Quiet()


@task("bench.progress")
async def progress(given: Telling, ctx: Context) -> Quiet:
    """Tell progress, or not, at so many moments."""
    for number in range(given.moments):
        if given.told:
            ctx.progress(number, unit="records", message="12.3 MB, 1 segments, page 45")
        await asyncio.sleep(_APART)
    return Quiet()

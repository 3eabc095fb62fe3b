"""Tasks that benchmarks run: one that does nothing, one that tells the time."""

import asyncio
import random
import socket
import struct
import time

from pydantic import BaseModel

from weir.task import Context, task

STARTED = struct.Struct("!d")


class Quiet(BaseModel):
    """No output."""


class Start(BaseModel):
    """Whom to tell that the handler runs: the path of a datagram socket; empty: nobody."""

    tell: str = ""


class Ticks(BaseModel):
    """How many events, a second apart."""

    count: int


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

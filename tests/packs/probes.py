"""Tasks that tests run: they wait, fail, talk, and refuse to stop."""

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from weir.task import Context, Retry, TaskFailure, task


class Nothing(BaseModel):
    """No input, or no output."""


class Echo(BaseModel):
    """Text that comes back."""

    text: str


class Steps(BaseModel):
    """How many steps, and how long each takes in seconds."""

    count: int = 3
    pause: float = 0.05


class Done(BaseModel):
    """What was done, by which attempt, in which process."""

    count: int
    attempt: int
    pid: int


class File(BaseModel):
    """A file to wait for."""

    path: str


class Way(BaseModel):
    """Which of several ways."""

    way: str


class Fault(BaseModel):
    """How to fail, and how often before it goes well."""

    kind: str = "USER_ERROR"
    message: str = "told to fail"
    times: int = 1000


@task("probe.echo")
async def echo(given: Echo, ctx: Context) -> Echo:
    """Give the text back."""
    ctx.log.info("echo", length=len(given.text))
    return given


@task("probe.steps", retry=Retry(max_attempts=3))
async def steps(given: Steps, ctx: Context) -> Done:
    """Tell progress and log, step by step."""
    for number in range(1, given.count + 1):
        ctx.progress(number, given.count, unit="steps", message=f"step {number}")
        ctx.log.info(f"step {number}")
        await asyncio.sleep(given.pause)
    return Done(count=given.count, attempt=ctx.attempt, pid=os.getpid())


@task("probe.until")
async def until(given: File, ctx: Context) -> Done:
    """Run until a file is there."""
    ctx.log.info("waiting", pid=os.getpid())
    while not Path(given.path).exists():  # noqa: ASYNC240 - what a handler of a user's might do
        await asyncio.sleep(0.02)
    return Done(count=1, attempt=ctx.attempt, pid=os.getpid())


@task("probe.unwilling")
async def unwilling(given: File, ctx: Context) -> Nothing:
    """Swallow every cancellation."""
    ctx.log.info("unwilling", pid=os.getpid())
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ctx.log.warning("cancelled, and going on")


@task("probe.blocked")
async def blocked(given: File, ctx: Context) -> Nothing:
    """Block the event loop for ever."""
    ctx.log.info("blocking", pid=os.getpid())
    await asyncio.sleep(0.1)
    Path(given.path).touch()  # noqa: ASYNC240 - as above
    while True:
        time.sleep(0.1)  # noqa: ASYNC251 - this is the point


@task("probe.fail", retry=Retry(max_attempts=3))
async def fail(given: Fault, ctx: Context) -> Done:
    """Fail, some times or always."""
    if ctx.attempt <= given.times:
        raise TaskFailure(given.kind, given.message, code="probe.fault")
    return Done(count=given.times, attempt=ctx.attempt, pid=os.getpid())


@task("probe.raise")
async def raises(given: Echo, ctx: Context) -> Nothing:
    """Raise an error with a cause."""
    ctx.mask("s3cret")
    ctx.log.info(f"about to raise with s3cret: {given.text}")
    try:
        int(given.text)
    except ValueError as error:
        raise RuntimeError("could not do it with s3cret") from error
    return Nothing()


@task("probe.spawn")
async def spawn(given: Way, ctx: Context) -> Nothing:
    """Start a process that ignores SIGTERM, and wait for it or leave it behind."""
    script = "trap '' TERM; echo ready; sleep 3600"
    started = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert started.stdout is not None
    await started.stdout.readline()
    ctx.log.info("spawned", pid=started.pid)
    if given.way == "wait":
        await started.wait()
    return Nothing()


@task("probe.artifact")
async def artifact(given: Echo, ctx: Context) -> Echo:
    """Keep the text as a file; give back its id."""
    return Echo(text=await ctx.artifact("note.txt", given.text.encode(), media_type="text/plain"))


@task("probe.long")
async def long(given: Steps, ctx: Context) -> Echo:
    """Give back a million letters for each step."""
    return Echo(text="a" * (1_000_000 * given.count))


@task("probe.crash", retry=Retry(max_attempts=1))
async def crash(given: Nothing, ctx: Context) -> Nothing:
    """Take the whole process down."""
    os._exit(41)

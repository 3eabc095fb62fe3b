"""Tasks that make files, once as coroutines and once in processes of their own."""

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from weir.task import BlockingContext, Context, Retry, RetryLater, TaskFailure, task

SOON = Retry(max_attempts=20)


class Wanted(BaseModel):
    """Which files, by their content; what to do then."""

    files: dict[str, str] = {}
    path: str = ""
    size: int = 0
    then: str = ""


class Made(BaseModel):
    """The ids of the files, what was refused, and the process."""

    ids: list[str] = []
    refused: str = ""
    attempt: int = 1
    pid: int = 0


class Long(BaseModel):
    """How many letters."""

    length: int
    path: str = ""


class Text(BaseModel):
    """A text, and numbers that JSON and a double treat differently."""

    text: str
    large: int = 2**60
    whole: float = 3.0
    half: float = 0.5


class Length(BaseModel):
    """What a parent saw of its child's output."""

    length: int


@task("artifacts.make", retry=SOON)
async def make(given: Wanted, ctx: Context) -> Made:
    """Make files from bytes, and one from a path."""
    ctx.mask("hunter2")
    ids: list[str] = []
    try:
        for name, content in given.files.items():
            ids.append(await ctx.artifact(name, content.encode(), media_type="text/plain"))
        if given.path:
            ids.append(await ctx.artifact("copied", Path(given.path)))
        if given.size:
            ids.append(await ctx.artifact("zeros", bytes(given.size)))
    except TaskFailure as failure:
        if given.then == "fail":
            raise
        return Made(ids=ids, refused=f"{failure.kind} {failure.code}: {failure}")
    ctx.log.info("made", pid=os.getpid())
    if given.then == "again" and ctx.attempt == 1:
        raise RetryLater("once more")
    if given.then.startswith("/"):
        while not Path(given.then).exists():  # noqa: ASYNC240 - what a handler of a user's might do
            await asyncio.sleep(0.02)
    return Made(ids=ids, attempt=ctx.attempt, pid=os.getpid())


@task("artifacts.make_blocking", retry=SOON)
def make_blocking(given: Wanted, ctx: BlockingContext) -> Made:
    """The same, in a process."""
    ctx.mask("hunter2")
    ids: list[str] = []
    try:
        for name, content in given.files.items():
            ids.append(ctx.artifact(name, content.encode(), media_type="text/plain"))
        if given.path:
            ids.append(ctx.artifact("copied", Path(given.path)))
        if given.size:
            Path("zeros").write_bytes(bytes(given.size))
            ids.append(ctx.artifact("zeros", Path("zeros")))
    except TaskFailure as failure:
        if given.then == "fail":
            raise
        return Made(ids=ids, refused=f"{failure.kind} {failure.code}: {failure}")
    ctx.log.info("made", pid=os.getpid())
    if given.then == "again" and ctx.attempt == 1:
        raise RetryLater("once more")
    while given.then.startswith("/") and not Path(given.then).exists():
        time.sleep(0.02)
    return Made(ids=ids, attempt=ctx.attempt, pid=os.getpid())


@task("artifacts.long")
async def long(given: Long, ctx: Context) -> Text:
    """Return much."""
    return Text(text="a" * given.length)


@task("artifacts.long_blocking")
def long_blocking(given: Long, ctx: BlockingContext) -> Text:
    """The same, in a process."""
    return Text(text="a" * given.length)


@task("artifacts.parent")
async def parent(given: Long, ctx: Context) -> Length:
    """Have a child that returns much."""
    child = await ctx.submit("artifacts.long_blocking", given, key="only")
    (end,) = await ctx.wait_for(child)
    return Length(length=len(end.result()["text"]))


@task("artifacts.parent_blocking")
def parent_blocking(given: Long, ctx: BlockingContext) -> Length:
    """The same, in a process."""
    child = ctx.submit("artifacts.long", given, key="only")
    (end,) = ctx.wait_for(child)
    return Length(length=len(end.result()["text"]))


@task("artifacts.thief")
def thief(given: Wanted, ctx: BlockingContext) -> Made:
    """Ask for what it may not name, in the words of the pipe."""
    (ctx.scratch.folder / "artifact-0000000000000000").symlink_to(given.path)
    os.mkfifo(ctx.scratch.folder / "artifact-1111111111111111")
    (ctx.scratch.folder / "artifact-2222222222222222").mkdir()
    refused: list[str] = []
    for name in (*given.files, *(f"artifact-{digit * 16}" for digit in "0123")):
        asked = {"what": "artifact", "name": "loot", "media_type": "text/plain", "handed": name, "size": 1}
        try:
            ctx.ask(asked)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            refused.append(str(error))
    return Made(ids=refused)

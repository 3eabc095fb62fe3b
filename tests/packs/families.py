"""Tasks that keep checkpoints and make children, once as coroutines and once in processes of their own."""

import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from weir.task import BlockingContext, Child, ChildEnd, Context, Refused, Retry, RetryLater, task

SOON = Retry(max_attempts=20)


class Counted(BaseModel):
    """What an attempt found, and which one it was."""

    found: Any
    attempt: int


class Pages(BaseModel):
    """Texts to be echoed by children, and the keys that those have."""

    texts: dict[str, str]
    type: str = "families.echo"
    attempts: int = 1
    options: dict[str, Any] = {}


class Told(BaseModel):
    """The children, how they ended, and what was refused."""

    ids: list[str] = []
    ends: list[dict[str, Any]] = []
    refused: str = ""


class Text(BaseModel):
    """A text; `fail` is told, a file is waited for."""

    text: str
    path: str = ""


class Nothing(BaseModel):
    """No input."""


@task("families.echo")
def echo(given: Text, ctx: BlockingContext) -> Text:
    """Give the text back, or fail by it."""
    if given.text == "fail":
        raise ValueError("told to fail")
    while given.path and not Path(given.path).exists():
        time.sleep(0.02)
    ctx.log.info("echo")
    return given


@task("families.count", retry=SOON)
async def count(given: Nothing, ctx: Context) -> Counted:
    """Three attempts, each of which goes on from what the one before has kept."""
    found = ctx.last_checkpoint or {"at": 0}
    await ctx.checkpoint({"at": -1})
    await ctx.checkpoint({"at": found["at"] + 10})
    if ctx.attempt < 3:
        raise RetryLater("not yet")
    return Counted(found=found, attempt=ctx.attempt)


@task("families.count_blocking", retry=SOON)
def count_blocking(given: Nothing, ctx: BlockingContext) -> Counted:
    """The same, in a process."""
    found = ctx.last_checkpoint or {"at": 0}
    ctx.checkpoint({"at": -1})
    ctx.checkpoint({"at": found["at"] + 10})
    if ctx.attempt < 3:
        raise RetryLater("not yet")
    return Counted(found=found, attempt=ctx.attempt)


@task("families.parent", retry=SOON)
async def parent(given: Pages, ctx: Context) -> Told:
    """Make a child for each text, wait for all, tell how they ended."""
    children: list[Child] = []
    try:
        for key, text in given.texts.items():
            asked = {"text": text if ctx.attempt == 1 or text != "changes" else "changed"}
            children.append(await ctx.submit(given.type, asked, key=key, **given.options))
    except Refused as refused:
        return Told(ids=_ids(children), refused=f"{refused.code}: {refused}")
    if ctx.attempt < given.attempts:
        await ctx.checkpoint(_ids(children))
        raise RetryLater("once more")
    return _told(ctx.last_checkpoint, children, await ctx.wait_for(*children))


@task("families.parent_blocking", retry=SOON)
def parent_blocking(given: Pages, ctx: BlockingContext) -> Told:
    """The same, in a process."""
    children: list[Child] = []
    try:
        for key, text in given.texts.items():
            asked = {"text": text if ctx.attempt == 1 or text != "changes" else "changed"}
            children.append(ctx.submit(given.type, asked, key=key, **given.options))
    except Refused as refused:
        return Told(ids=_ids(children), refused=f"{refused.code}: {refused}")
    if ctx.attempt < given.attempts:
        ctx.checkpoint(_ids(children))
        raise RetryLater("once more")
    return _told(ctx.last_checkpoint, children, ctx.wait_for(*children))


@task("families.waits")
async def waits(given: Text, ctx: Context) -> Told:
    """Wait for a child that waits for a file."""
    child = await ctx.submit("families.echo", given, key="only")
    ctx.log.info("waiting", child=child.task_id)
    return _told(None, [child], await ctx.wait_for(child))


def _ids(children: list[Child]) -> list[str]:
    return [child.task_id for child in children]


def _told(before: list[str] | None, children: list[Child], ends: list[ChildEnd]) -> Told:
    assert before in (None, _ids(children))
    told = [
        {"key": end.child.key, "state": end.state, "output": end.output, "why": end.message} for end in ends
    ]
    return Told(ids=_ids(children), ends=told)

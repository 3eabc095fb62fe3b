"""Tasks whose every step leaves a line in a ledger, so that what was really done can be counted."""

import asyncio
import os
import secrets
import time

from pydantic import BaseModel

from weir.task import Context, Retry, TaskFailure, task


class Work(BaseModel):
    """How long to work, in how many steps, and how many attempts fail first."""

    seconds: float = 0.0
    steps: int = 4
    failures: int = 0
    files: int = 0


class Worked(BaseModel):
    """Which attempt did it, and the word that it left in the ledger."""

    attempt: int
    nonce: str
    files: int = 0


@task("fault.work", retry=Retry(max_attempts=5))
async def work(given: Work, ctx: Context) -> Worked:
    """Work step by step, then do what can't be taken back."""
    nonce = secrets.token_hex(8)
    write("start", ctx, nonce)
    for step in range(1, given.steps + 1):
        ctx.progress(step, given.steps, unit="steps")
        ctx.log.info("step", number=step)
        await asyncio.sleep(given.seconds / given.steps)
    for _ in range(given.files):
        await ctx.artifact(nonce, nonce.encode())
    if ctx.attempt <= given.failures:
        raise TaskFailure("RETRYABLE", "told to fail")
    write("effect", ctx, nonce)
    return Worked(attempt=ctx.attempt, nonce=nonce, files=given.files)


def write(kind: str, ctx: Context, nonce: str) -> None:
    """Append a line; so short a one is written whole or not at all."""
    line = f"{ctx.task_id} {ctx.attempt} {nonce} {kind} {time.time():.6f} {os.getppid()}\n"
    ledger = os.open(os.environ["WEIR_FAULTS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)

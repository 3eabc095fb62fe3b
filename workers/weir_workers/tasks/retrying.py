"""The task `tasks.retry`: submits anew what failed or was cancelled. Started by RetryTasks."""

import asyncio
import time
from collections import Counter
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from weir.task import Context, Retry, TaskFailure, task
from weir_core.errors import Conflict, DependencyDown, WeirError
from weir_core.runtime import Runtime
from weir_core.tasks.retrying import RETRY_TASK, Retried

_REASONS: Final = 20
_PER_SECOND_PORTION: Final = 60


class RetryInput(BaseModel):
    """Which tasks, and how fast."""

    filter: str = Field(min_length=1, max_length=2000, description="As in ListTasks")
    max_per_minute: int = Field(default=1000, ge=1, le=1_000_000, description="Tasks submitted a minute")


class RetryOutput(BaseModel):
    """What was submitted, and what was not; short by a portion where a worker died in the middle of one."""

    submitted: int = 0
    refused: int = 0
    reasons: dict[str, int] = Field(
        default_factory=dict[str, int], description="Refusals by their message, 20 messages at most"
    )


class Kept(BaseModel):
    """How far an attempt has come."""

    last: UUID | None = None
    done: RetryOutput = Field(default_factory=RetryOutput)


@task(RETRY_TASK, version=1, permission="tasks.submit", retry=Retry(max_attempts=5))
async def retry_tasks(asked: RetryInput, ctx: Context) -> RetryOutput:
    """Submit anew all failed and cancelled tasks that match a filter, newest first."""
    runtime: Runtime = ctx.resources
    bulk_id = UUID(ctx.task_id)
    kept = Kept.model_validate(ctx.last_checkpoint or {})
    done = kept.done
    # A portion takes a second at the rate that is wanted; what is slow by itself does not wait.
    portion = max(1, asked.max_per_minute // _PER_SECOND_PORTION)
    begun, before = time.monotonic(), done.submitted + done.refused
    try:
        async for retried in runtime.retrying.run(bulk_id, asked.filter, kept.last, portion):
            _count(done, retried)
            await ctx.checkpoint(Kept(last=retried[-1].old_id, done=done))
            ctx.progress(done.submitted + done.refused, unit="tasks")
            due = begun + (done.submitted + done.refused - before) * 60 / asked.max_per_minute
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    except (DependencyDown, Conflict) as error:
        raise TaskFailure("DEPENDENCY", error.message, code="db") from error
    except WeirError as error:
        raise TaskFailure("INVALID_INPUT", error.message, code=error.reason) from error
    ctx.log.info("submitted anew", submitted=done.submitted, refused=done.refused)
    return done


def _count(done: RetryOutput, retried: list[Retried]) -> None:
    reasons: Counter[str] = Counter(done.reasons)
    for each in retried:
        if isinstance(each.new, WeirError):
            done.refused += 1
            if each.new.message in reasons or len(reasons) < _REASONS:
                reasons[each.new.message] += 1
        else:
            done.submitted += 1
    done.reasons = dict(reasons)

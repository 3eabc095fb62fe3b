"""The task `dataset.compact`: puts small segments of a dataset together."""

import itertools
import logging
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from weir.task import Context, Retry, TaskFailure, task
from weir_core.datasets.compaction import COMPACT_TASK, PERMISSION, Compacting
from weir_core.datasets.grouping import Sized
from weir_core.datasets.segments import SegmentNames
from weir_core.errors import WeirError
from weir_core.runtime import Runtime
from weir_workers.tasks.patience import patiently, refusals_told

_ROUNDS: Final = 3
_log = logging.getLogger(__name__)


class CompactInput(BaseModel):
    """Which dataset."""

    dataset_id: UUID


class CompactOutput(BaseModel):
    """What became of its segments."""

    replaced: int = Field(default=0, description="Small segments that were put together")
    made: int = Field(default=0, description="Segments that have their records now")
    left: int = Field(
        default=0, description="Segments that could be put together, but that runs have changed meanwhile"
    )


@task(COMPACT_TASK, version=1, permission=PERMISSION, priority="LOW", retry=Retry(max_attempts=5))
async def compact_dataset(asked: CompactInput, ctx: Context) -> CompactOutput:
    """Put small segments of a dataset together. Started by RunMaintenance, and by workers after a run."""
    try:
        with refusals_told():
            return await Compaction(asked.dataset_id, ctx).run()
    except WeirError as error:
        raise TaskFailure("INVALID_INPUT", error.message, code=error.reason) from error


async def compact_if_due(runtime: Runtime, dataset_id: UUID) -> None:
    """Start it after a run, where it is worth while; what stands in its way is no matter of the run."""
    try:
        await runtime.collecting.compaction.start_if_due(dataset_id)
    except WeirError as error:
        _log.warning("dataset %s is not compacted: %s", dataset_id, error)


class Compaction:
    """One attempt. Each group is committed as a whole, so that the next attempt goes on with the others."""

    def __init__(self, dataset_id: UUID, ctx: Context) -> None:
        runtime: Runtime = ctx.resources
        self._service = runtime.collecting.compaction
        self._dataset_id = dataset_id
        self._ctx = ctx
        self._task_id = UUID(ctx.task_id)
        # A file that was committed must never be written again.
        self._names = map(SegmentNames(str(dataset_id), ctx.task_id, ctx.attempt).name, itertools.count())
        self._done = CompactOutput()

    async def run(self) -> CompactOutput:
        """Put all together; then once more what that has left, or runs have changed meanwhile."""
        done = self._done
        for _ in range(_ROUNDS):
            plan = await patiently(lambda: self._service.plan(self._task_id, self._dataset_id))
            changed = [group for group in plan.groups if not await self._put_together(plan, group)]
            done.left = sum(map(len, changed))
            if not plan.groups:
                break
        self._ctx.log.info("compacted", replaced=done.replaced, made=done.made, left=done.left)
        return done

    async def _put_together(self, plan: Compacting, group: list[Sized]) -> bool:
        name, service, ctx = next(self._names), self._service, self._ctx
        written = await patiently(lambda: service.write(name, plan, group))
        if written is None or not await patiently(
            lambda: service.replace(self._task_id, ctx.attempt, plan, group, written)
        ):
            return False
        self._done.replaced += len(group)
        self._done.made += written.segment is not None
        ctx.progress(self._done.replaced, unit="segments")
        return True

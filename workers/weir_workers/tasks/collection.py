"""The task `collection.run`: reads a source into a dataset."""

from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel, Field

from weir.task import Context, Retry, TaskFailure, task
from weir_core.collections.models import Plan, Run
from weir_core.collections.runs import RUN_TASK, GuardStopped
from weir_core.datasets.evolution import SchemaMismatch
from weir_core.errors import NotFound
from weir_core.runtime import Runtime
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.registry import ConnectorUnknown, connector
from weir_workers.tasks.collection_loop import CollectionLoop, last_page
from weir_workers.tasks.compaction import compact_if_due
from weir_workers.tasks.patience import patiently, refusals_told


class CollectionRunInput(BaseModel):
    """Which collection is run; what else is needed stands with the run."""

    collection_id: UUID
    full: bool = Field(default=False, description="True: everything anew, swapped in at the end")


class CollectionRunOutput(BaseModel):
    """What a run did."""

    dataset_id: UUID
    dataset_version: int = Field(description="Version of the dataset that it made; 0 for none")
    records_read: int
    records_written: int
    records_quarantined: int
    bytes_read: int
    bytes_written: int
    segments: int
    requests: int


@task(
    RUN_TASK,
    version=1,
    permission="collections.run",
    retry=Retry(max_attempts=5, initial_delay=timedelta(seconds=2)),
)
async def collection_run(_asked: CollectionRunInput, ctx: Context) -> CollectionRunOutput:
    """Read a source into its dataset, from where it was committed last. Started by RunCollection."""
    runtime: Runtime = ctx.resources
    run_id = UUID(ctx.task_id)
    plan = await _begin(runtime, run_id, ctx)
    if not plan.finished:
        await _collect(runtime, plan, ctx)
    run = await _finish(runtime, run_id, ctx)
    await compact_if_due(runtime, run.dataset_id)
    done = run.counters
    summary = f"done: {done.records_written:,} records in {done.segments} segments"
    ctx.log.info(summary)
    return _output(run)


async def _begin(runtime: Runtime, run_id: UUID, ctx: Context) -> Plan:
    try:
        plan = await patiently(lambda: runtime.collecting.runs.begin(run_id, ctx.attempt))
    except ValueError as error:
        raise TaskFailure("INVALID_INPUT", str(error), code="lag") from error
    except NotFound as error:
        raise TaskFailure(
            "INVALID_INPUT",
            f"{error.message}; a run is started with RunCollection, over a connection that is there",
            code="run.unknown",
        ) from error
    for secret in plan.secrets.values():
        ctx.sink.mask(secret)
    if plan.position is not None:
        page = last_page(plan.position.get("at"))
        place = f"goes on after segment {plan.counters.segments}"
        ctx.log.info(place if page is None else f"{place}, page {page}")
    return plan


async def _finish(runtime: Runtime, run_id: UUID, ctx: Context) -> Run:
    collecting = runtime.collecting

    async def settle_and_finish() -> Run:
        # Asked anew: the run may have brought the columns.
        plan = await collecting.runs.begin(run_id, ctx.attempt)
        settled = None if plan.finished else await collecting.datasets.settle_run(plan)
        return await collecting.runs.finish(run_id, ctx.attempt, settled)

    try:
        return await patiently(settle_and_finish)
    except GuardStopped as stopped:
        raise TaskFailure("GUARD", f"a guard stopped the run: {stopped}", code="guard") from stopped


async def _collect(runtime: Runtime, plan: Plan, ctx: Context) -> None:
    try:
        with refusals_told():
            await CollectionLoop(runtime, ctx, plan, connector(plan.connector)).run()
    except SourceError as error:
        raise _failure(error) from error
    except SchemaMismatch as error:
        raise TaskFailure("INVALID_INPUT", str(error), code="schema") from error
    except ConnectorUnknown as error:
        raise TaskFailure("INVALID_INPUT", str(error), code="connector") from error


def _failure(error: SourceError) -> TaskFailure:
    return TaskFailure(
        error.kind,
        error.message,
        code=error.code,
        retry_after=None if error.retry_after is None else timedelta(seconds=error.retry_after),
        http_status=error.status,
        host=error.host,
    )


def _output(run: Run) -> CollectionRunOutput:
    counted = run.counters
    return CollectionRunOutput(
        dataset_id=run.dataset_id,
        dataset_version=run.dataset_version,
        records_read=counted.records_read,
        records_written=counted.records_written,
        records_quarantined=counted.records_quarantined,
        bytes_read=counted.bytes_read,
        bytes_written=counted.bytes_written,
        segments=counted.segments,
        requests=counted.requests,
    )

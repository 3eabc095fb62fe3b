"""The task `quarantine.resolve`: replays records that did not fit, or drops them.

Started by ResolveQuarantine.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from weir.task import Context, Retry, TaskFailure, task
from weir_core.datasets.commits import Commit, Counts
from weir_core.datasets.evolution import SchemaMismatch
from weir_core.datasets.quarantine import RESOLVE_TASK, Action, Quarantined, Target
from weir_core.datasets.segments import Limits, SegmentNames, SegmentWriter
from weir_core.datasets.service import arrow_schema
from weir_core.errors import Conflict, DependencyDown, WeirError
from weir_core.runtime import Runtime
from weir_workers.connectors.contract import Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.registry import ConnectorUnknown, connector
from weir_workers.tasks.patience import patiently, putting, refusals_told


class ResolveInput(BaseModel):
    """Which records, and what becomes of them."""

    dataset_id: UUID
    filter: str = Field(min_length=1, max_length=2000, description="As in ListQuarantine")
    action: Action


class ResolveOutput(BaseModel):
    """What became of the records."""

    replayed: int = Field(default=0, description="Records that are in the dataset now")
    discarded: int = Field(default=0, description="Records that were dropped")
    stayed: int = Field(default=0, description="Records that still do not fit")
    reason: str = Field(default="", description="Why the first of those does not")


class Kept(BaseModel):
    """How far an attempt has come."""

    last: UUID | None = None
    done: ResolveOutput = Field(default_factory=ResolveOutput)


@task(RESOLVE_TASK, version=1, permission="datasets.write", retry=Retry(max_attempts=5))
async def resolve_quarantine(asked: ResolveInput, ctx: Context) -> ResolveOutput:
    """Put records of a dataset's quarantine into the dataset, by the rules of today, or drop them."""
    runtime: Runtime = ctx.resources
    kept = Kept.model_validate(ctx.last_checkpoint or {})
    try:
        resolving = Resolving(runtime, ctx, asked, kept)
        with refusals_told():
            await resolving.run()
    except (DependencyDown, Conflict) as error:
        code = error.part if isinstance(error, DependencyDown) else "db"
        raise TaskFailure("DEPENDENCY", error.message, code=code) from error
    except WeirError as error:
        raise TaskFailure("INVALID_INPUT", error.message, code=error.reason) from error
    except (SchemaMismatch, SourceError, ConnectorUnknown) as error:
        raise TaskFailure("INVALID_INPUT", str(error), code="schema") from error
    done = kept.done
    ctx.log.info("resolved", replayed=done.replayed, discarded=done.discarded, stayed=done.stayed)
    return done


def _keyed(rows: pa.RecordBatch, key_fields: Sequence[str]) -> pa.BooleanArray:
    """For each row whether all fields of its key are there."""
    found = pa.repeat(pa.scalar(value=True), rows.num_rows)
    for name in key_fields:
        found = pc.and_(found, pc.is_valid(rows.column(name)))
    return found


class Resolving:
    """One attempt: portion by portion, each committed as a whole."""

    def __init__(self, runtime: Runtime, ctx: Context, asked: ResolveInput, kept: Kept) -> None:
        self._runtime = runtime
        self._ctx = ctx
        self._asked = asked
        self._kept = kept
        self._quarantine = runtime.collecting.quarantine
        self._task_id = UUID(ctx.task_id)

    async def run(self) -> None:
        """Resolve all that match."""
        asked, kept = self._asked, self._kept
        target = await patiently(lambda: self._quarantine.target(self._task_id, asked.dataset_id))
        number = 0
        while portion := await patiently(self._next):
            number += 1
            if asked.action is Action.DISCARD:
                await self._commit(target, portion, None)
                kept.done.discarded += len(portion)
            else:
                await self._replay(target, portion, number)
            kept.last = portion[-1].id
            await self._ctx.checkpoint(kept)
            done = kept.done
            self._ctx.progress(done.replayed + done.discarded + done.stayed, unit="records")

    async def _next(self) -> list[Quarantined]:
        asked = self._asked
        return await self._quarantine.portion(asked.dataset_id, asked.filter, self._kept.last)

    async def _replay(self, target: Target, portion: list[Quarantined], number: int) -> None:
        whole = [record for record in portion if not record.truncated]
        columns = arrow_schema(target.columns)
        wanted = Wanted(target.collection.settings, stream=target.collection.stream, schema=columns)
        source = connector(target.connector)
        found = await asyncio.to_thread(source.reread, wanted, [record.raw for record in whole])
        read = [record for place, record in enumerate(whole) if place not in found.misfits]
        keyed = _keyed(found.rows, target.collection.key_fields)
        fit = [record for record, has_key in zip(read, keyed.to_pylist(), strict=True) if has_key]
        if fit:
            writer = self._writer(target, number)
            await writer.add(found.rows.filter(keyed), {}, Counts(len(fit)))
            await self._commit(target, fit, await writer.flush())
        reasons = [
            *found.misfits.values(),
            *["a field of its key is null"] * (len(read) - len(fit)),
            *["it was cut when it was put here"] * (len(portion) - len(whole)),
        ]
        done = self._kept.done
        done.replayed += len(fit)
        done.stayed += len(reasons)
        done.reason = done.reason or next(iter(reasons), "")

    def _writer(self, target: Target, number: int) -> SegmentWriter:
        collection = target.collection
        name = SegmentNames(str(target.dataset.id), str(self._task_id), self._ctx.attempt)
        return SegmentWriter(
            putting(self._runtime.store),
            name,
            first=number,
            schema=arrow_schema(target.columns) if target.columns else None,
            cursor_field=collection.cursor_field,
            key_fields=collection.key_fields,
            policy=collection.schema_policy,
            # All of a portion is one segment.
            limits=Limits(rows=2**31, bytes=2**40, seconds=3600.0, reject_bytes=2**40),
        )

    async def _commit(self, target: Target, gone: list[Quarantined], written: Commit | None) -> None:
        datasets, segment = self._runtime.collecting.datasets, written.segment if written else None
        ids = [record.id for record in gone]

        async def send() -> None:
            settled = None
            if segment is not None and target.collection.key_fields:
                settled = await datasets.settle_segment(target.dataset.id, target.collection.rules, segment)
            await self._quarantine.commit(
                self._task_id, self._ctx.attempt, target, ids, segment=segment, settled=settled
            )

        await patiently(send)

"""The tasks `connection.check` and `collection.preview`: what is asked for and found passes by `trials`."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import orjson
import pyarrow as pa
from pydantic import BaseModel

from weir.task import Context, Masks, Retry, TaskFailure, task
from weir_core.collections.models import ConnectionCheck, Plan
from weir_core.collections.trials import (
    CHECK_TASK,
    PREVIEW_TASK,
    CheckAsked,
    Checked,
    Misfit,
    PreviewAsked,
    Previewed,
    Stream,
)
from weir_core.datasets.commits import Reject
from weir_core.datasets.evolution import SchemaMismatch, changes
from weir_core.datasets.json_schema import json_schema
from weir_core.datasets.manifest import columns_in
from weir_core.datasets.rows import to_json_rows
from weir_core.datasets.segments import Limits, SegmentWriter
from weir_core.datasets.values import SchemaPolicy
from weir_core.runtime import Runtime
from weir_core.tasks.models import Failure
from weir_core.tasks.states import FailureKind
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Connector,
    Drift,
    Item,
    Said,
    Source,
    SourceStream,
    Unchanged,
)
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.registry import ConnectorUnknown, connector
from weir_workers.tasks.collection_loop import source_of, wanted_of, writer_of
from weir_workers.tasks.patience import patiently

_SECONDS: Final = 15.0
_ATTEMPT: Final = timedelta(seconds=20)
_STREAMS: Final = 10_000
_SCHEMA_BYTES: Final = 4 * 1024 * 1024
_RECORD_BYTES: Final = 2 * 1024 * 1024
_MISFITS: Final = 100
_MISFIT_BYTES: Final = 1024 * 1024
# All that is gathered stays together: nothing is written.
_UNWRITTEN: Final = Limits(rows=2**62, bytes=2**62, seconds=1e9, reject_bytes=2**62)

T = TypeVar("T")


class Nothing(BaseModel):
    """What is asked for and found does not stand with the task."""


@task(
    CHECK_TASK,
    version=1,
    permission="connections.use",
    priority="HIGH",
    timeout=_ATTEMPT,
    retry=Retry(max_attempts=1),
)
async def check_connection(_: Nothing, ctx: Context) -> Nothing:
    """Try a connection, and list what can be read over it. Started by CheckConnection."""
    runtime: Runtime = ctx.resources
    asked = await _asked(runtime, ctx, CheckAsked, "CheckConnection")
    masks = _masked(ctx, asked.secrets)
    source = source_of(runtime, asked)
    began = time.monotonic()
    found = await _outcome(_checked(asked, source), masks)
    took = timedelta(seconds=time.monotonic() - began)
    failure, streams = (found, []) if isinstance(found, Failure) else (None, found)
    answer = Checked(ConnectionCheck(failure, took, datetime.now(UTC)), streams)
    await patiently(
        lambda: runtime.collecting.trials.answer(UUID(ctx.task_id), ctx.attempt, answer, asked), seconds=5.0
    )
    return Nothing()


@task(
    PREVIEW_TASK,
    version=1,
    permission="collections.run",
    priority="HIGH",
    timeout=_ATTEMPT,
    retry=Retry(max_attempts=1),
)
async def preview_collection(_: Nothing, ctx: Context) -> Nothing:
    """Read the first records of a collection, and keep none. Started by PreviewCollection."""
    runtime: Runtime = ctx.resources
    asked = await _asked(runtime, ctx, PreviewAsked, "PreviewCollection")
    masks = _masked(ctx, asked.plan.secrets)
    found = await _outcome(_previewed(runtime, asked), masks)
    answer = Previewed(failure=found) if isinstance(found, Failure) else found
    await patiently(
        lambda: runtime.collecting.trials.answer(UUID(ctx.task_id), ctx.attempt, answer), seconds=5.0
    )
    return Nothing()


async def _asked(runtime: Runtime, ctx: Context, kind: type[T], method: str) -> T:
    found = await patiently(
        lambda: runtime.collecting.trials.asked(kind, UUID(ctx.task_id), ctx.attempt), seconds=5.0
    )
    if found is None:
        raise TaskFailure(
            "INVALID_INPUT", f"nobody waits for it: such a task is started by {method} alone", code="unasked"
        )
    return found


def _masked(ctx: Context, secrets: dict[str, str]) -> Masks:
    masks = Masks()
    for secret in secrets.values():
        ctx.sink.mask(secret)
        masks.add(secret)
    return masks


async def _outcome(work: Awaitable[T], masks: Masks) -> T | Failure:
    """What came of it in good time, or the failure in the contract's terms."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await work
    except SourceError as error:
        return _failure(error, masks.clean)
    except TimeoutError:
        text = f"the source was not done within {_SECONDS:g} s"
        return Failure(FailureKind.DEPENDENCY, text, code="timeout", retryable=True)
    except SchemaMismatch as error:
        return Failure(FailureKind.INVALID_INPUT, masks.clean(str(error)), code="schema")
    except ConnectorUnknown as error:
        return Failure(FailureKind.INVALID_INPUT, str(error), code="connector")


def _failure(error: SourceError, clean: Callable[[str], str]) -> Failure:
    detail: dict[str, Any] = {}
    if error.host or error.status:
        detail = {"kind": "http", "status": error.status, "host": error.host}
        if error.retry_after is not None:
            detail["retry_after"] = error.retry_after
    kind = FailureKind[error.kind]
    retryable = kind in {FailureKind.DEPENDENCY, FailureKind.RATE_LIMITED}
    return Failure(kind, clean(error.message), code=error.code, retryable=retryable, detail=detail)


async def _checked(asked: CheckAsked, source: Source) -> list[Stream]:
    found = connector(asked.connector)
    await found.check(source)
    if not (asked.discover and found.has_streams):
        return []
    streams = [_stream(each) for each in list(await found.discover(source))[:_STREAMS]]
    if sum(len(orjson.dumps(each.schema)) for each in streams) > _SCHEMA_BYTES:
        return [
            Stream(one.name, None, one.cursor_fields, one.key_fields, one.estimated_records)
            for one in streams
        ]
    return streams


def _stream(found: SourceStream) -> Stream:
    return Stream(
        found.name,
        None if found.schema is None else json_schema(found.schema),
        found.cursor_fields,
        found.key_fields,
        found.estimated_records,
    )


async def _previewed(runtime: Runtime, asked: PreviewAsked) -> Previewed:
    reading = Reading(runtime, asked)
    await reading.read(connector(asked.plan.connector))
    return await asyncio.to_thread(reading.found)


@dataclass(slots=True)
class Reading:
    """A run that ends after some records and writes nothing."""

    runtime: Runtime
    asked: PreviewAsked
    writer: SegmentWriter = field(init=False)
    warnings: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.writer = writer_of(self.runtime, self.asked.plan, _UNWRITTEN)

    async def read(self, source: Connector) -> None:
        """Read until there is enough."""
        plan = self.asked.plan
        connection, wanted = source_of(self.runtime, plan), wanted_of(plan, limit=self.asked.count)
        for partition in await source.partitions(connection, wanted):
            async with aclosing(source.read(connection, wanted, partition)) as items:
                async for item in items:
                    await self._take(item)
                    if self._is_enough():
                        return

    def _is_enough(self) -> bool:
        rows, rejects = self.writer.unwritten
        return rows >= self.asked.count or rejects >= _MISFITS

    async def _take(self, item: Item) -> None:
        match item:
            case Said() | Unchanged():
                # A preview has no log, and knows nothing that could be unchanged.
                pass
            case Batch():
                await self.writer.add(item.records, item.position)
            case Checkpoint():
                await self.writer.advance(item.position)
            case Reject():
                self._refuse_strictly(f"a record does not fit: {item.reason}")
                self.writer.reject(item)
            case Drift():
                self._refuse_strictly(f"the source has more fields: {', '.join(item.fields)}")
                self.warnings.append(f"left out: the dataset has no column for {', '.join(item.fields)}")

    def _refuse_strictly(self, what: str) -> None:
        if self.asked.plan.schema_policy is SchemaPolicy.STRICT:
            raise SchemaMismatch(f"{what}; the schema policy is STRICT")

    def found(self) -> Previewed:
        """What was read, as the answer has it; blocks."""
        table, rejects = self.writer.gathered()
        schema = self.writer.schema
        if schema is None and self.asked.plan.columns is not None:
            schema = wanted_of(self.asked.plan).schema
        records = [] if table is None else self._records(table.slice(0, self.asked.count))
        if len(rejects) >= _MISFITS and len(records) < self.asked.count:
            self.warnings.append(f"read no further: {len(rejects)} records did not fit")
        return Previewed(
            records,
            None if schema is None else json_schema(schema),
            _misfits(rejects),
            [*_changes(self.asked.plan, schema), *self.warnings],
        )

    def _records(self, table: pa.Table) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = []
        size = 0
        for row in (row for batch in table.to_batches() for row in to_json_rows(batch)):
            size += len(orjson.dumps(row))
            if size > _RECORD_BYTES:
                self.warnings.append(f"only {len(records)} records fit into the answer")
                break
            records.append(row)
        return records


def _misfits(rejects: list[Reject]) -> list[Misfit]:
    found: list[Misfit] = []
    size = 0
    for each in rejects[:_MISFITS]:
        size += len(each.raw)
        if size > _MISFIT_BYTES:
            break
        raw = base64.b64encode(each.raw).decode()
        found.append(Misfit(raw, each.truncated, each.reason, each.column, each.page, each.position))
    return found


def _changes(plan: Plan, schema: pa.Schema | None) -> list[str]:
    if plan.columns is None or schema is None:
        return []
    return [
        f"the dataset's schema would change: {each}" for each in changes(plan.columns, columns_in(schema))
    ]

"""Reads a source from where the run was committed last, segment by segment.

A position of a run names the partitions that are left, and the connector's own
position in the first of them: the parts stay as they were cut when it began.
What was gathered when the source fails is committed before the failure, so the
next attempt asks for no page of it again.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

from weir.task import Context
from weir_core.collections.models import Counters, Plan
from weir_core.collections.trials import CheckAsked
from weir_core.datasets.commits import KNOWN, UNCHANGED, Commit, Counts, Position, Reject, Settled
from weir_core.datasets.cursors import is_state
from weir_core.datasets.evolution import SchemaMismatch
from weir_core.datasets.segments import Limits, SegmentNames, SegmentWriter
from weir_core.datasets.service import arrow_schema
from weir_core.datasets.values import CursorValue, SchemaPolicy
from weir_core.runtime import Runtime
from weir_workers.connectors.contract import (
    Batch,
    Checkpoint,
    Connector,
    Drift,
    Item,
    Partition,
    Said,
    Source,
    Unchanged,
    Wanted,
)
from weir_workers.connectors.errors import SourceError
from weir_workers.tasks.patience import patiently, putting
from weir_workers.tasks.side_by_side import Part, parts_of

_TELL_SECONDS: Final = 0.4


@dataclass(slots=True)
class Seen:
    """What came in this attempt and is not committed yet, and where it is."""

    counts: Counts
    rejects: int = 0
    page: int | None = None


class CollectionLoop:
    """One attempt of a run."""

    def __init__(self, runtime: Runtime, ctx: Context, plan: Plan, connector: Connector) -> None:
        self._runtime = runtime
        self._ctx = ctx
        self._plan = plan
        self._connector = connector
        self._committed = plan.counters
        self._commits = plan.commits
        self._seen = Seen(Counts())
        self._told = False
        self._place: CursorValue | None = None
        self._said = said_in(plan.position)
        self._source = source_of(runtime, plan)
        self._wanted = wanted_of(plan)
        limits = Limits(rows=runtime.settings.segment_rows)
        self._writer = writer_of(runtime, plan, limits, ctx.log.warning)

    async def run(self) -> None:
        """Read to the end of the source, and commit all of it."""
        telling = asyncio.create_task(self._tell_steadily())
        try:
            await self._read_partitions()
        except SourceError:
            await self._commit(await self._writer.flush())
            raise
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
        self._tell()

    async def _read_partitions(self) -> None:
        connector, source, wanted = self._connector, self._source, self._wanted
        if self._plan.position is None:
            left = [asdict(partition) for partition in await connector.partitions(source, wanted)]
            at = None
        else:
            left, at = self._plan.position["left"], self._plan.position["at"]
        reads = [
            partial(connector.read, source, wanted, Partition(**partition), None if number else at)
            for number, partition in enumerate(left)
        ]
        async with parts_of(reads, connector.side_by_side(wanted)) as parts:
            async for part in parts:
                while (item := await self._next(part)) is not None:
                    await self._take(left, item)
                left = left[1:]
                await self._commit(await self._writer.advance(self._placed(left, None)))
        await self._commit(await self._writer.flush())

    async def _next(self, part: Part) -> Item | None:
        """The next item; while none comes, what is gathered is committed when its time has come."""
        while not await part.ready(self._writer.seconds_left()):
            await self._commit(await self._writer.flush())
        return part.take()

    async def _take(self, left: Sequence[Mapping[str, Any]], item: Item) -> None:
        if isinstance(item, Batch | Checkpoint):
            self._place = item.position.get("cursor", self._place)
        match item:
            case Said():
                self._ctx.log.info(item.text)
            case Batch():
                self._note(item.counts, item.position)
                await self._commit(
                    await self._writer.add(item.records, self._placed(left, item.position), item.counts)
                )
            case Checkpoint():
                self._note(item.counts, item.position)
                if item.known is not None:
                    self._said = {KNOWN: item.known}
                at = self._placed(left, item.position)
                await self._commit(await self._writer.advance(at, item.counts))
            case Unchanged():
                self._said = {UNCHANGED: True}
                self._ctx.log.info("the source says that nothing has changed since the last run")
                await self._commit(await self._writer.advance(self._placed(left, None), item.counts))
            case Reject():
                self._refuse_strictly(f"a record does not fit: {item.reason}")
                self._seen.rejects += 1
                self._writer.reject(item)
            case Drift():
                self._refuse_strictly(f"the source has more fields: {', '.join(item.fields)}")
                text = f"left out: the dataset has no column for {', '.join(item.fields)}"
                self._ctx.log.warning(text)

    def _placed(self, left: Sequence[Mapping[str, Any]], at: Position | None) -> Position:
        return {"left": left, "at": at, **self._said}

    def _refuse_strictly(self, what: str) -> None:
        if self._plan.schema_policy is SchemaPolicy.STRICT:
            raise SchemaMismatch(f"{what}; the schema policy is STRICT")

    async def _commit(self, commit: Commit | None) -> None:
        if commit is None:
            return
        if self._place is not None:
            commit = replace(commit, cursor=self._place)
        number = self._commits + 1
        plan, datasets = self._plan, self._runtime.collecting.datasets

        async def send() -> Counters:
            settled = await self._settled(commit)
            return await datasets.commit(plan.run_id, plan.attempt, number, replace(commit, settled=settled))

        # A commit that got through and whose answer was lost is not done twice.
        self._committed = await patiently(send, tell=self._ctx.log.warning)
        self._commits = number
        self._seen = replace(self._seen, counts=self._seen.counts - commit.counts, rejects=0)
        if commit.segment is not None:
            number, rows = self._committed.segments, commit.segment.rows
            text = f"segment {number} committed: {rows:,} records{self._page()}"
            self._ctx.log.info(text)
        self._tell()

    async def _settled(self, commit: Commit) -> Settled | None:
        plan, segment = self._plan, commit.segment
        if segment is None or plan.staged or not plan.key_fields:
            return None
        return await self._runtime.collecting.datasets.settle_segment(plan.dataset_id, plan.rules, segment)

    def _note(self, counts: Counts, position: Position) -> None:
        counted = self._seen.counts + counts
        self._seen = replace(self._seen, counts=counted, page=last_page(position) or self._seen.page)
        if not self._told:
            self._tell()

    async def _tell_steadily(self) -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            if self._told:
                self._tell()

    def _tell(self) -> None:
        self._told = True
        done, seen = self._committed, self._seen
        records = done.records_read + seen.counts.records
        megabytes = (done.bytes_read + seen.counts.bytes) / 1e6
        rejects = done.records_quarantined + seen.rejects
        parts = [f"{megabytes:.1f} MB", f"{done.segments} segments"]
        if rejects:
            parts.append(f"{rejects} in quarantine")
        self._ctx.progress(records, unit="records", message=", ".join(parts) + self._page())

    def _page(self) -> str:
        return "" if self._seen.page is None else f", page {self._seen.page}"


def source_of(runtime: Runtime, asked: Plan | CheckAsked) -> Source:
    """The connection that is read, or tried."""
    turn = runtime.pacing.of(f"connection/{asked.connection_id}", asked.max_per_minute)
    return Source(asked.settings, asked.secrets, asked.allow_private_addresses, turn)


def wanted_of(plan: Plan, limit: int = 0) -> Wanted:
    """What a run reads; with a limit so many records will do."""
    return Wanted(
        plan.collection_settings,
        stream=plan.stream,
        schema=arrow_schema(plan.columns) if plan.columns else None,
        evolve=plan.schema_policy is SchemaPolicy.EVOLVE,
        cursor_field=plan.cursor_field,
        cursor=plan.cursor,
        inclusive=plan.inclusive,
        until=plan.span.end if plan.span else None,
        known=None if limit else plan.known,
        limit=limit,
    )


def writer_of(
    runtime: Runtime, plan: Plan, limits: Limits, tell: Callable[[str], None] | None = None
) -> SegmentWriter:
    """What gathers a run's rows; `tell` is told when it waits for the store."""
    return SegmentWriter(
        putting(runtime.store, tell),
        SegmentNames(str(plan.dataset_id), str(plan.run_id), plan.attempt),
        schema=arrow_schema(plan.columns) if plan.columns and plan.columns_fixed else None,
        cursor_field=plan.cursor_field,
        cursor=None if is_state(plan.reached) else plan.reached,
        key_fields=plan.key_fields,
        count_nulls=plan.count_nulls,
        policy=plan.schema_policy,
        limits=limits,
    )


def last_page(position: Mapping[str, Any] | None) -> int | None:
    """The page before a connector's position, where it counts pages."""
    page = (position or {}).get("page")
    return page - 1 if isinstance(page, int) else None


def said_in(position: Position | None) -> Position:
    """What the source had said of its version up to a run's position."""
    return {name: position[name] for name in (KNOWN, UNCHANGED) if name in position} if position else {}

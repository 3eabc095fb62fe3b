"""Tasks as workers use them: claim, report, finish. Every write begins with the fence."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.batching import Batcher
from weir_core.db import Database
from weir_core.events import LiveEvents
from weir_core.failpoints import reach
from weir_core.fleet import repository as fleet
from weir_core.fleet.models import WorkerState
from weir_core.ids import new_id
from weir_core.tasks import hot_repository, repository
from weir_core.tasks.encoding import dump_cancellation
from weir_core.tasks.ending import Closed, Success, close_attempt, close_succeeded
from weir_core.tasks.errors import Fenced
from weir_core.tasks.events import RESERVE, AttemptLog, Event, EventKind, after, state_body
from weir_core.tasks.hot_repository import Archived
from weir_core.tasks.models import Cancellation, Task
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.promotion import Promotion
from weir_core.tasks.states import HELD, CancelPhase, TaskState

_log = logging.getLogger(__name__)

_PHASE_TIMES: Final = {CancelPhase.SIGNALLED: "signal_time", CancelPhase.KILLED: "kill_time"}


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task that a worker holds from now on, with the log that it alone writes."""

    task: Task
    log: AttemptLog


class TaskExecution:
    """What a worker does to the tasks that it holds."""

    def __init__(self, db: Database, live: LiveEvents, promotion: Promotion) -> None:
        self._db = db
        self._live = live
        self._promotion = promotion
        self._successes = Batcher(self._succeed, most=64)

    async def claim(self, task_ids: Iterable[UUID], worker_id: UUID, types: dict[str, int]) -> list[Claimed]:
        """Take those of the tasks that can still be had."""
        wanted = sorted(set(task_ids))

        async def work(tx: AsyncConnection) -> list[Claimed]:
            tasks = await hot_repository.claim(tx, wanted, worker_id, new_id(), types)
            if not tasks:
                return []
            claimed = [_claimed(task) for task in tasks]
            await hot_repository.insert_attempts(tx, tasks)
            await hot_repository.insert_events(tx, {c.task.id: c.log.everything() for c in claimed})
            reach("claim.written")
            return claimed

        return await self._db.write(work)

    async def forgotten(self, worker_id: UUID, known: Collection[UUID]) -> list[Claimed]:
        """What a live worker holds and does not know of: claims that were made, and their answer lost."""
        async with self._db.read() as tx:
            worker = await fleet.get_worker(tx, worker_id)
            if worker is None or worker.state not in {WorkerState.ACTIVE, WorkerState.DRAINING}:
                return []
            held = (await repository.held_by(tx, [worker_id])).get(worker_id, [])
            forgotten = [task_id for task_id in held if task_id not in known]
            tasks = await repository.inputs_of(tx, forgotten) if forgotten else {}
        return [_claimed(task) for task in tasks.values()]

    async def report(self, logs: list[AttemptLog]) -> list[AttemptLog]:
        """Archive what the logs have gathered, and reserve further numbers; answers the fenced ones."""
        if not logs:
            return []
        batches = {log: log.unarchived() for log in logs}

        async def work(tx: AsyncConnection) -> list[AttemptLog]:
            held = await hot_repository.hold(tx, [log.task_id for log in logs])
            kept = [log for log in logs if _is_newest(log, held)]
            # An archive whose answer was lost is not made twice.
            fresh = {log: after(held[log.task_id].last_seq, batches[log]) for log in kept}
            writing = [log for log in kept if fresh[log]]
            if writing:
                await hot_repository.archive(tx, [_archived(log, fresh[log]) for log in writing])
                await hot_repository.insert_events(tx, {log.task_id: fresh[log] for log in writing})
            return [log for log in logs if log not in kept]

        fenced = await self._db.write(work)
        reach("archive.committed")
        for log, events in batches.items():
            if log not in fenced:
                last = events[-1].seq if events else log.archived_seq
                log.archived(last, last + RESERVE)
        return fenced

    async def send(self, logs: list[AttemptLog]) -> None:
        """Send what the logs have gathered to watchers; raises RedisError, OSError."""
        await self._live.append(logs)

    async def trim(self, logs: list[AttemptLog]) -> None:
        """Drop what is archived from the live streams; raises RedisError, OSError."""
        await self._live.trim(logs)

    async def cancellation(self, task_id: UUID, attempt: int) -> Cancellation | None:
        """The cancel that was asked for; None where the attempt is not the newest or none was."""
        async with self._db.read() as tx:
            found = await repository.get(tx, task_id)
        if found is None or found.attempt != attempt or found.state is not TaskState.CANCELLING:
            return None
        return found.cancellation

    async def cancelling(self, worker_id: UUID) -> list[UUID]:
        """Tasks of a worker for which a cancel was asked."""
        async with self._db.read() as tx:
            return await repository.cancelling(tx, worker_id)

    async def advance(self, log: AttemptLog, phase: CancelPhase, holdup: str = "") -> None:
        """Note that a cancellation has moved on, or what holds it up, in the row and as an event; Fenced."""

        async def work(tx: AsyncConnection) -> Cancellation:
            await repository.fence(tx, log.task_id, log.attempt, cancelling=True)
            found = await repository.get(tx, log.task_id)
            if found is None or found.cancellation is None:
                raise Fenced(f"no cancel was asked for task {log.task_id}")
            times = {_PHASE_TIMES[phase]: datetime.now(UTC)}
            moved = replace(found.cancellation, phase=phase, holdup=holdup, **times)
            await repository.change(tx, log.task_id, {"cancellation": dump_cancellation(moved)})
            return moved

        log.add(EventKind.CANCEL, dump_cancellation(await self._db.write(work)))

    async def finish(self, log: AttemptLog, ended: Ended) -> Task:
        """Store how the attempt ended, and where that takes its task; Fenced."""
        log.number_all()
        reach("finish.reported")
        closed = None
        if ended.failure is None and ended.file is None and not ended.handed_back:
            closed = await self._successes.ask((log, ended))
            if isinstance(closed, Fenced):
                raise closed
        if closed is None:
            closed = await self._db.write(
                lambda tx: close_attempt(
                    tx, log.task_id, log.attempt, log.unarchived(), ended, told_cancel=log.told_cancel
                )
            )
            reach("finish.committed")
            await self._tell({log: closed})
        await self._promotion.after(replace(closed, events=[]))
        return closed.task

    async def _succeed(self, ends: Sequence[tuple[AttemptLog, Ended]]) -> list[Closed | Fenced | None]:
        successes = [Success(log.task_id, log.attempt, log.unarchived(), ended.output) for log, ended in ends]
        results = await self._db.write(lambda tx: close_succeeded(tx, successes), tries=1)
        reach("finish.committed")
        logs = [log for log, _ in ends]
        await self._tell(
            {log: each for log, each in zip(logs, results, strict=True) if isinstance(each, Closed)}
        )
        return results

    async def _tell(self, closed: dict[AttemptLog, Closed]) -> None:
        unsaid = {
            log.task_id: [*log.unsent(), *(event for event in each.events if event.seq > log.last_seq)]
            for log, each in closed.items()
        }
        try:
            if closed:
                await self._live.end(list(closed), unsaid)
                reach("finish.sent")
        except (RedisError, OSError) as error:
            _log.info("watchers were not told of the ends of %d tasks: %s", len(closed), error)


def _is_newest(log: AttemptLog, held: dict[UUID, Task]) -> bool:
    found = held.get(log.task_id)
    return found is not None and found.attempt == log.attempt and found.state in HELD


def _archived(log: AttemptLog, events: list[Event]) -> Archived:
    return Archived(log.task_id, events[-1].seq, log.progress)


def _claimed(task: Task) -> Claimed:
    return Claimed(task, AttemptLog(task.id, task.attempt, _started(task), task.reserved_seq))


def _started(task: Task) -> Event:
    body = state_body(TaskState.QUEUED, TaskState.RUNNING)
    return Event(task.last_seq, task.attempt, task.start_time or datetime.now(UTC), EventKind.STATE, body)

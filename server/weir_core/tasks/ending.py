"""How attempts and tasks end, each way inside a transaction that the caller opens.

Whatever ends one gives back what it held, tells those that depend on it, and
says in a `Closed` what is left to be done once the transaction has committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from weir_core.columns import now_plus
from weir_core.failpoints import reach
from weir_core.files import repository as files
from weir_core.files.models import event_body
from weir_core.tasks import hot_repository, repository, waiting_repository
from weir_core.tasks.admission import leave
from weir_core.tasks.encoding import dump_cancellation, dump_failure
from weir_core.tasks.errors import Fenced
from weir_core.tasks.events import Event, EventKind, Numbering, after, state_body
from weir_core.tasks.models import HELD, NEVER, Attempt, Failure, Task
from weir_core.tasks.outcomes import Ended, Verdict, confirmed, judge, outcome_body, removal_time
from weir_core.tasks.states import HELD as CLAIMED
from weir_core.tasks.states import TERMINAL, TaskState


@dataclass(frozen=True, slots=True)
class Closed:
    """A task whose attempt, or which itself, has ended: what watchers and waiting tasks are to be told."""

    task: Task
    events: list[Event]
    freed: list[str] = field(default_factory=list[str])
    """Gates that it left and at which others wait."""
    needed: bool = False
    """True: it has ended, and other tasks depend on it."""


@dataclass(frozen=True, slots=True)
class Success:
    """The end of an attempt that went well; `events` are those of it that are not archived."""

    task_id: UUID
    attempt: int
    events: list[Event]
    output: dict[str, Any] | None


async def close_attempt(
    tx: AsyncConnection,
    task_id: UUID,
    attempt: int,
    events: list[Event],
    ended: Ended,
    *,
    told_cancel: bool,
    fenced: bool = True,
) -> Closed:
    """End an attempt; `events` are those of it that are not archived, a gap included. Fenced.

    `told_cancel`: a cancel that was asked for stands in its events, archived or not.
    """
    if fenced:
        await repository.fence(tx, task_id, attempt, cancelling=True)
    found = await repository.lock(tx, task_id)
    # Another sweeper may have moved the attempt on already: its number stays until the next claim.
    if found is None or found.attempt != attempt or found.state not in CLAIMED:
        raise Fenced(f"attempt {attempt} of task {task_id} has ended, or is not the newest one")
    verdict = judge(found, ended)
    await repository.end_attempt(tx, task_id, attempt, ended.failure and verdict.failure, verdict.delay)
    found = replace(found, attempts=(await hot_repository.attempts_of(tx, [task_id]))[task_id])
    numbering = Numbering(found.last_seq, attempt)
    numbering.keep(after(found.last_seq, events))
    if found.cancellation is not None and not told_cancel:
        body = state_body(TaskState.RUNNING, TaskState.CANCELLING, found.cancellation.reason)
        numbering.add(EventKind.STATE, body)
        numbering.add(EventKind.CANCEL, dump_cancellation(found.cancellation))
    if ended.file is not None:
        await files.insert(tx, ended.file, settled=True)
        numbering.add(EventKind.ARTIFACT, event_body(ended.file))
    closed = await _move(tx, found, verdict, numbering, ended)
    reach("close.written")
    return closed


async def close_succeeded(tx: AsyncConnection, ends: Sequence[Success]) -> list[Closed | Fenced | None]:
    """End attempts that went well, all at once; None for one with more to it, which `close_attempt` ends."""
    held = await hot_repository.hold(tx, [each.task_id for each in ends])
    again = [task.id for task in held.values() if task.attempt > 1]
    attempts = await hot_repository.attempts_of(tx, again) if again else {}
    closed: list[Closed | Fenced | None] = []
    for each in ends:
        found = held.get(each.task_id)
        if found is None or found.attempt != each.attempt or found.state not in CLAIMED:
            closed.append(Fenced(f"attempt {each.attempt} of task {each.task_id} is not the newest one"))
        elif found.cancellation or found.holds or found.parked_on or found.needed:
            closed.append(None)
        else:
            closed.append(_succeeded(found, attempts.get(found.id) or [_first(found)], each))
    ended = [each for each in closed if isinstance(each, Closed)]
    if ended:
        await hot_repository.succeed(tx, [each.task for each in ended])
        await hot_repository.insert_events(tx, {each.task.id: each.events for each in ended})
    reach("close.written")
    return closed


def _succeeded(found: Task, attempts: list[Attempt], success: Success) -> Closed:
    numbering = Numbering(found.last_seq, found.attempt)
    numbering.keep(after(found.last_seq, success.events))
    verdict = Verdict(TaskState.SUCCEEDED)
    outcome = outcome_body(found, attempts, verdict, Ended(success.output))
    numbering.add(EventKind.STATE, state_body(found.state, verdict.state, "", outcome))
    end_time = datetime.now(UTC)
    moved = replace(
        found,
        attempts=attempts,
        state=verdict.state,
        failure=None,
        output=success.output,
        last_seq=numbering.last_seq,
        end_time=end_time,
        expire_time=removal_time(found, end_time),
    )
    return Closed(moved, numbering.events)


def _first(found: Task) -> Attempt:
    assert found.worker_id
    assert found.start_time
    return Attempt(found.attempt, found.worker_id, found.type_version, found.start_time)


async def end_waiting(tx: AsyncConnection, found: Task, verdict: Verdict) -> Closed:
    """End a task that no worker holds and that the transaction has locked."""
    numbering = Numbering(found.last_seq, found.attempt)
    if verdict.cancellation is not None:
        numbering.add(EventKind.CANCEL, dump_cancellation(verdict.cancellation))
        verdict = replace(verdict, cancellation=confirmed(verdict.cancellation))
    await waiting_repository.drop_dependencies(tx, found.id)
    return await _move(tx, found, verdict, numbering, Ended())


async def _move(
    tx: AsyncConnection, found: Task, verdict: Verdict, numbering: Numbering, ended: Ended
) -> Closed:
    over = verdict.state in TERMINAL
    if verdict.cancellation is not None:
        numbering.add(EventKind.CANCEL, dump_cancellation(verdict.cancellation))
    outcome = outcome_body(found, found.attempts, verdict, ended) if over else None
    numbering.add(EventKind.STATE, state_body(found.state, verdict.state, verdict.reason, outcome))
    moved, freed = await leave(tx, found, ended=over)
    moved = replace(
        moved,
        state=verdict.state,
        failure=verdict.failure,
        cancellation=verdict.cancellation or found.cancellation,
        charged=max(found.charged, verdict.charged),
        crashes=max(found.crashes, verdict.crashes),
        parked_on=HELD if verdict.held else None,
        output=ended.output,
        output_file_id=ended.file and ended.file.id,
        last_seq=numbering.last_seq,
        end_time=datetime.now(UTC) if over else None,
    )
    await repository.change(tx, found.id, _values(moved, verdict))
    await hot_repository.insert_events(tx, {found.id: numbering.events})
    if over and found.needed:
        await waiting_repository.note_outcome(tx, found.id, verdict.state)
    return Closed(moved, numbering.events, freed, over and found.needed)


def _values(moved: Task, verdict: Verdict) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": int(moved.state),
        "last_seq": moved.last_seq,
        "charged": moved.charged,
        "crashes": moved.crashes,
        "holds": moved.holds,
        "parked_on": moved.parked_on,
        **failure_values(moved.failure),
    }
    if moved.cancellation is not None:
        values["cancellation"] = dump_cancellation(moved.cancellation)
    if moved.state in TERMINAL:
        return values | {
            "output": moved.output,
            "output_file_id": moved.output_file_id,
            "end_time": moved.end_time,
            "alarm_time": moved.end_time and removal_time(moved, moved.end_time),
        }
    return values | {"due_time": NEVER if verdict.delay is None else now_plus(verdict.delay)}


def failure_values(failure: Failure | None) -> dict[str, Any]:
    """The columns of a failure, those that lists are filtered by included."""
    return {
        "failure": dump_failure(failure),
        "failure_kind": failure and int(failure.kind),
        "fingerprint": failure and failure.fingerprint[:16],
    }

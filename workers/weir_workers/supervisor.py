"""A worker's heart: claims what it has room for, hands it to its children, stores how it ended.

A child that does not stop within a task's grace time is killed; what else ran in
it is handed back, uncharged. A `def` handler has a process of its own, so that
killing it costs nobody else. A worker that loses its lease kills all its
children: nothing they still write would be accepted.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from redis.exceptions import RedisError

from weir_core.errors import WeirError
from weir_core.failpoints import reach
from weir_core.files.models import File
from weir_core.files.service import FileService
from weir_core.fleet.models import WorkerState
from weir_core.fleet.service import FleetService
from weir_core.queue import HintReader
from weir_core.signals import Signals
from weir_core.tasks.asking import Asking
from weir_core.tasks.encoding import dump_cancellation
from weir_core.tasks.errors import Fenced
from weir_core.tasks.events import AttemptLog, EventKind, state_body
from weir_core.tasks.execution import Claimed, TaskExecution
from weir_core.tasks.models import Failure, Task
from weir_core.tasks.outcomes import Ended, past_deadline, timed_out
from weir_core.tasks.states import CancelPhase, FailureKind, TaskState, TimeoutKind
from weir_workers.answering import Answering
from weir_workers.child import Child, ChildGone
from weir_workers.crew import Crew
from weir_workers.recorder import Recorder
from weir_workers.runs.process import Process

_log = logging.getLogger(__name__)

_PAUSE: Final = 1.0
_RESTART_PAUSE: Final = 1.0
# A stopped worker has waited for its handlers already: this is for putting things away.
_HAND_BACK_GRACE: Final = timedelta(seconds=3)
# Beyond that many, who waits for children keeps its slot: each is a run with its memory all the same.
_WAITING_PER_SLOT: Final = 16
# Beyond that many ends that wait to be stored, each keeps its slot.
_ENDED_PER_SLOT: Final = 1


@dataclass(eq=False)
class Running:
    """A task that the worker holds."""

    task: Task
    log: AttemptLog
    child: Child | Process
    stopping: Ended | None = None
    """How it ends if its handler stops because it was told to."""
    killed: bool = False
    ended: bool = False
    phase: CancelPhase | None = None
    """How far its cancellation has come, as it is stored."""
    heard: float = field(default_factory=time.monotonic)
    waits: int = 0
    """For how many children it waits just now."""
    result: File | None = None
    """Has its result, where that is large: content that becomes a file with its end."""
    beside: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    """What goes on for it as long as its attempt does: time limits, answers."""

    @property
    def key(self) -> dict[str, Any]:
        """What names it on the pipe."""
        return {"id": str(self.task.id), "attempt": self.task.attempt}

    @property
    def folder(self) -> Path:
        """Where its handler's files lie that are handed over."""
        return self.child.folder_of(self.task.id, self.task.attempt)

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside the handler, until the attempt ends."""
        task = asyncio.create_task(work)
        self.beside.add(task)
        task.add_done_callback(self.beside.discard)


class Supervisor:
    """Runs tasks in children, for as long as the worker holds its lease."""

    def __init__(
        self,
        worker_id: UUID,
        execution: TaskExecution,
        reader: HintReader,
        crew: Crew,
        *,
        asking: Asking,
        files: FileService,
        signals: Signals,
        fleet: FleetService,
        slots: int,
        heartbeat: timedelta,
        holds: Callable[[], bool],
    ) -> None:
        self._worker_id = worker_id
        self._execution = execution
        self._reader = reader
        self._signals = signals
        self._fleet = fleet
        self._children = {child.pack: child for child in crew.children}
        self._nurseries = crew.nurseries
        self._wards = crew.wards
        self._packs = {task["name"]: child.pack for child in crew.children for task in child.tasks}
        self._types = {task["name"]: task["version"] for child in crew.children for task in child.tasks}
        self._slots = slots
        self._heartbeat = heartbeat.total_seconds()
        self._running: dict[UUID, Running] = {}
        self._freed = asyncio.Event()
        self._draining = False
        self._resting = False
        self._claiming = asyncio.Lock()
        self._recorder = Recorder(execution, self._fenced, holds)
        self._files = files
        self._answering = Answering(asking, files)
        self._beside: set[asyncio.Task[None]] = set()
        self._cancels = asyncio.Lock()
        self._missed = False

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run())
            group.create_task(self._answering.run())
            group.create_task(self._claim())
            group.create_task(self._hear())
            group.create_task(self._look())
            group.create_task(self._nurseries.keep_up())
            for child in self._children.values():
                group.create_task(self._attend(child))

    async def drain(self, grace: timedelta) -> None:
        """Take no more; end what ends within the grace time, and hand back the rest."""
        self._draining = True
        try:
            async with asyncio.timeout(grace.total_seconds()):
                while self._running:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            await self._hand_back_all("the worker was stopped")

    async def abandon(self) -> None:
        """The lease is lost: kill all children, and hand back what can still be handed back."""
        self._draining = True
        held = list(self._running.values())
        for running in held:
            # Said before the kill: who sees the child end must not take that for a failure of the task.
            running.stopping = running.stopping or Ended(handed_back="the worker could not renew its lease")
        await self.kill_children()
        for running in held:
            assert running.stopping is not None
            await self._finish(running, running.stopping, patient=False)

    async def kill_children(self) -> None:
        """End all children, side by side: one that can't be killed holds up no other."""
        await asyncio.gather(self._nurseries.kill(), *(child.kill() for child in self._children.values()))

    async def _claim(self) -> None:
        while not self._draining:
            free = 0 if self._resting else self._slots - self._taken()
            if free <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            try:
                hints = await self._reader.read(free)
                if not hints:
                    continue
                await self._all_children_up()
                reach("hint.read")
                async with self._claiming:
                    claimed = await self._execution.claim(
                        [hint.task_id for hint in hints], self._worker_id, self._types
                    )
                    reach("claim.committed")
                    # Claimed and not started would be lost until the lease ends: nothing may come between.
                    for each in claimed:
                        await self._start(each)
                reach("claim.started")
                if self._missed:
                    self._keep(self._stop_cancelled())
                await self._reader.acknowledge(hints)
                reach("hint.acknowledged")
            except (RedisError, OSError, WeirError) as error:
                _log.warning("no tasks are claimed: %s", error)
                await asyncio.sleep(_PAUSE)

    def _taken(self) -> int:
        """The slots in use: who waits for children needs none, so that they find room; nor what has ended."""
        waiting = sum(running.waits > 0 for running in self._running.values())
        ended = sum(running.ended for running in self._running.values())
        return (
            len(self._running)
            - min(waiting, self._slots * _WAITING_PER_SLOT)
            - min(ended, self._slots * _ENDED_PER_SLOT)
        )

    async def _all_children_up(self) -> None:
        while any(child.gone for child in self._children.values()):
            self._freed.clear()
            await self._freed.wait()
        await self._nurseries.all_up()

    async def _start(self, claimed: Claimed) -> None:
        task = claimed.task
        start = {
            "op": "start",
            "id": str(task.id),
            "attempt": task.attempt,
            "project": task.project,
            "type": task.type,
            "input": task.input,
            "checkpoint": task.checkpoint,
            "file_bytes": self._files.limits.file,
            "result_bytes": self._files.limits.result,
        }
        running = Running(task, claimed.log, self._children[self._packs[task.type]])
        try:
            if self._nurseries.serve(task.type):
                running.child = await self._nurseries.fork(start)
                self._hold(running)
                self._keep(self._attend_process(running, running.child))
            else:
                self._hold(running)
                await running.child.send(start)
        except ChildGone:
            self._hold(running)
            self._end(running, Ended(handed_back="its process was being restarted"))

    def _hold(self, running: Running) -> None:
        if self._running.get(running.task.id) is running:
            return
        self._running[running.task.id] = running
        self._recorder.add(running.log)
        for limit in self._limits(running):
            running.keep(limit)

    async def _attend_process(self, running: Running, process: Process) -> None:
        async for message in process.messages():
            self._told(running, message)
        # Where the end was told, this one comes second and has no say.
        self._end(running, running.stopping or Ended(failure=_died(self._worker_id, "its keeper was killed")))

    async def _attend(self, child: Child) -> None:
        while True:
            async for message in child.messages():
                self._take(message)
            reason = await child.ended()
            _log.warning("pack %s: its process ended: %s", child.pack, reason)
            for running in [each for each in self._running.values() if each.child is child]:
                self._end(running, running.stopping or Ended(failure=_died(self._worker_id, reason)))
            await child.kill()
            if self._draining:
                return
            child = await self._replace(child.pack)

    async def _replace(self, pack: str) -> Child:
        while True:
            await asyncio.sleep(_RESTART_PAUSE)
            try:
                child = await Child.start(pack, self._wards)
            except ChildGone as error:
                _log.error("%s", error)
                continue
            self._children[pack] = child
            self._freed.set()
            return child

    def _take(self, message: dict[str, Any]) -> None:
        running = self._running.get(UUID(message["id"]))
        if running is not None and running.task.attempt == message["attempt"]:
            self._told(running, message)

    def _told(self, running: Running, message: dict[str, Any]) -> None:
        match message["op"]:
            case "done":
                self._end(running, _ended(running, message))
                return
            case "holdup":
                self._keep(self._tell_holdup(running, message["text"]))
                return
            case "ask":
                running.keep(self._answer(running, message))
            case "progress":
                running.log.add_progress(message["body"])
            case _:
                running.log.add_log(message["body"])
        running.heard = time.monotonic()
        self._recorder.changed(running.log)

    async def _answer(self, running: Running, message: dict[str, Any]) -> None:
        waits = message["asked"]["what"] == "wait"
        running.waits += waits
        self._freed.set()
        try:
            answer = await self._answering.answer(running, message["asked"])
        finally:
            running.waits -= waits
            running.heard = time.monotonic()
        self._recorder.changed(running.log)
        with contextlib.suppress(ChildGone):
            await running.child.send({"op": "answer", **running.key, "ask": message["ask"], "answer": answer})

    async def _hear(self) -> None:
        while True:
            try:
                async for _ in self._signals.received(self._worker_id):
                    await self._obey()
            except (RedisError, OSError) as error:
                _log.info("no signals are heard, cancels are looked for: %s", error)
            await asyncio.sleep(_PAUSE)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            await self._obey()
            await self._start_forgotten()

    async def _start_forgotten(self) -> None:
        try:
            async with self._claiming:
                for each in await self._execution.forgotten(self._worker_id, self._running):
                    _log.warning("task %s was claimed, and the answer lost: it starts now", each.task.id)
                    await self._start(each)
        except WeirError as error:
            _log.warning("it is not known what is held: %s", error)

    async def _obey(self) -> None:
        """Look for what others ask of this worker: to stop tasks, to take no more."""
        await self._stop_cancelled()
        try:
            ours = await self._fleet.get_worker(self._worker_id)
        except WeirError as error:
            _log.warning("orders wait: %s", error)
            return
        self._resting = ours.state is WorkerState.DRAINING
        self._freed.set()
        if self._resting and ours.drain_time is not None and ours.drain_time <= datetime.now(UTC):
            await self._hand_back("the worker is drained")

    async def _stop_cancelled(self) -> None:
        try:
            async with self._cancels:
                self._missed = False
                for task_id in await self._execution.cancelling(self._worker_id):
                    running = self._running.get(task_id)
                    # Claimed, and just being started: it is looked for once more after that.
                    self._missed = self._missed or running is None
                    if running is not None and (running.stopping is None or running.stopping.handed_back):
                        await self._cancel(running)
        except WeirError as error:
            _log.warning("cancels wait: %s", error)

    async def _cancel(self, running: Running) -> None:
        wanted = await self._execution.cancellation(running.task.id, running.task.attempt)
        if wanted is None:
            return
        failure = Failure(FailureKind.CANCELLED, wanted.reason or "cancelled on request")
        running.log.add(EventKind.STATE, state_body(TaskState.RUNNING, TaskState.CANCELLING, wanted.reason))
        running.log.add(EventKind.CANCEL, dump_cancellation(wanted))
        grace = running.task.limits.grace if wanted.grace is None else wanted.grace
        # Noted first: a handler that stops at once would end the attempt before its phase is stored.
        await self._advance(running, CancelPhase.SIGNALLED)
        await self._stop(running, Ended(failure=failure), grace)

    def _limits(self, running: Running) -> list[Coroutine[Any, Any, None]]:
        """What watches over the time limits of an attempt."""
        limits, deadline = running.task.limits, running.task.deadline
        timers: list[Coroutine[Any, Any, None]] = []
        if limits.attempt is not None:
            passed = timed_out(
                TimeoutKind.ATTEMPT, f"the attempt ran longer than {limits.attempt}", limits.attempt
            )
            timers.append(self._time_out(running, limits.attempt, passed))
        if limits.stall is not None:
            timers.append(self._watch_stall(running, limits.stall))
        if deadline is not None:
            left = max(timedelta(0), deadline - datetime.now(UTC))
            timers.append(self._time_out(running, left, past_deadline(running.task)))
        return timers

    async def _time_out(self, running: Running, limit: timedelta, passed: Failure) -> None:
        await asyncio.sleep(limit.total_seconds())
        await self._stop_failed(running, passed)

    async def _watch_stall(self, running: Running, limit: timedelta) -> None:
        seconds = limit.total_seconds()
        while (left := seconds if running.waits else running.heard + seconds - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        message = f"no progress and no log line for {limit}"
        await self._stop_failed(running, timed_out(TimeoutKind.STALL, message, limit))

    async def _stop_failed(self, running: Running, passed: Failure) -> None:
        if running.stopping is None:
            failure = replace(passed, log_tail=running.log.tail())
            await self._stop(running, Ended(failure=failure), running.task.limits.grace)

    async def _stop(self, running: Running, ended: Ended, grace: timedelta) -> None:
        running.stopping = ended
        running.keep(self._kill_after(running, grace))
        try:
            await running.child.send({"op": "cancel", **running.key})
        except ChildGone:
            _log.info("task %s: its process is gone already", running.task.id)

    async def _kill_after(self, running: Running, grace: timedelta) -> None:
        await asyncio.sleep(grace.total_seconds())
        if self._running.get(running.task.id) is not running:
            return
        _log.warning("task %s did not stop within %s: its process is killed", running.task.id, grace)
        for other in self._running.values():
            if other.child is running.child:
                other.stopping = other.stopping or Ended(
                    handed_back="its process was killed with another task's"
                )
                other.killed = True
        if not await running.child.kill():
            await self._tell_holdup(
                running, "killed, but not gone yet: something that its pack's process started"
            )

    async def _tell_holdup(self, running: Running, text: str) -> None:
        running.killed = True
        await self._advance(running, CancelPhase.KILLED, text)

    async def _advance(self, running: Running, phase: CancelPhase, holdup: str = "") -> None:
        try:
            await self._execution.advance(running.log, phase, holdup)
            running.phase = phase
            self._recorder.changed(running.log)
        except (Fenced, WeirError) as error:
            _log.info("task %s: phase %s was not stored: %s", running.task.id, phase.name, error)

    async def _hand_back(self, reason: str, most: timedelta = timedelta.max) -> None:
        for running in list(self._running.values()):
            if running.stopping is None:
                await self._stop(running, Ended(handed_back=reason), min(running.task.limits.grace, most))

    async def _hand_back_all(self, reason: str) -> None:
        await self._hand_back(reason, _HAND_BACK_GRACE)
        while self._running:
            self._freed.clear()
            await self._freed.wait()

    def _end(self, running: Running, ended: Ended) -> None:
        if self._running.get(running.task.id) is running and not running.ended:
            running.ended = True
            self._freed.set()
            self._keep(self._finish(running, ended))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside all else; who only starts a task may see it collected as garbage."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _finish(self, running: Running, ended: Ended, *, patient: bool = True) -> None:
        for each in running.beside:
            if each is not asyncio.current_task():
                each.cancel()
        await self._recorder.remove(running.log)
        cancelled = ended.failure is not None and ended.failure.kind is FailureKind.CANCELLED
        if cancelled and running.killed and running.phase is not CancelPhase.KILLED:
            await self._advance(running, CancelPhase.KILLED)
        while True:
            try:
                await self._execution.finish(running.log, ended)
            except Fenced as error:
                _log.warning("its end is not accepted: %s", error)
                ended = replace(ended, file=None)
            except WeirError as error:
                _log.warning("task %s: its end is not stored yet: %s", running.task.id, error)
                if patient:
                    await asyncio.sleep(_PAUSE)
                    continue
            break
        if running.result is not None and ended.file is None:
            await self._files.drop(running.result)
        self._lost(running.log)

    def _fenced(self, log: AttemptLog) -> None:
        """Another has the task: what runs of it here is stopped, and not waited for."""
        running = self._running.get(log.task_id)
        if running is not None and running.log is log and not running.ended:
            self._keep(self._drop(running))
        self._lost(log)

    async def _drop(self, running: Running) -> None:
        if isinstance(running.child, Process):
            await running.child.kill()
            return
        with contextlib.suppress(ChildGone):
            await running.child.send({"op": "cancel", **running.key})

    def _lost(self, log: AttemptLog) -> None:
        running = self._running.get(log.task_id)
        if running is not None and running.log is log:
            del self._running[log.task_id]
            self._freed.set()


def _ended(running: Running, message: dict[str, Any]) -> Ended:
    if "output" in message:
        return Ended(output=message["output"])
    if "stored" in message and running.result is not None:
        return Ended(file=running.result)
    if "failure" not in message:
        return running.stopping or Ended(failure=_gave_up(running))
    failure = message["failure"]
    return Ended(
        failure=Failure(
            kind=FailureKind[failure["kind"]],
            message=failure["message"],
            code=failure["code"],
            causes=failure["causes"],
            detail=failure["detail"],
            log_tail=running.log.tail(),
        )
    )


def _gave_up(running: Running) -> Failure:
    message = "the handler was cancelled by its own code, or by a signal from elsewhere"
    return Failure(FailureKind.USER_ERROR, message, code="cancelled", log_tail=running.log.tail())


def _died(worker_id: UUID, reason: str) -> Failure:
    detail = {"kind": "lost_worker", "worker_id": str(worker_id), "reason": reason}
    return Failure(
        FailureKind.LOST_WORKER, f"its process ended: {reason}", code="process.died", detail=detail
    )

"""Clients that submit, watch and list as users would, through the SDK, and write down what they saw."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import weir
from tests.faults.books import seen
from tests.faults.history import Answer, Listing, Submit, Watch
from tests.faults.site import Site
from weir.errors import CallError
from weir.types import MissedPolicy, OverlapPolicy, Task, TaskSpec, Timing

_CALL = 10.0
_PAUSE = 0.3
_AT_ONCE = 100
_PAGE = 20
_LAST = 180.0
_PAUSE_OF_OPERATOR = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each."""

    tasks: int = 200
    rate: float = 50.0
    """Submits a second."""
    longest: float = 4.0
    """Seconds that a task takes at most; each takes some time between none and that."""
    watchers: int = 20
    watches: int = 10_000
    """Tasks that each watcher follows at most, one after the other."""
    stay: float = 3.0
    """Seconds that a watcher stays on one connection at most."""
    listers: int = 1
    hasty: float = 0.1
    """Share of the submits that their client gives up at a random moment, and sends again."""
    haste: float = 0.03
    """Seconds after which it gives up at most."""
    failing: float = 0.05
    """Share of the tasks whose first attempt fails."""
    cancelled: float = 0.02
    """Share of the tasks that somebody cancels."""
    filing: float = 0.2
    """Share of the tasks that make files."""


@dataclass
class Load:
    """The clients of one run."""

    site: Site
    plan: Plan
    name: str = "r"
    tasks: list[str] = field(default_factory=list[str])
    """Those whose submit was answered."""
    all_made: asyncio.Event = field(default_factory=asyncio.Event)
    unwatched: list[str] = field(default_factory=list[str])

    @asynccontextmanager
    async def going(self) -> AsyncGenerator[None]:
        """Watch and list for as long as something is to be seen."""
        watchers = [asyncio.create_task(self._watcher(number)) for number in range(self.plan.watchers)]
        others = [asyncio.create_task(self._lister()) for _ in range(self.plan.listers)]
        others.append(asyncio.create_task(self._operator()))
        try:
            yield
            self.all_made.set()
            await _done(watchers)
        finally:
            for each in (*watchers, *others):
                each.cancel()
            await asyncio.gather(*watchers, *others, return_exceptions=True)

    async def submit_all(self) -> None:
        """Submit at the plan's rate; return when every submit was answered with OK."""
        places = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for number in range(self.plan.tasks):
                await places.acquire()
                one = group.create_task(self._submit(number))
                one.add_done_callback(lambda _: places.release())
                await asyncio.sleep(1 / self.plan.rate)
        self.all_made.set()

    async def _submit(self, number: int) -> None:
        chance, plan = self.site.chance, self.plan
        given = {
            "seconds": round(chance.uniform(0, plan.longest), 3),
            "steps": chance.randint(1, 8),
            "failures": int(chance.random() < plan.failing),
            "files": chance.randint(1, 3) if chance.random() < plan.filing else 0,
        }
        cut = chance.uniform(0, plan.haste) if chance.random() < plan.hasty else None
        request_id = f"{self.name}-{number}"
        task_id = await self.submit_until_ok(request_id, given, cut)
        self.tasks.append(task_id)
        self.unwatched.append(task_id)
        if chance.random() < plan.cancelled:
            await asyncio.sleep(chance.uniform(0, plan.longest))
            await self.call("CancelTask", self.client().tasks.handle(task_id).cancel("enough"))

    async def submit_until_ok(self, request_id: str, given: dict[str, Any], cut: float | None = None) -> str:
        """Submit again and again under one request id; `cut` ends the first call after so many seconds."""
        while True:
            began = time.time()
            submit = self.client().tasks.submit(
                "fault.work", given, labels={"request": request_id}, request_id=request_id, timeout=_CALL
            )
            handle: weir.AsyncTaskHandle | None = await self.call("SubmitTask", submit, cut)
            told = ("", True) if handle is None else (handle.id, handle.created)
            self.site.history.submitted(Submit(request_id, *told, began, time.time()))
            if handle is not None:
                return handle.id
            if cut is None:
                await asyncio.sleep(_PAUSE)
            cut = None

    async def call(
        self, method: str, answer: Any, cut: float | None = None, *, deadline: float = _CALL
    ) -> Any:
        """What a call answers; None where it failed, or was given up after `cut` seconds."""
        began = time.monotonic()
        code = reason = text = ""
        try:
            async with asyncio.timeout(cut):
                return await answer
        except CallError as error:
            code, reason, text = error.code, error.reason, error.message
            return None
        except TimeoutError:
            code = "GIVEN UP"
            return None
        finally:
            spent = time.monotonic() - began
            self.site.history.answered(Answer(method, code or "OK", reason, spent, deadline, text[:200]))

    def client(self) -> weir.AsyncClient:
        """A client of either server."""
        return self.site.chance.choice(self.site.clients)

    async def tick(self, seconds: float) -> None:
        """Let a schedule fire each second for so long, and wait until it has."""
        name = f"tick-{self.name}"
        made = None
        while made is None:
            timing = Timing()
            timing.interval.FromSeconds(1)
            timing.end_time.FromSeconds(int(time.time() + seconds))
            create = self.client().tasks.create_schedule(
                name=name,
                timing=timing,
                task=TaskSpec(type="fault.work"),
                overlap=OverlapPolicy.OVERLAP_POLICY_ALLOW,
                missed=MissedPolicy.MISSED_POLICY_ALL,
            )
            made = await self.call("CreateSchedule", create)
            # A call without an answer may have made it: the next one takes another name.
            name += "-again"
        await asyncio.sleep(seconds)

    async def _watcher(self, number: int) -> None:
        for _ in range(self.plan.watches):
            task_id = await self._next_task()
            if task_id is None:
                return
            watch = Watch(f"watcher {number}", task_id)
            try:
                await self.watch(watch)
            finally:
                self.site.history.watched(watch)

    async def _next_task(self) -> str | None:
        while not self.unwatched:
            if self.all_made.is_set():
                return None
            await asyncio.sleep(0.05)
        return self.unwatched.pop(self.site.chance.randrange(len(self.unwatched)))

    async def watch(self, watch: Watch) -> None:
        """Follow a task to its end, on a new connection to either server again and again."""
        while not watch.ended:
            watch.connections += 1
            stay = self.site.chance.uniform(0.05, self.plan.stay)
            place = watch.seen[-1].seq + 1 if watch.seen else 1
            try:
                async with asyncio.timeout(stay), self.client().tasks.watch(watch.task_id, place) as events:
                    async for event in events:
                        watch.seen.append(seen(event))
                    watch.ended = True
            except TimeoutError:
                continue
            except CallError as error:
                self.site.history.answered(
                    Answer("WatchTask", error.code, error.reason, 0, _CALL, error.message[:200])
                )
                await asyncio.sleep(_PAUSE)

    async def _lister(self) -> None:
        while True:
            began = time.time()
            found = await self.call("ListTasks", self._list(), deadline=math.inf)
            if found is not None:
                self.site.history.listed(Listing(began, time.time(), tuple(found)))
            await asyncio.sleep(1)

    async def _operator(self) -> None:
        """Release by hand what is held after three lost workers: all of them were killed."""
        while True:
            await asyncio.sleep(_PAUSE_OF_OPERATOR)
            for task_id in await self.call("ListTasks", self._held(), deadline=math.inf) or ():
                release = self.client().tasks.update_task(
                    task=Task(id=task_id, held=False), update_mask=["held"]
                )
                await self.call("UpdateTask", release)

    async def _held(self) -> list[str]:
        return [task.id async for task in self.client().tasks.list_tasks(filter="held = true")]

    async def _list(self) -> list[str]:
        found: list[str] = []
        async for page in self.client().tasks.list_tasks(page_size=_PAGE).pages():
            found += [task.id for task in page.tasks]
        return found


async def _done(watchers: list[asyncio.Task[None]]) -> None:
    """Wait for them, but not for ever: the history then has a watch that was never told the end."""
    if not watchers:
        return
    done, _ = await asyncio.wait(watchers, timeout=_LAST)
    for watcher in done:
        watcher.result()

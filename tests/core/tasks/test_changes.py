import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import update

from tests.fixtures.engine import Engine, person
from weir_core.errors import PositionExpired
from weir_core.principals import Caller
from weir_core.runtime import Runtime
from weir_core.tasks import news, repository
from weir_core.tasks.events import EventKind
from weir_core.tasks.execution import Claimed
from weir_core.tasks.models import task as task_table
from weir_core.tasks.news import Batch
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.revising import Revising, Revision
from weir_core.tasks.selection import selection
from weir_core.tasks.states import TaskState
from weir_core.tasks.submitting import NewTask

S = TaskState
SECONDS = 30


@dataclass
class Watch:
    """What one watcher of many tasks was given."""

    server: Runtime
    filter: str = ""
    caller: Caller = field(default_factory=lambda: person(everywhere={"tasks.read"}))
    batches: list[Batch] = field(default_factory=list[Batch])
    states: dict[UUID, list[TaskState]] = field(default_factory=dict[UUID, list[TaskState]])
    """By task, the states that it was said to be in, one after the other."""
    seqs: dict[UUID, int] = field(default_factory=dict[UUID, int])
    tasks: int = 0
    """Tasks that came as they were, with the snapshot's."""
    since: int | None = None
    running: asyncio.Task[None] | None = None
    _grown: asyncio.Condition = field(default_factory=asyncio.Condition)
    _started: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, *, snapshot: bool = False) -> "Watch":
        """Watch from now, or from where it stood."""
        self.running = asyncio.create_task(self._run(snapshot=snapshot))
        async with asyncio.timeout(SECONDS):
            await self._started.wait()
        return self

    async def stop(self) -> None:
        """Break off, as a lost connection does."""
        assert self.running is not None
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
        self._started.clear()

    async def until(self, done: Callable[["Watch"], bool]) -> None:
        """Wait for something to have been given."""
        async with asyncio.timeout(SECONDS), self._grown:
            await self._grown.wait_for(lambda: done(self))

    async def saw(self, task_id: UUID, *states: TaskState) -> None:
        """Wait until a task was said to have been in just these states."""
        await self.until(lambda watch: watch.states.get(task_id, []) == [*states])

    async def _run(self, *, snapshot: bool) -> None:
        chosen = selection(self.filter)
        batches = self.server.feed.watch(chosen, lambda: self.caller, self.since, snapshot=snapshot)
        try:
            async for batch in batches:
                async with self._grown:
                    self._take(batch)
                    self._grown.notify_all()
                if batch.since is not None or batch.tasks:
                    self._started.set()
        finally:
            await batches.aclose()
            self._started.set()

    def _take(self, batch: Batch) -> None:
        self.batches.append(batch)
        for task in batch.tasks:
            self.tasks += 1
            self._note(task.id, task.state)
            self.seqs[task.id] = max(self.seqs.get(task.id, 0), task.last_seq)
        for task_id, event in ((each.task_id, each.event) for each in batch.events):
            assert event.seq > self.seqs.get(task_id, 0), "out of order, or twice"
            self.seqs[task_id] = event.seq
            if event.kind is EventKind.STATE:
                self._note(task_id, TaskState(event.body["to"]))
        self.since = self.since if batch.since is None else batch.since

    def _note(self, task_id: UUID, state: TaskState) -> None:
        told = self.states.setdefault(task_id, [])
        if not told or told[-1] is not state:
            told.append(state)

    @property
    def events(self) -> list[tuple[UUID, int]]:
        """The events that were given."""
        return [(each.task_id, each.event.seq) for batch in self.batches for each in batch.events]


class Servers(list[Runtime]):
    """Servers over one database and Redis, and who watches there."""

    def __init__(self, *runtimes: Runtime) -> None:
        super().__init__(runtimes)
        self.watches: list[Watch] = []

    def watch(self, number: int = 1, filter_text: str = "", caller: Caller | None = None) -> Watch:
        """A watcher, not started."""
        watch = Watch(self[number], filter_text)
        watch.caller = caller or watch.caller
        self.watches.append(watch)
        return watch


@pytest.fixture
async def servers(engine: Engine) -> AsyncGenerator[Servers]:
    """Two servers."""
    servers = Servers(engine.runtime, await engine.another())
    running = [asyncio.create_task(runtime.hub.run()) for runtime in servers]
    yield servers
    running += [watch.running for watch in servers.watches if watch.running]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def started(engine: Engine, claimed: Claimed) -> None:
    await engine.runtime.execution.send([claimed.log])


async def end(runtime: Runtime, claimed: Claimed) -> None:
    await runtime.execution.finish(claimed.log, Ended(output={}))


class TestWatch:
    async def test_each_change_comes_as_an_event_once_and_in_order(self, engine: Engine, servers: Servers):
        worker = await engine.worker()
        watches = [await servers.watch(number).start() for number in (0, 1)]
        claimed = await engine.claimed(worker)
        claimed.log.add_log({"level": 2, "source": 1, "text": "not told", "fields": {}})
        claimed.log.add(EventKind.ARTIFACT, {"name": "not told"})
        claimed.log.add_progress({"done": 1, "total": 2, "unit": "", "message": ""})
        claimed.log.number()
        await started(engine, claimed)
        await end(engine.runtime, claimed)
        for watch in watches:
            await watch.saw(claimed.task.id, S.QUEUED, S.RUNNING, S.SUCCEEDED)
            assert watch.events == [(claimed.task.id, seq) for seq in (1, 2, 5, 6)]
            assert watch.tasks == 0

    async def test_a_change_comes_where_the_task_matches_before_or_after_it(
        self, engine: Engine, servers: Servers
    ):
        worker = await engine.worker()
        running = await servers.watch(1, "state = RUNNING").start()
        labelled = await servers.watch(1, "labels.who = ann AND project = default").start()
        other = await servers.watch(1, "labels.who = bob").start()
        everything = await servers.watch().start()
        claimed = await engine.claimed(worker, labels={"who": "ann"})
        await started(engine, claimed)
        await end(engine.runtime, claimed)
        await everything.saw(claimed.task.id, S.QUEUED, S.RUNNING, S.SUCCEEDED)
        await labelled.saw(claimed.task.id, S.QUEUED, S.RUNNING, S.SUCCEEDED)
        await running.saw(claimed.task.id, S.RUNNING, S.SUCCEEDED)
        assert other.states == {}

    async def test_children_of_a_task(self, engine: Engine, servers: Servers):
        await engine.worker()
        parent = (await engine.submit()).task
        watch = await servers.watch(1, f'parent_task_id = "{parent.id}"').start()
        child = (await engine.submit(parent_id=parent.id)).task
        await engine.submit()
        await watch.saw(child.id, S.QUEUED)
        await engine.runtime.stopping.cancel(engine.caller, parent.id, "", None)
        await watch.saw(child.id, S.QUEUED, S.CANCELLED)
        assert list(watch.states) == [child.id]

    async def test_changed_labels_bring_the_task_to_those_who_watch_them(
        self, engine: Engine, servers: Servers
    ):
        watches = [await servers.watch(1, f"labels.who = {name}").start() for name in ("ann", "bob")]
        await engine.worker()
        task = (await engine.submit(labels={"who": "ann"})).task
        await watches[0].saw(task.id, S.QUEUED)
        wanted = Revision(frozenset({"spec.labels"}), labels={"who": "bob"})
        await Revising(engine.runtime.db, engine.runtime.promotion).update(engine.caller, task.id, wanted)
        await watches[1].saw(task.id, S.QUEUED)
        await watches[0].until(lambda watch: watch.tasks == 1)

    async def test_p13_only_what_the_caller_may_read_at_that_moment(self, engine: Engine, servers: Servers):
        await engine.worker()
        watch = await servers.watch(1, caller=person(other={"tasks.read"})).start(snapshot=True)
        hidden = (await engine.submit()).task
        seen_by_all = await servers.watch().start()
        marker = (await engine.submit()).task
        await seen_by_all.saw(marker.id, S.QUEUED)
        watch.caller = person(default={"tasks.read"})
        shown = (await engine.submit()).task
        await watch.saw(shown.id, S.QUEUED)
        assert hidden.id not in watch.states
        watch.caller = person(other={"tasks.read"})
        last = (await engine.submit()).task
        await seen_by_all.saw(last.id, S.QUEUED)
        assert set(watch.states) <= {shown.id, marker.id}


class TestSnapshot:
    async def test_has_what_has_not_ended_and_news_follow(self, engine: Engine, servers: Servers):
        worker = await engine.worker()
        ended, runs = await engine.claimed(worker), await engine.claimed(worker)
        await end(engine.runtime, ended)
        waits = (await engine.submit()).task
        watch = await servers.watch().start(snapshot=True)
        await watch.until(lambda watch: watch.batches[-1].since is not None)
        assert watch.states == {waits.id: [S.QUEUED], runs.task.id: [S.RUNNING]}
        counts = [each.snapshot_count for each in watch.batches if each.snapshot_count is not None]
        assert counts == [2]
        await end(engine.runtime, runs)
        await watch.saw(runs.task.id, S.RUNNING, S.SUCCEEDED)

    async def test_is_filtered(self, engine: Engine, servers: Servers):
        worker = await engine.worker()
        runs = await engine.claimed(worker, labels={"who": "ann"})
        await engine.claimed(worker)
        await engine.submit(labels={"who": "ann"})
        watch = await servers.watch(1, "state = RUNNING AND labels.who = ann").start(snapshot=True)
        await watch.until(lambda watch: watch.batches[-1].since is not None)
        assert watch.states == {runs.task.id: [S.RUNNING]}

    async def test_what_changes_while_it_is_read_is_not_lost(self, engine: Engine, servers: Servers):
        worker = await engine.worker()
        held = [await engine.claimed(worker) for _ in range(40)]
        watch = servers.watch()
        ending = [end(engine.runtime, each) for each in held]
        await asyncio.gather(watch.start(snapshot=True), *ending)
        for each in held:
            await watch.until(lambda watch, each=each: S.SUCCEEDED in watch.states.get(each.task.id, []))


class TestLostNotices:
    async def test_p05_the_end_comes_though_its_notice_was_lost(self, engine: Engine, servers: Servers):
        claimed = await engine.claimed(await engine.worker())
        watch = await servers.watch().start(snapshot=True)
        # Under another prefix nobody hears of it: as if the worker had died right after its commit.
        unheard = await engine.another(redis_prefix="elsewhere:")
        await end(unheard, claimed)
        await watch.saw(claimed.task.id, S.RUNNING, S.SUCCEEDED)
        assert watch.tasks == 2

    async def test_p05_so_does_a_task_whose_submit_was_not_told(self, engine: Engine, servers: Servers):
        await engine.worker()
        watch = await servers.watch(1, "state = QUEUED").start()
        kind = await engine.runtime.tasks.newest_type("probe.echo")
        unheard = await engine.another(redis_prefix="elsewhere:")
        new = NewTask("default", "probe.echo", {"text": "hi"})
        task = (await unheard.tasks.submit(engine.caller, new, kind)).task
        await watch.saw(task.id, S.QUEUED)

    async def test_p05_a_watcher_of_one_state_learns_that_it_was_left(self, engine: Engine, servers: Servers):
        worker = await engine.worker()
        watch = await servers.watch(1, "state = RUNNING").start()
        claimed = await engine.claimed(worker)
        await started(engine, claimed)
        await watch.saw(claimed.task.id, S.RUNNING)
        unheard = await engine.another(redis_prefix="elsewhere:")
        await end(unheard, claimed)
        await watch.saw(claimed.task.id, S.RUNNING, S.SUCCEEDED)

    async def test_p05_a_lost_subscription_and_a_flushed_redis_leave_nothing_unknown(
        self, engine: Engine, servers: Servers, redis_url: str
    ):
        worker = await engine.worker()
        watch = await servers.watch().start()
        held = [await engine.claimed(worker) for _ in range(5)]
        async with Redis.from_url(redis_url) as redis:
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await redis.flushdb()
            for each in held:
                await end(engine.runtime, each)
        for each in held:
            await watch.until(lambda watch, each=each: watch.states.get(each.task.id, [0])[-1] is S.SUCCEEDED)


class TestResume:
    async def test_p05_on_another_server_all_comes_that_changed_meanwhile(
        self, engine: Engine, servers: Servers
    ):
        worker = await engine.worker()
        watch = await servers.watch(0, "state = RUNNING").start()
        held = [await engine.claimed(worker) for _ in range(3)]
        for each in held:
            await started(engine, each)
            await watch.until(lambda watch, each=each: each.task.id in watch.states)
        await watch.stop()
        for each in held:
            await end(engine.runtime, each)
        watch.server = servers[1]
        await watch.start()
        for each in held:
            await watch.saw(each.task.id, S.RUNNING, S.SUCCEEDED)

    async def test_p05_a_removed_task_ends_what_can_not_have_heard_of_it(
        self, engine: Engine, servers: Servers
    ):
        worker = await engine.worker()
        claimed = await engine.claimed(worker)
        watch = await servers.watch(0).start()
        await watch.stop()
        await end(engine.runtime, claimed)
        await engine.runtime.db.write(lambda tx: repository.remove(tx, [claimed.task.id]))
        watch.server = servers[1]
        await watch.start()
        with pytest.raises(PositionExpired, match="snapshot"):
            await watch.stop()

    async def test_an_older_removal_does_not(self, engine: Engine, servers: Servers):
        worker = await engine.worker()
        claimed = await engine.claimed(worker)
        await end(engine.runtime, claimed)
        old = update(task_table).where(task_table.c.id == claimed.task.id).values(change_time=1)
        await engine.runtime.db.write(lambda tx: tx.execute(old))
        await engine.runtime.db.write(lambda tx: repository.remove(tx, [claimed.task.id]))
        watch = await servers.watch(0).start()
        await watch.stop()
        await watch.start()
        task = (await engine.submit()).task
        await watch.saw(task.id, S.QUEUED)


class TestSlow:
    async def test_p05_who_does_not_read_is_told_how_things_are_once_he_does(
        self, engine: Engine, servers: Servers, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(news, "_MOST", 50)
        worker = await engine.worker()
        stream = servers[1].feed.watch(selection(""), lambda: engine.caller, None, snapshot=False)
        await anext(stream)
        fast = await servers.watch().start()
        held = [await engine.claimed(worker) for _ in range(30)]
        await engine.runtime.execution.send([each.log for each in held])
        for each in held:
            await end(engine.runtime, each)
        await fast.until(
            lambda watch: all(watch.states.get(each.task.id, [0])[-1] is S.SUCCEEDED for each in held)
        )
        last: dict[UUID, TaskState] = {}
        came = 0
        async with asyncio.timeout(SECONDS):
            while any(last.get(each.task.id) is not S.SUCCEEDED for each in held):
                batch = await anext(stream)
                came += len(batch.tasks)
                last |= {task.id: task.state for task in batch.tasks}
                last |= {each.task_id: TaskState(each.event.body["to"]) for each in batch.events}
        await stream.aclose()
        assert came >= len(held)


async def test_p05_random_ends_reconnects_and_lost_notices_leave_every_watcher_right(
    engine: Engine, servers: Servers
):
    """Whatever was lost on the way, the last word about each task is what the database says."""
    dice = random.Random(7)
    worker = await engine.worker()
    unheard = await engine.another(redis_prefix="elsewhere:")
    watches = [await servers.watch(number % 2).start(snapshot=True) for number in range(6)]
    ended: list[UUID] = []
    for _ in range(15):
        claimed = await engine.claimed(worker)
        if dice.random() < 0.7:
            await started(engine, claimed)
        await end(dice.choice([engine.runtime, unheard]), claimed)
        ended.append(claimed.task.id)
        watch = dice.choice(watches)
        await watch.stop()
        watch.server = dice.choice(servers)
        await watch.start(snapshot=watch.since is None)
    for watch in watches:
        await watch.until(
            lambda watch: all(watch.states.get(task_id, [S.NONE])[-1] is S.SUCCEEDED for task_id in ended)
        )

"""What waits: for room at a gate, for other tasks, for a time; and what ends its waiting."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.engine import Engine, person
from weir_core.errors import NotFound, QuotaExceeded, StateConflict
from weir_core.tasks import gate_repository
from weir_core.tasks.execution import Claimed
from weir_core.tasks.gates import Gate, queue_gate, type_gate
from weir_core.tasks.models import Concurrency, Dependency, Failure
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.states import Condition, FailureKind, OnConflict, Priority, TaskState
from weir_core.tasks.submitting import NewTask
from weir_core.users import repository as users


@pytest.fixture(autouse=True)
async def worker(engine: Engine) -> UUID:
    return await engine.worker()


async def limit(engine: Engine, name: str, **values: Any) -> None:
    await engine.runtime.db.write(lambda tx: gate_repository.put(tx, name, values))


async def gate(engine: Engine, name: str) -> Gate | None:
    async with engine.runtime.db.read() as tx:
        return (await gate_repository.get(tx, [name])).get(name)


async def state(engine: Engine, task_id: UUID) -> TaskState:
    return (await engine.get(task_id)).state


async def claim(engine: Engine, worker: UUID, *task_ids: UUID) -> list[Claimed]:
    return await engine.runtime.execution.claim(list(task_ids), worker, {"probe.echo": 1})


async def end(engine: Engine, claimed: Claimed, kind: FailureKind | None = None) -> None:
    ended = Ended(output={}) if kind is None else Ended(failure=Failure(kind, "it broke"))
    await engine.runtime.execution.finish(claimed.log, ended)


class TestGates:
    @pytest.mark.parametrize("name", [queue_gate("default"), type_gate("probe.echo")])
    async def test_as_many_as_the_limit_are_let_in_and_each_end_lets_one_more_in(
        self, engine: Engine, worker: UUID, name: str
    ):
        await limit(engine, name, max_running=2)
        tasks = [(await engine.submit(str(number))).task for number in range(4)]
        assert [task.state.name for task in tasks] == ["QUEUED", "QUEUED", "PENDING", "PENDING"]
        for turn, each in enumerate(await claim(engine, worker, *(task.id for task in tasks))):
            await end(engine, each)
            assert await state(engine, tasks[2 + turn].id) is TaskState.QUEUED
        found = await gate(engine, name)
        assert found is not None
        assert (found.running, found.waiting) == (2, 0)

    async def test_the_urgent_come_first_then_the_oldest(self, engine: Engine, worker: UUID):
        await limit(engine, queue_gate("default"), max_running=1)
        first = (await engine.submit()).task
        low = (await engine.submit(priority=Priority.LOW)).task
        usual = [(await engine.submit()).task for _ in range(2)]
        high = (await engine.submit(priority=Priority.HIGH)).task
        order: list[UUID] = []
        current = first
        for _ in range(4):
            (claimed,) = await claim(engine, worker, current.id)
            await end(engine, claimed)
            states = {task.id: await state(engine, task.id) for task in (low, *usual, high)}
            (let_in,) = [id_ for id_, found in states.items() if found is TaskState.QUEUED]
            order.append(let_in)
            current = await engine.get(let_in)
        assert order == [high.id, usual[0].id, usual[1].id, low.id]

    async def test_starts_a_minute_are_counted(self, engine: Engine):
        await limit(engine, queue_gate("default"), max_per_minute=2)
        states = [(await engine.submit()).task.state.name for _ in range(3)]
        assert states in (["QUEUED", "QUEUED", "PENDING"], ["QUEUED"] * 3)  # a minute may turn between

    async def test_a_paused_queue_lets_nobody_in_and_none_of_its_tasks_is_claimed(
        self, engine: Engine, worker: UUID
    ):
        before = (await engine.submit()).task
        await limit(engine, queue_gate("default"), paused=True)
        after = (await engine.submit()).task
        assert after.state is TaskState.PENDING
        assert await claim(engine, worker, before.id) == []
        await limit(engine, queue_gate("default"), paused=False)
        await engine.runtime.promotion.open_gates()
        assert await state(engine, after.id) is TaskState.QUEUED
        assert len(await claim(engine, worker, before.id)) == 1

    async def test_a_retry_gives_its_place_back_while_it_waits(self, engine: Engine, worker: UUID):
        await limit(engine, queue_gate("default"), max_running=1)
        first, second = [(await engine.submit()).task for _ in range(2)]
        (claimed,) = await claim(engine, worker, first.id)
        await end(engine, claimed, FailureKind.RETRYABLE)
        assert await state(engine, second.id) is TaskState.QUEUED

    async def test_a_cancelled_one_that_waited_is_counted_no_more(self, engine: Engine):
        name = queue_gate("default")
        await limit(engine, name, max_running=1)
        _, waiting = [(await engine.submit()).task for _ in range(2)]
        await engine.runtime.stopping.cancel(engine.caller, waiting.id, "", None)
        found = await gate(engine, name)
        assert found is not None
        assert (found.running, found.waiting) == (1, 0)

    async def test_many_at_once_never_pass_the_limit(self, engine: Engine, worker: UUID):
        await limit(engine, queue_gate("default"), max_running=3)
        tasks = [made.task for made in await asyncio.gather(*(engine.submit() for _ in range(12)))]
        ended = 0
        while ended < len(tasks):
            states = [await state(engine, task.id) for task in tasks]
            assert sum(each in {TaskState.QUEUED, TaskState.RUNNING} for each in states) <= 3
            claimed = await claim(engine, worker, *(task.id for task in tasks))
            await asyncio.gather(*(end(engine, each) for each in claimed))
            ended += len(claimed)
            await engine.runtime.promotion.open_gates()


class TestConcurrency:
    async def test_a_key_is_held_over_retries_and_left_at_the_end(self, engine: Engine, worker: UUID):
        key = Concurrency("erp", 1)
        first, second = [(await engine.submit(concurrency=key)).task for _ in range(2)]
        (claimed,) = await claim(engine, worker, first.id)
        await end(engine, claimed, FailureKind.RETRYABLE)
        assert await state(engine, second.id) is TaskState.PENDING
        await engine.runtime.stopping.cancel(engine.caller, first.id, "", None)
        assert await state(engine, second.id) is TaskState.QUEUED
        (claimed,) = await claim(engine, worker, second.id)
        await end(engine, claimed)
        assert await gate(engine, "key/default/erp") is None

    async def test_reject_names_the_holder(self, engine: Engine):
        holder = (await engine.submit(concurrency=Concurrency("erp", 1))).task
        with pytest.raises(QuotaExceeded, match=f"key 'erp' is held by task {holder.id}"):
            await engine.submit(concurrency=Concurrency("erp", 1, OnConflict.REJECT))

    @pytest.mark.parametrize("policy", [OnConflict.REJECT, OnConflict.JOIN, OnConflict.REPLACE])
    async def test_p08_a_request_that_is_repeated_does_not_meet_its_own_task(
        self, engine: Engine, policy: OnConflict
    ):
        wanted = Concurrency("erp", 1, policy)
        first = await engine.submit(request_id="r1", concurrency=wanted)
        again = await engine.submit(request_id="r1", concurrency=wanted)
        await engine.runtime.stopping.carry_out()
        assert (again.task.id, again.created) == (first.task.id, False)
        assert await state(engine, first.task.id) is TaskState.QUEUED

    async def test_join_answers_with_the_holder(self, engine: Engine):
        holder = (await engine.submit(concurrency=Concurrency("erp", 1))).task
        joined = await engine.submit(concurrency=Concurrency("erp", 1, OnConflict.JOIN))
        assert (joined.task.id, joined.created) == (holder.id, False)

    async def test_replace_cancels_the_holder_and_comes_after_it(self, engine: Engine, worker: UUID):
        holder = (await engine.submit(concurrency=Concurrency("erp", 1))).task
        (claimed,) = await claim(engine, worker, holder.id)
        heir = (await engine.submit(concurrency=Concurrency("erp", 1, OnConflict.REPLACE))).task
        await engine.runtime.stopping.carry_out()
        assert (await state(engine, holder.id), heir.state) == (TaskState.CANCELLING, TaskState.PENDING)
        await end(engine, claimed, FailureKind.CANCELLED)
        assert await state(engine, holder.id) is TaskState.CANCELLED
        assert await state(engine, heir.id) is TaskState.QUEUED

    async def test_keys_are_a_projects_own(self, engine: Engine):
        await engine.runtime.db.write(lambda tx: users.add_project(tx, "other"))
        await engine.submit(concurrency=Concurrency("erp", 1))
        kind = await engine.runtime.tasks.newest_type("probe.echo")
        other = NewTask("other", "probe.echo", {"text": ""}, concurrency=Concurrency("erp", 1))
        assert (await engine.runtime.tasks.submit(engine.caller, other, kind)).task.state is TaskState.QUEUED


class TestDependencies:
    async def test_waits_until_all_have_ended_well(self, engine: Engine, worker: UUID):
        first, second = [(await engine.submit()).task for _ in range(2)]
        after = (await engine.submit(depends_on=[Dependency(first.id), Dependency(second.id)])).task
        assert after.state is TaskState.PENDING
        claimed = await claim(engine, worker, first.id, second.id)
        await end(engine, claimed[0])
        assert await state(engine, after.id) is TaskState.PENDING
        await end(engine, claimed[1])
        assert await state(engine, after.id) is TaskState.QUEUED

    async def test_fails_unstarted_with_what_it_needed_and_so_does_what_needs_it(
        self, engine: Engine, worker: UUID
    ):
        first = (await engine.submit()).task
        second = (await engine.submit(depends_on=[Dependency(first.id)])).task
        third = (await engine.submit(depends_on=[Dependency(second.id)])).task
        (claimed,) = await claim(engine, worker, first.id)
        await end(engine, claimed, FailureKind.USER_ERROR)
        for task in (second, third):
            failure = (await engine.get(task.id)).failure
            assert failure is not None
            assert (failure.kind, await state(engine, task.id)) == (FailureKind.UPSTREAM, TaskState.FAILED)

    async def test_ended_in_whatever_way_suffices_where_it_is_asked_for(self, engine: Engine, worker: UUID):
        first = (await engine.submit()).task
        after = (await engine.submit(depends_on=[Dependency(first.id, Condition.ENDED)])).task
        await engine.runtime.stopping.cancel(engine.caller, first.id, "", None)
        assert await state(engine, after.id) is TaskState.QUEUED

    async def test_what_has_ended_before_is_not_waited_for(self, engine: Engine, worker: UUID):
        first = (await engine.submit()).task
        (claimed,) = await claim(engine, worker, first.id)
        await end(engine, claimed)
        assert (await engine.submit(depends_on=[Dependency(first.id)])).task.state is TaskState.QUEUED
        failed = (await engine.submit()).task
        (claimed,) = await claim(engine, worker, failed.id)
        await end(engine, claimed, FailureKind.USER_ERROR)
        after = (await engine.submit(depends_on=[Dependency(failed.id)])).task
        assert await state(engine, after.id) is TaskState.FAILED

    async def test_the_start_time_is_kept_too(self, engine: Engine, worker: UUID):
        first = (await engine.submit()).task
        later = datetime.now(UTC) + timedelta(hours=1)
        after = (await engine.submit(depends_on=[Dependency(first.id)], start_after=later)).task
        (claimed,) = await claim(engine, worker, first.id)
        await end(engine, claimed)
        assert await state(engine, after.id) is TaskState.PENDING

    async def test_p13_a_task_out_of_sight_can_not_be_depended_on(self, engine: Engine):
        hidden = (await engine.submit()).task
        engine.caller = person(default={"tasks.submit"})
        with pytest.raises(NotFound):
            await engine.submit(depends_on=[Dependency(hidden.id)])

    async def test_ends_and_submits_at_once_leave_nobody_waiting(self, engine: Engine, worker: UUID):
        for _ in range(5):
            first = (await engine.submit()).task
            (claimed,) = await claim(engine, worker, first.id)
            made, _ = await asyncio.gather(
                engine.submit(depends_on=[Dependency(first.id)]), end(engine, claimed)
            )
            await engine.runtime.promotion.settle()
            assert await state(engine, made.task.id) is TaskState.QUEUED


class TestChildren:
    async def test_are_cancelled_with_their_parent_all_the_way_down(self, engine: Engine, worker: UUID):
        parent = (await engine.submit()).task
        await claim(engine, worker, parent.id)
        child = (await engine.submit(parent_id=parent.id)).task
        grandchild = (await engine.submit(parent_id=child.id)).task
        await engine.runtime.stopping.cancel(engine.caller, parent.id, "enough", None)
        while await engine.runtime.stopping.carry_out():
            pass
        assert await state(engine, parent.id) is TaskState.CANCELLING
        for task in (child, grandchild):
            found = await engine.get(task.id)
            assert found.state is TaskState.CANCELLED
            assert found.cancellation is not None
            assert found.cancellation.reason == "enough"

    async def test_an_ended_task_gets_none(self, engine: Engine):
        parent = (await engine.submit()).task
        await engine.runtime.stopping.cancel(engine.caller, parent.id, "", None)
        with pytest.raises(StateConflict, match="has ended CANCELLED"):
            await engine.submit(parent_id=parent.id)


class TestDeadline:
    async def test_what_waits_beyond_it_fails(self, engine: Engine, worker: UUID):
        first = (await engine.submit()).task
        soon = datetime.now(UTC) + timedelta(milliseconds=200)
        task = (await engine.submit(deadline=soon, depends_on=[Dependency(first.id)])).task
        async with asyncio.timeout(10):
            while await state(engine, task.id) is TaskState.PENDING:
                await engine.runtime.promotion.overdue()
        failure = (await engine.get(task.id)).failure
        assert failure is not None
        assert (failure.kind, failure.code) == (FailureKind.TIMEOUT, "timeout.deadline")

    async def test_no_retry_that_would_come_after_it(self, engine: Engine, worker: UUID):
        task = (await engine.submit(deadline=datetime.now(UTC) + timedelta(minutes=1))).task
        (claimed,) = await claim(engine, worker, task.id)
        failure = Failure(FailureKind.RATE_LIMITED, "slow down", detail={"retry_after": 3600.0})
        await engine.runtime.execution.finish(claimed.log, Ended(failure=failure))
        found = await engine.get(task.id)
        assert found.failure is not None
        assert (found.state, found.failure.message) == (TaskState.FAILED, "slow down")


class TestRetention:
    async def test_what_was_kept_long_enough_goes_with_all_that_belongs_to_it(
        self, engine: Engine, worker: UUID
    ):
        kept, task = [
            (await engine.submit(labels={"team": "data"}, retention=timedelta(milliseconds=each))).task
            for each in (10**9, 1)
        ]
        for each in await claim(engine, worker, kept.id, task.id):
            await end(engine, each)
        async with asyncio.timeout(10):
            while not await engine.runtime.sweeper.remove_expired():
                await asyncio.sleep(0.05)
        with pytest.raises(NotFound):
            await engine.get(task.id)
        assert await state(engine, kept.id) is TaskState.SUCCEEDED

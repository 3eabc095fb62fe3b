"""What schedulers do with schedules, on both databases; the processes have tests of their own."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.fixtures.scheduling import EVERY_MINUTE, EVERY_SECOND, Times
from weir_core.paging import Page
from weir_core.schedules import repository
from weir_core.schedules.models import FireResult, MissedPolicy, OverlapPolicy
from weir_core.schedules.times import Timing
from weir_core.tasks.models import Concurrency, Limits, RetryPolicy
from weir_core.tasks.states import FailureKind, OnConflict, Priority, TaskState

FIRED, OVERLAP, MISSED, REFUSED = FireResult
SKIP, ALLOW, QUEUE_ONE, CANCEL_RUNNING = OverlapPolicy
ALL, LAST = MissedPolicy.ALL, MissedPolicy.LAST
SECONDS = 60


class TestFire:
    async def test_makes_a_task_of_its_fire_time_in_the_savers_name(self, times: Times):
        given = {"text": "from {last_fire_time} to {fire_time}", "items": []}
        made = await times.create(input=given, overlap=ALLOW, missed=ALL)
        first, second = await times.back(made, 2)
        await times.sweep()
        fires = await times.fires(made)
        assert [(each.fire_time, each.result) for each in fires] == [(first, FIRED), (second, FIRED)]
        task = await times.task(fires[1])
        assert (task.schedule_id, task.fire_time, task.type) == (made.id, second, "probe.echo")
        assert (task.creator, task.state) == (times.caller.principal, TaskState.QUEUED)
        shown = [each.isoformat().replace("+00:00", "Z") for each in (first, second)]
        assert task.input == {"text": f"from {shown[0]} to {shown[1]}", "items": []}
        assert (await times.task(fires[0])).input == {"text": f"from  to {shown[0]}", "items": []}

    async def test_goes_on_at_the_next_time(self, times: Times):
        made = await times.create()
        (passed,) = await times.back(made)
        await times.sweep()
        found = await times.get(made)
        assert found.next_fires[0] == passed + timedelta(hours=1)
        assert {later - earlier for earlier, later in pairwise(found.next_fires)} == {timedelta(hours=1)}
        await times.sweep()
        assert len(await times.fires(made)) == 1

    async def test_once_is_done_then(self, times: Times):
        made = await times.create(timing=Timing(once=datetime.now(UTC) + timedelta(seconds=1)))
        async with asyncio.timeout(SECONDS):
            while not (fires := await times.fires(made)):
                await times.sweep()
                await asyncio.sleep(0.05)
        assert [each.fire_time for each in fires] == [made.next_fire]
        await times.end(fires[0])
        await times.sweep()
        assert (await times.get(made)).next_fires == []

    async def test_whatever_a_task_may_be_asked_for_is_kept(self, times: Times):
        deadline = datetime.now(UTC) + timedelta(hours=3)
        limits = Limits(
            attempt=timedelta(seconds=90), retry=RetryPolicy(kinds=frozenset({FailureKind.TIMEOUT}))
        )
        more: dict[str, Any] = {"queue": "slow", "priority": Priority.HIGH, "deadline": deadline}
        more |= {"limits": limits, "labels": {"team": "data"}, "retention": timedelta(days=2)}
        made = await times.create(more=more)
        await times.back(made)
        await times.sweep()
        task = await times.task((await times.fires(made))[0])
        assert {name: getattr(task, name) for name in more} == more

    async def test_a_task_that_it_would_only_join_is_none_of_its_own(self, times: Times):
        made = await times.create(more={"concurrency": Concurrency("erp", 1, OnConflict.JOIN)}, overlap=ALLOW)
        trigger = times.runtime.scheduling.trigger
        (first,), (second,) = [await trigger.trigger(times.caller, made.id, None) for _ in range(2)]
        assert (first.result, second.result, second.task_id) == (FIRED, OVERLAP, None)
        assert str(first.task_id) in second.message

    async def test_jitter_delays_it(self, times: Times):
        timing = Timing(interval=timedelta(hours=2), jitter=timedelta(hours=1))
        made = await times.create(timing=timing)
        await times.sweep()
        assert await times.fires(made) == []
        wait = await times.runtime.scheduling.firing.until_next()
        assert wait is not None
        assert timedelta(hours=2) - timedelta(minutes=1) < wait < timedelta(hours=3)

    async def test_p06_many_schedulers_at_once_make_one_task_a_fire_time(self, times: Times):
        made = [
            await times.create(f"tick-{n}", EVERY_SECOND, overlap=ALLOW, missed=ALL, max_catch_up=1000)
            for n in range(4)
        ]
        come = {each.id: set(await times.back(each, 30)) for each in made}
        others = [await times.engine.another() for _ in range(3)]
        sweeping = [parts.scheduling.firing.sweep() for parts in (times.runtime, *others) for _ in range(2)]
        await asyncio.gather(*sweeping)
        await times.sweep()
        tasks = await times.runtime.tasks.list_tasks(times.admin, Page(1000), "")
        fired = [(task.schedule_id, task.fire_time) for task in tasks]
        assert len(fired) == len(set(fired))
        for each in made:
            assert come[each.id] <= {time for owner, time in fired if owner == each.id}

    async def test_p13_of_a_disabled_user_it_is_refused_and_told(self, times: Times):
        made = await times.create()
        for disabled, result in ((1, REFUSED), (0, FIRED)):
            await times.run_sql(f"UPDATE user SET disabled = {disabled} WHERE name = 'eda'")
            await times.back(made)
            await times.sweep()
            fire = (await times.fires(made))[-1]
            assert (fire.result, "'eda'" in fire.message) == (result, disabled == 1)
            assert (fire.task_id is None) == bool(disabled)

    async def test_p13_it_has_the_rights_of_now(self, times: Times):
        made = await times.create()
        await times.run_sql("UPDATE role_binding SET role = 'viewer' WHERE role = 'editor'")
        await times.back(made)
        await times.sweep()
        (refused,) = await times.fires(made)
        assert refused.result is REFUSED
        assert "tasks.submit" in refused.message

    async def test_p13_saved_with_a_key_it_has_that_ones_bindings_after_its_end_too(self, times: Times):
        holder = times.caller
        assert holder.principal.id
        for role, result in (("editor", FIRED), ("viewer", REFUSED)):
            times.caller, key_id = await times.key(holder, "editor")
            made = await times.create(role)
            assert made.run_as.api_key_id == key_id
            await times.run_sql(f"UPDATE role_binding SET role = '{role}' WHERE owner_id = X'{key_id.hex}'")
            await times.runtime.people.api_keys.revoke(holder.principal.id, key_id)
            await times.back(made)
            await times.sweep()
            assert [each.result for each in await times.fires(made)] == [result]


class TestMissed:
    """Ten minutes without a scheduler."""

    async def test_p06_all_of_them_are_made_up_for(self, times: Times):
        made = await times.create(timing=EVERY_MINUTE, missed=ALL, overlap=ALLOW)
        come = await times.back(made, 10)
        await times.sweep()
        assert [(each.fire_time, each.result) for each in await times.fires(made)] == [
            (time, FIRED) for time in come
        ]

    async def test_p06_all_up_to_a_number_the_oldest_are_dropped(self, times: Times):
        made = await times.create(timing=EVERY_MINUTE, missed=ALL, max_catch_up=3, overlap=ALLOW)
        come = await times.back(made, 10)
        await times.sweep()
        missed, *fired = await times.fires(made)
        assert (missed.result, missed.fire_time, missed.count) == (MISSED, come[0], 7)
        assert [each.fire_time for each in fired] == come[-3:]

    async def test_p06_the_last_is_fired_once(self, times: Times):
        made = await times.create(timing=EVERY_MINUTE, missed=LAST, overlap=ALLOW)
        come = await times.back(made, 10)
        await times.sweep()
        missed, fired = await times.fires(made)
        assert (missed.result, missed.fire_time, missed.count) == (MISSED, come[0], 9)
        assert (fired.result, fired.fire_time) == (FIRED, come[-1])

    async def test_p06_none_is_fired_but_what_comes_now(self, times: Times):
        made = await times.create(missed=MissedPolicy.SKIP)
        come = await times.back(made, 3, ago=60)
        await times.sweep()
        (missed,) = await times.fires(made)
        assert (missed.result, missed.fire_time, missed.count) == (MISSED, come[0], 3)
        assert "SKIP" in missed.message
        *_, now = await times.back(made, 3)
        await times.sweep()
        missed, fired = await times.fires(made)
        assert (missed.count, fired.result, fired.fire_time) == (5, FIRED, now)

    async def test_very_many_are_counted_in_portions(self, times: Times):
        made = await times.create(timing=EVERY_SECOND, missed=LAST, overlap=ALLOW)
        come = await times.back(made, 25_000)
        async with asyncio.timeout(SECONDS):
            while not (fired := await times.fires(made, FIRED)):
                await times.sweep()
        (missed,) = await times.fires(made, MISSED)
        assert missed.fire_time == come[0]
        assert fired[0].fire_time == come[0] + missed.count * timedelta(seconds=1)
        assert missed.count >= len(come) - 1

    async def test_a_long_catch_up_goes_on_over_several_transactions(self, times: Times):
        made = await times.create(missed=ALL, max_catch_up=120, overlap=ALLOW)
        come = await times.back(made, 120)
        async with asyncio.timeout(SECONDS):
            while (found := await times.get(made)).next_fire is None or found.next_fire <= come[-1]:
                await times.sweep()
        tasks = await times.runtime.tasks.list_tasks(times.admin, Page(1000), f'schedule_id = "{made.id}"')
        assert sorted(str(task.fire_time) for task in tasks) == [str(time) for time in come]


class TestOverlap:
    async def test_skip_fires_only_when_the_earlier_task_has_ended(self, times: Times):
        made = await times.create(missed=ALL)
        come = await times.back(made, 2)
        await times.sweep()
        first, second = await times.fires(made)
        assert (first.result, second.result, second.fire_time) == (FIRED, OVERLAP, come[1])
        assert str(first.task_id) in second.message
        await times.end(first)
        await times.back(made, ago=0)
        await times.sweep()
        assert (await times.fires(made))[-1].result is FIRED

    async def test_queue_one_holds_one_back_and_drops_others(self, times: Times):
        made = await times.create(overlap=QUEUE_ONE, missed=ALL)
        come = await times.back(made, 3)
        await times.sweep()
        fires = await times.fires(made)
        assert [(each.fire_time, each.result) for each in fires] == [(come[0], FIRED), (come[2], OVERLAP)]
        await times.sweep()
        assert len(await times.fires(made)) == 2
        await times.end(fires[0])
        await times.sweep()
        assert [each.fire_time for each in await times.fires(made, FIRED)] == come[:2]
        assert (await times.get(made)).held_fire is None

    async def test_cancel_running_fires_once_the_earlier_task_has_stopped(self, times: Times):
        made = await times.create(overlap=CANCEL_RUNNING)
        (first,) = await times.runtime.scheduling.trigger.trigger(times.caller, made.id, None)
        worker = await times.engine.worker()
        assert first.task_id
        assert await times.runtime.execution.claim([first.task_id], worker, {"probe.echo": 1})
        (come,) = await times.back(made)
        await times.sweep()
        going = await times.task(first)
        assert going.state is TaskState.CANCELLING
        assert going.cancellation
        assert "'tick' fires again" in going.cancellation.reason
        await times.sweep()
        assert await times.fires(made) == [first]
        await times.end(first, TaskState.CANCELLED)
        await times.sweep()
        assert [each.fire_time for each in await times.fires(made, FIRED)] == [first.fire_time, come]

    async def test_cancel_running_leaves_a_task_that_no_worker_had(self, times: Times):
        made = await times.create(overlap=CANCEL_RUNNING, missed=ALL)
        come = await times.back(made, 2)
        await times.sweep()
        await times.sweep()
        first, second = await times.fires(made, FIRED)
        assert [first.fire_time, second.fire_time] == come
        assert (await times.task(first)).state is TaskState.CANCELLED

    async def test_allow_fires_all_the_same(self, times: Times):
        made = await times.create(overlap=ALLOW, missed=ALL)
        await times.back(made, 3)
        await times.sweep()
        assert [each.result for each in await times.fires(made)] == [FIRED] * 3


class TestPauseAfterFailures:
    async def test_so_many_in_a_row_pause_it_and_say_why(self, times: Times):
        made = await times.create(overlap=ALLOW, missed=ALL, pause_after_failures=2)
        await times.back(made, 3)
        await times.sweep()
        first, second, third = await times.fires(made)
        await times.end(first, TaskState.FAILED)
        await times.end(second, TaskState.CANCELLED)
        await times.sweep()
        assert not (await times.get(made)).wanted.paused
        await times.end(third, TaskState.FAILED)
        await times.sweep()
        found = await times.get(made)
        assert (found.wanted.paused, found.next_fires) == (True, [])
        assert found.wanted.pause_reason == f"2 tasks failed in a row, at last task {third.task_id}: it broke"
        assert found.etag != made.etag
        await times.back(made)
        await times.sweep()
        assert len(await times.fires(made)) == 3

    async def test_a_success_in_between_starts_the_count_anew(self, times: Times):
        made = await times.create(overlap=ALLOW, missed=ALL, pause_after_failures=2)
        await times.back(made, 3)
        await times.sweep()
        states = (TaskState.FAILED, TaskState.SUCCEEDED, TaskState.FAILED)
        for fire, state in zip(await times.fires(made), states, strict=True):
            await times.end(fire, state)
            await times.sweep()
        assert not (await times.get(made)).wanted.paused

    async def test_a_held_fire_is_dropped_and_told(self, times: Times):
        made = await times.create(overlap=QUEUE_ONE, missed=ALL, pause_after_failures=1)
        come = await times.back(made, 2)
        await times.sweep()
        (first,) = await times.fires(made)
        await times.end(first, TaskState.FAILED)
        await times.sweep()
        dropped = (await times.fires(made))[-1]
        assert (dropped.fire_time, dropped.result) == (come[1], OVERLAP)
        assert "paused" in dropped.message

    async def test_after_a_resume_old_failures_do_not_count(self, times: Times):
        made = await times.create(overlap=ALLOW, missed=ALL, pause_after_failures=1)
        await times.back(made, 2)
        await times.sweep()
        first, second = await times.fires(made)
        await times.end(first, TaskState.FAILED)
        await times.sweep()
        assert (await times.get(made)).wanted.paused
        await times.end(second, TaskState.FAILED)
        resumed = await times.change(made, paused=False)
        assert (resumed.wanted.pause_reason, len(resumed.next_fires)) == ("", 5)
        await times.sweep()
        assert not (await times.get(made)).wanted.paused


class TestForget:
    async def test_fires_go_when_ended_tasks_do_and_open_ones_stay(self, times: Times):
        made = await times.create(overlap=ALLOW, missed=ALL)
        await times.back(made, 2)
        await times.sweep()
        first, second = await times.fires(made)
        await times.end(first)
        await times.back(made, ago=0)
        await times.sweep()
        assert not await times.runtime.scheduling.firing.forget()
        assert len(await times.fires(made)) == 3
        # Ids and clocks may differ by a little.
        short = await times.engine.another(task_retention=timedelta(seconds=-5))
        await short.scheduling.firing.forget()
        assert first not in (kept := await times.fires(made))
        assert second in kept


class TestTroubles:
    async def test_one_with_a_defect_does_not_stop_the_others(
        self, times: Times, caplog: pytest.LogCaptureFixture
    ):
        broken, sound = await times.create("broken"), await times.create("sound")
        for each in (broken, sound):
            await times.back(each)
        await times.run_sql("UPDATE schedule SET timing = '{\"cron\": \"no\"}' WHERE name = 'broken'")
        await times.sweep()
        assert [each.result for each in await times.fires(sound)] == [FIRED]
        assert f"schedule {broken.id} could not be fired" in caplog.text

    # On SQLite all writers wait for one another.
    @pytest.mark.parametrize("database_kind", ["mariadb"], indirect=True)
    async def test_a_schedule_that_another_transaction_holds_is_left_to_it(self, times: Times):
        mine, others = await times.create("mine"), await times.create("others")
        await times.back(mine)
        await times.back(others)

        async def hold(tx: AsyncConnection) -> None:
            await repository.lock(tx, others.id)
            await (await times.engine.another()).scheduling.firing.sweep()

        await times.runtime.db.write(hold)
        assert (len(await times.fires(mine)), len(await times.fires(others))) == (1, 0)
        await times.sweep()
        assert len(await times.fires(others)) == 1

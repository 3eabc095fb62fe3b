import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.fixtures.engine import SECRET
from tests.fixtures.scheduling import EVERY_MINUTE, HOURLY, Times
from weir_core.errors import (
    EtagMismatch,
    InvalidArgument,
    NameTaken,
    NotFound,
    PermissionMissing,
    RequestIdReused,
    SchemaMismatch,
)
from weir_core.fleet.models import TaskType
from weir_core.paging import Page
from weir_core.schedules.models import FireResult, MissedPolicy, NewSchedule, OverlapPolicy, Schedule
from weir_core.schedules.service import ScheduleService
from weir_core.schedules.times import Timing
from weir_core.schedules.triggering import Span
from weir_core.tasks.states import TaskState

FIRED, _, MISSED, REFUSED = FireResult
BERLIN = Timing(cron="30 2 * * *", time_zone="Europe/Berlin")


def service(times: Times) -> ScheduleService:
    return times.runtime.scheduling.schedules


async def names(times: Times, filter_text: str = "", page: Page | None = None) -> list[str]:
    found = await service(times).list_schedules(times.caller, page or Page(100), filter_text)
    return [each.wanted.name for each in found]


class TestCreate:
    async def test_it_is_stored_as_described_and_fires_next(self, times: Times):
        made = await times.create(
            timing=BERLIN,
            description="a look",
            missed=MissedPolicy.ALL,
            max_catch_up=3,
            overlap=OverlapPolicy.ALLOW,
            labels={"team": "data"},
        )
        found = await times.get(made)
        assert found == made
        assert found.wanted.timing == BERLIN
        assert (found.creator, found.run_as) == (times.caller.principal, times.caller.principal)
        assert len(found.next_fires) == 5
        assert all(each > datetime.now(UTC) for each in found.next_fires)

    async def test_p08_the_same_request_gives_the_same_schedule(self, times: Times):
        new = times.new()
        kind = await times.runtime.tasks.newest_type("probe.echo")
        asked = [service(times).create(times.caller, new, kind, "content", "r1") for _ in range(4)]
        made = await asyncio.gather(*asked)
        assert len({each.id for each in made}) == 1
        with pytest.raises(RequestIdReused):
            await service(times).create(times.caller, new, kind, "other content", "r1")

    async def test_a_name_is_free_again_after_a_delete(self, times: Times):
        first = await times.create()
        with pytest.raises(NameTaken):
            await times.create()
        await service(times).delete(times.caller, first.id)
        assert (await times.create()).id != first.id

    @pytest.mark.parametrize(
        "timing,field,said",
        [
            (Timing(cron="0 25 * * *"), "schedule.timing.cron", "hour must be"),
            (Timing(cron="0 0 30 2 *"), "schedule.timing", "never fires"),
            (Timing(cron="@daily", time_zone="Mars/Crater"), "schedule.timing.time_zone", "Europe/Berlin"),
            (Timing(cron="@daily", time_zone="../etc/passwd"), "schedule.timing.time_zone", "IANA"),
            (Timing(once=datetime(2020, 1, 1, tzinfo=UTC)), "schedule.timing.once", "in the future"),
            (
                replace(
                    HOURLY,
                    start_time=datetime(2030, 1, 2, tzinfo=UTC),
                    end_time=datetime(2030, 1, 1, tzinfo=UTC),
                ),
                "schedule.timing.end_time",
                "later than start_time",
            ),
            (replace(HOURLY, end_time=datetime(2020, 1, 1, tzinfo=UTC)), "schedule.timing", "never fires"),
            (Timing(once=datetime(9999, 1, 1, tzinfo=UTC)), "schedule.timing.once", "between the years"),
        ],
    )
    async def test_a_timing_that_can_not_be_is_named(
        self, times: Times, timing: Timing, field: str, said: str
    ):
        with pytest.raises(InvalidArgument) as refused:
            await times.create(timing=timing)
        assert [each.field for each in refused.value.violations] == [field]
        assert said in refused.value.violations[0].description

    async def test_an_input_that_does_not_fit_is_named_by_its_place(self, times: Times):
        with pytest.raises(SchemaMismatch) as refused:
            await times.create(input={"text": 5})
        assert [each.field for each in refused.value.violations] == ["schedule.task.input.text"]

    async def test_p13_who_saves_it_must_be_allowed_to_submit(self, times: Times):
        with pytest.raises(PermissionMissing, match=r"containers\.run"):
            await times.create(type=SECRET.name, input={})
        times.caller = await times.user("otto", "operator")
        with pytest.raises(PermissionMissing, match=r"schedules\.write"):
            await times.create()


class TestRead:
    async def test_p13_what_the_caller_may_not_see_looks_absent(self, times: Times):
        made = await times.create()
        times.caller = await times.user("sam", "viewer", "system")
        for asked in (made.id, uuid4()):
            with pytest.raises(NotFound):
                await service(times).get(times.caller, asked)
        assert await names(times) == []

    async def test_by_name_in_pages(self, times: Times):
        made = {name: await times.create(name) for name in ("b", "a", "c")}
        assert await names(times) == ["a", "b", "c"]
        assert await names(times, page=Page(1)) == ["a", "b"]
        assert await names(times, page=Page(5, ["a", str(made["a"].id)])) == ["b", "c"]

    async def test_a_filter_chooses(self, times: Times):
        await times.create("on")
        await times.create("off", paused=True, pause_reason="not yet")
        owner = times.caller.principal.id
        for text, expected in (
            ("paused = true", ["off"]),
            ('name = "on"', ["on"]),
            (f'run_as.id = "{owner}" AND paused = false', ["on"]),
            (f'creator.id != "{owner}"', []),
            ('project = "system"', []),
            ('create_time > "2020-01-01T00:00:00Z"', ["off", "on"]),
        ):
            assert await names(times, text) == expected, text


class TestUpdate:
    async def test_a_pause_stops_it_and_a_resume_goes_on_with_the_next_time(self, times: Times):
        made = await times.create(timing=EVERY_MINUTE, missed=MissedPolicy.ALL)
        await times.back(made, 5)
        paused = await times.change(made, paused=True, pause_reason="holidays")
        assert (paused.wanted.paused, paused.wanted.pause_reason, paused.next_fires) == (True, "holidays", [])
        await times.sweep()
        resumed = await times.change(paused, paused=False)
        await times.sweep()
        assert (resumed.wanted.paused, resumed.wanted.pause_reason) == (False, "")
        assert resumed.next_fires[0] > datetime.now(UTC) - timedelta(seconds=30)
        assert await times.fires(made) == []

    async def test_a_new_timing_holds_from_now_on(self, times: Times):
        made = await times.create(timing=EVERY_MINUTE, missed=MissedPolicy.ALL)
        await times.back(made, 5)
        changed = await times.change(made, timing=BERLIN)
        assert changed.next_fires[0] > datetime.now(UTC)
        await times.sweep()
        assert await times.fires(made) == []

    async def test_other_changes_leave_the_next_fire(self, times: Times):
        made = await times.create()
        await times.back(made)
        await times.change(made, description="new words")
        await times.sweep()
        assert [each.result for each in await times.fires(made)] == [FIRED]

    async def test_it_acts_as_who_saved_it_last(self, times: Times):
        made = await times.create()
        other = await times.user("finn")
        changed = await times.change(made, caller=other, description="mine now")
        assert (changed.creator, changed.run_as) == (times.caller.principal, other.principal)
        await times.back(made)
        await times.sweep()
        (fire,) = await times.fires(made)
        assert (await times.task(fire)).creator == other.principal

    async def test_an_etag_that_is_not_current_is_refused(self, times: Times):
        made = await times.create()
        changed = await times.change(made, made.etag, description="one")
        with pytest.raises(EtagMismatch):
            await times.change(made, made.etag, description="two")
        assert (await times.change(made, changed.etag, description="two")).etag != changed.etag

    async def test_a_fire_does_not_change_the_etag(self, times: Times):
        made = await times.create()
        await times.back(made)
        await times.sweep()
        assert (await times.get(made)).etag == made.etag
        await times.change(made, made.etag, description="still the one I read")

    async def test_changes_at_once_all_come_to_hold(self, times: Times):
        made = await times.create()

        async def label(name: str) -> None:
            async def change(found: Schedule) -> tuple[NewSchedule, TaskType]:
                kind = await times.runtime.tasks.newest_type("probe.echo")
                return replace(found.wanted, labels=found.wanted.labels | {name: "yes"}), kind

            await service(times).update(times.caller, made.id, "", change)

        await asyncio.gather(*(label(name) for name in "abc"))
        assert set((await times.get(made)).wanted.labels) == set("abc")

    async def test_a_fire_that_was_prepared_before_it_is_given_up(self, times: Times):
        made = await times.create()
        await times.back(made)
        firing = times.runtime.scheduling.firing
        await asyncio.gather(firing.sweep(), times.change(made, paused=True))
        await times.sweep()
        found = await times.get(made)
        assert (found.wanted.paused, found.next_fires, len(found.recent_fires) <= 1) == (True, [], True)

    async def test_a_name_of_another_is_refused(self, times: Times):
        await times.create("one")
        two = await times.create("two")
        with pytest.raises(NameTaken):
            await times.change(two, name="one")
        assert (await times.change(two, name="three")).wanted.name == "three"

    async def test_what_does_not_fit_any_more_can_still_be_paused(self, times: Times):
        made = await times.create()
        schema = '{"type": "object", "required": ["other"]}'
        await times.run_sql(f"UPDATE task_type SET input_schema = '{schema}' WHERE name = 'probe.echo'")
        async with asyncio.timeout(5):
            while (await times.runtime.tasks.newest_type("probe.echo")).input_schema.get("required") != [
                "other"
            ]:
                await asyncio.sleep(0.05)
        with pytest.raises(SchemaMismatch):
            await times.change(made, description="as it was")
        assert (await times.change(made, paused=True)).wanted.paused

    async def test_p13_it_needs_the_right_to_write(self, times: Times):
        made = await times.create()
        with pytest.raises(NotFound):
            await times.change(made, caller=await times.user("vera", "viewer"), paused=True)


class TestDelete:
    async def test_it_fires_no_more_and_its_tasks_go_on(self, times: Times):
        made = await times.create()
        await times.back(made)
        await times.sweep()
        (fire,) = await times.fires(made)
        await times.back(made)
        await service(times).delete(times.caller, made.id, made.etag)
        await times.sweep()
        with pytest.raises(NotFound):
            await times.get(made)
        assert (await times.task(fire)).state is TaskState.QUEUED
        tasks = await times.runtime.tasks.list_tasks(times.admin, Page(9), f'schedule_id = "{made.id}"')
        assert len(tasks) == 1

    async def test_twice_is_no_error_and_an_old_etag_is(self, times: Times):
        made = await times.create()
        await times.change(made, description="x")
        with pytest.raises(EtagMismatch):
            await service(times).delete(times.caller, made.id, made.etag)
        for _ in range(2):
            await service(times).delete(times.caller, made.id)
        with pytest.raises(NotFound):
            await service(times).delete(await times.user("vera", "viewer"), made.id)
        with pytest.raises(NotFound):
            await service(times).delete(times.caller, uuid4())


class TestTrigger:
    async def test_now_whatever_the_overlap_policy_says_and_paused_too(self, times: Times):
        made = await times.create(paused=True)
        trigger = times.runtime.scheduling.trigger
        fires = [(await trigger.trigger(times.caller, made.id, None))[0] for _ in range(2)]
        assert [each.result for each in fires] == [FIRED, FIRED]
        assert await times.fires(made) == fires
        assert (await times.task(fires[0])).schedule_id == made.id

    async def test_a_past_span_fires_each_time_once(self, times: Times):
        made = await times.create(missed=MissedPolicy.SKIP)
        come = await times.back(made, 4, ago=60)
        await times.sweep()
        assert [each.result for each in await times.fires(made)] == [MISSED]
        span = Span(come[1], come[3])
        trigger = times.runtime.scheduling.trigger
        fires = await trigger.trigger(times.caller, made.id, span)
        assert [(each.fire_time, each.result) for each in fires] == [(come[1], FIRED), (come[2], FIRED)]
        wider = await trigger.trigger(times.caller, made.id, Span(come[0], come[3]))
        assert [each.fire_time for each in wider] == come[:3]
        assert wider[1:] == fires

    async def test_p06_what_was_triggered_is_not_fired_again(self, times: Times):
        made = await times.create(missed=MissedPolicy.ALL, overlap=OverlapPolicy.ALLOW)
        come = await times.back(made, 3)
        trigger = times.runtime.scheduling.trigger
        await trigger.trigger(times.caller, made.id, Span(come[0], come[2]))
        await times.sweep()
        assert [each.fire_time for each in await times.fires(made)] == come

    async def test_p08_the_same_request_fires_once(self, times: Times):
        made = await times.create()
        trigger = times.runtime.scheduling.trigger
        asked = [trigger.trigger(times.caller, made.id, None, "r1") for _ in range(4)]
        fires = [fire for (fire,) in await asyncio.gather(*asked)]
        assert len({each.id for each in fires}) == 1
        with pytest.raises(RequestIdReused):
            await trigger.trigger(times.caller, (await times.create("other")).id, None, "r1")
        span = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
        with pytest.raises(RequestIdReused):
            await trigger.trigger(times.caller, made.id, span, "r1")

    async def test_a_span_must_be_past_and_not_too_full(self, times: Times):
        made = await times.create(timing=Timing(cron="* * * * *"))
        trigger = times.runtime.scheduling.trigger
        now = datetime.now(UTC)
        for span, field in (
            (Span(now - timedelta(hours=1), now + timedelta(hours=1)), "range.end_time"),
            (Span(now - timedelta(days=1), now - timedelta(hours=1)), "range"),
        ):
            with pytest.raises(InvalidArgument) as refused:
                await trigger.trigger(times.caller, made.id, span)
            assert [each.field for each in refused.value.violations] == [field]

    async def test_a_thousand_at_once(self, times: Times):
        start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1000)
        made = await times.create(timing=Timing(cron="* * * * *"))
        fires = await times.runtime.scheduling.trigger.trigger(
            times.caller, made.id, Span(start, start + timedelta(minutes=1000))
        )
        assert len({each.task_id for each in fires if each.result is FIRED}) == 1000

    async def test_what_can_not_be_submitted_is_told(self, times: Times):
        made = await times.create()
        await times.run_sql("UPDATE user SET disabled = 1 WHERE name = 'eda'")
        (fire,) = await times.runtime.scheduling.trigger.trigger(times.admin, made.id, None)
        assert (fire.result, "disabled" in fire.message) == (REFUSED, True)


class TestPreview:
    async def test_it_counts_from_now_on_and_reads_the_timing_first(self, times: Times):
        fires, warnings = await service(times).preview(HOURLY, None, 2)
        assert fires[0] - datetime.now(UTC) > timedelta(minutes=50)
        assert (len(fires), warnings) == (2, [])
        for timing, start, field in (
            (Timing(cron="* * *"), None, "timing.cron"),
            (HOURLY, datetime(9999, 1, 1, tzinfo=UTC), "start_time"),
        ):
            with pytest.raises(InvalidArgument) as refused:
                await service(times).preview(timing, start, 2)
            assert [each.field for each in refused.value.violations] == [field]

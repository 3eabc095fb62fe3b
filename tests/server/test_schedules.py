"""Schedules over the wire: the seven RPCs of TaskService, and through the SDK."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from tests.fixtures.engine import ECHO, SECRET
from tests.fixtures.server import PASSWORD, Client, ServerUnderTest, refused
from weir import AsyncClient, errors
from weir.v1 import schedule_pb2, task_pb2
from weir.v1 import task_service_pb2 as pb
from weir_core.ids import new_id

CODE = grpc.StatusCode
# The stubs of the messages don't know that times and lengths of time may be given as Python's own.
Schedule: Any = schedule_pb2.Schedule
Timing: Any = schedule_pb2.Timing
TaskSpec: Any = task_pb2.TaskSpec
Request: Any = pb
TASK: dict[str, Any] = {"type": "probe.echo", "input": {"text": "at {fire_time}"}}


@pytest.fixture(autouse=True)
async def known(server: ServerUnderTest) -> None:
    values = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]}
    await server.runtime.fleet.register(new_id(), values, [ECHO, SECRET])


def request(name: str = "nightly", **changed: Any) -> Any:
    wanted: dict[str, Any] = {"name": name, "timing": {"cron": "30 2 * * *", "time_zone": "Europe/Berlin"}}
    request_id = changed.pop("request_id", "")
    return Request.CreateScheduleRequest(schedule=wanted | {"task": TASK} | changed, request_id=request_id)


async def create(client: Client, name: str = "nightly", **changed: Any) -> Any:
    return (await client.tasks.CreateSchedule(request(name, **changed))).schedule


async def update(client: Client, mask: list[str], **changed: Any) -> Any:
    asked = pb.UpdateScheduleRequest(schedule=Schedule(**changed), update_mask=FieldMask(paths=mask))
    return (await client.tasks.UpdateSchedule(asked)).schedule


async def get(client: Client, schedule: Any) -> Any:
    return (await client.tasks.GetSchedule(pb.GetScheduleRequest(schedule_id=schedule.id))).schedule


class TestCreateSchedule:
    async def test_it_is_stored_as_described_with_what_was_left_out_filled_in(self, server: ServerUnderTest):
        spec = {"type": "probe.echo", "input": {"text": "x"}, "queue": "slow", "labels": {"a": "b"}}
        spec |= {"timeouts": {"attempt": timedelta(seconds=90)}, "retry": {"max_attempts": 2}}
        made = await create(server.admin, task=spec, description="a look", labels={"team": "data"})
        assert await get(server.admin, made) == made
        assert made.task == TaskSpec(**spec)
        assert made.timing == Timing(cron="30 2 * * *", time_zone="Europe/Berlin")
        assert (made.project, made.max_catch_up, made.paused) == ("default", 10, False)
        assert made.missed == schedule_pb2.MISSED_POLICY_LAST
        assert made.overlap == schedule_pb2.OVERLAP_POLICY_SKIP
        assert len(made.next_fire_times) == 5
        assert (made.creator, made.run_as.name) == (made.run_as, "admin")

    async def test_p08_the_same_request_id_gives_the_same_schedule(self, server: ServerUnderTest):
        first = await create(server.admin, request_id="one")
        assert await create(server.admin, request_id="one") == first
        error = await refused(server.admin.tasks.CreateSchedule(request("other", request_id="one")))
        assert (error.code, error.reason) == (CODE.ALREADY_EXISTS, "REQUEST_ID_REUSED")

    async def test_a_taken_name_is_refused(self, server: ServerUnderTest):
        await create(server.admin)
        error = await refused(server.admin.tasks.CreateSchedule(request()))
        assert (error.code, error.reason) == (CODE.ALREADY_EXISTS, "NAME_TAKEN")

    @pytest.mark.parametrize(
        "changed,field",
        [
            ({"name": "Nightly"}, "schedule.name"),
            ({"timing": {}}, "schedule.timing.rule"),
            ({"timing": {"cron": "61 * * * *"}}, "schedule.timing.cron"),
            ({"timing": {"interval": timedelta(milliseconds=10)}}, "schedule.timing.interval"),
            ({"timing": {"once": datetime(2020, 1, 1, tzinfo=UTC)}}, "schedule.timing.once"),
            ({"timing": {"cron": "@daily", "time_zone": "Berlin"}}, "schedule.timing.time_zone"),
            ({"timing": {"once": {"seconds": 2**62}}}, "schedule.timing.once"),
            ({"task": {"type": "no.such"}}, "schedule.task.type"),
            ({"task": TASK | {"input": {"text": 1}}}, "schedule.task.input.text"),
            ({"max_catch_up": 1001}, "schedule.max_catch_up"),
        ],
    )
    async def test_what_is_wrong_is_named(self, server: ServerUnderTest, changed: dict[str, Any], field: str):
        error = await refused(server.admin.tasks.CreateSchedule(request(**changed)))
        assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, [field])

    async def test_p13_it_needs_the_right_to_write_and_to_submit(self, server: ServerUnderTest):
        operator = await server.user("otto", "operator")
        error = await refused(operator.tasks.CreateSchedule(request()))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "schedules.write")
        editor = await server.user("eda", "editor")
        error = await refused(editor.tasks.CreateSchedule(request(task={"type": SECRET.name})))
        assert (error.code, error.metadata["permission"]) == (CODE.PERMISSION_DENIED, "containers.run")
        assert (await create(editor)).run_as.name == "eda"


class TestListSchedules:
    async def test_pages_by_name_show_each_once(self, server: ServerUnderTest):
        for name in ("c", "a", "d", "b"):
            await create(server.admin, name)
        names, token = list[str](), ""
        while True:
            page = await server.admin.tasks.ListSchedules(
                pb.ListSchedulesRequest(page_size=3, page_token=token)
            )
            names += [each.name for each in page.schedules]
            if not (token := page.next_page_token):
                break
        assert names == ["a", "b", "c", "d"]

    async def test_p13_others_are_left_out(self, server: ServerUnderTest):
        made = await create(server.admin)
        stranger = await server.user("st", "viewer", "system")
        assert not (await stranger.tasks.ListSchedules(pb.ListSchedulesRequest())).schedules
        error = await refused(stranger.tasks.GetSchedule(pb.GetScheduleRequest(schedule_id=made.id)))
        assert (error.code, error.reason) == (CODE.NOT_FOUND, "NOT_FOUND")

    async def test_a_filter_that_can_not_be_read(self, server: ServerUnderTest):
        error = await refused(
            server.admin.tasks.ListSchedules(pb.ListSchedulesRequest(filter="colour = red"))
        )
        assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "FILTER_INVALID")


class TestUpdateSchedule:
    async def test_only_what_the_mask_names_is_changed(self, server: ServerUnderTest):
        made = await create(server.admin, description="old", labels={"a": "b"})
        changed = await update(
            server.admin,
            ["description", "timing.time_zone", "task.queue"],
            id=made.id,
            description="new",
            timing=Timing(cron="0 0 * * *", time_zone="Europe/Rome"),
            task={"type": "other", "queue": "slow"},
            labels={"c": "d"},
        )
        assert changed.description == "new"
        assert changed.timing == Timing(cron="30 2 * * *", time_zone="Europe/Rome")
        assert (changed.task.type, changed.task.queue) == ("probe.echo", "slow")
        assert dict(changed.labels) == {"a": "b"}
        assert changed.etag != made.etag
        assert await get(server.admin, changed) == changed

    async def test_a_rule_gives_way_to_another_one(self, server: ServerUnderTest):
        made = await create(server.admin)
        timing = Timing(interval=timedelta(minutes=5))
        changed = await update(server.admin, ["timing.interval"], id=made.id, timing=timing)
        assert (changed.timing.WhichOneof("rule"), changed.timing.time_zone) == ("interval", "Europe/Berlin")

    async def test_a_star_is_everything_that_callers_set(self, server: ServerUnderTest):
        made = await create(server.admin, description="old", labels={"a": "b"})
        whole = Schedule(name="daily", timing={"cron": "@daily"}, task=TASK, project="system")
        whole.id, whole.create_time.seconds = made.id, 1
        asked = pb.UpdateScheduleRequest(schedule=whole, update_mask=FieldMask(paths=["*"]))
        changed = (await server.admin.tasks.UpdateSchedule(asked)).schedule
        assert (changed.name, changed.description, dict(changed.labels)) == ("daily", "", {})
        assert (changed.project, changed.create_time) == ("default", made.create_time)

    async def test_pause_and_resume(self, server: ServerUnderTest):
        made = await create(server.admin)
        paused = await update(
            server.admin, ["paused", "pause_reason"], id=made.id, paused=True, pause_reason="holidays"
        )
        assert (paused.paused, paused.pause_reason, len(paused.next_fire_times)) == (True, "holidays", 0)
        resumed = await update(server.admin, ["paused"], id=made.id)
        assert (resumed.paused, resumed.pause_reason, len(resumed.next_fire_times)) == (False, "", 5)

    @pytest.mark.parametrize(
        "mask,changed,field",
        [
            (["colour"], {}, "update_mask"),
            (["project"], {"project": "system"}, "update_mask"),
            (["etag"], {}, "update_mask"),
            (["next_fire_times"], {}, "update_mask"),
            (["labels.team"], {}, "update_mask"),
            (["task.input.text"], {}, "update_mask"),
            (["*", "name"], {}, "update_mask"),
            (["timing"], {}, "schedule.timing"),
            (["timing.cron"], {"timing": {"cron": "x"}}, "schedule.timing.cron"),
            (["name"], {"name": "No Name"}, "schedule.name"),
            (["task.type"], {"task": {"type": "no.such"}}, "schedule.task.type"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, server: ServerUnderTest, mask: list[str], changed: dict[str, Any], field: str
    ):
        made = await create(server.admin)
        error = await refused(update(server.admin, mask, id=made.id, **changed))
        assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, [field])

    async def test_schedule_and_mask_are_required(self, server: ServerUnderTest):
        made = await create(server.admin)
        for asked in (
            pb.UpdateScheduleRequest(),
            pb.UpdateScheduleRequest(schedule=Schedule(id=made.id)),
            pb.UpdateScheduleRequest(update_mask=FieldMask(paths=["name"])),
        ):
            error = await refused(server.admin.tasks.UpdateSchedule(asked))
            assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, ["request"])

    async def test_an_etag_that_is_not_current_aborts(self, server: ServerUnderTest):
        made = await create(server.admin)
        await update(server.admin, ["description"], id=made.id, etag=made.etag, description="one")
        error = await refused(
            update(server.admin, ["description"], id=made.id, etag=made.etag, description="two")
        )
        assert (error.code, error.reason) == (CODE.ABORTED, "ETAG_MISMATCH")
        old = pb.DeleteScheduleRequest(schedule_id=made.id, etag=made.etag)
        assert (await refused(server.admin.tasks.DeleteSchedule(old))).reason == "ETAG_MISMATCH"

    async def test_p13_who_may_not_write_finds_nothing(self, server: ServerUnderTest):
        made = await create(server.admin)
        for role, project, code in (
            ("viewer", "default", CODE.PERMISSION_DENIED),
            ("editor", "system", CODE.NOT_FOUND),
        ):
            stranger = await server.user(f"{role}-{project}", role, project)
            for call in (
                update(stranger, ["paused"], id=made.id, paused=True),
                stranger.tasks.DeleteSchedule(pb.DeleteScheduleRequest(schedule_id=made.id)),
                stranger.tasks.TriggerSchedule(Request.TriggerScheduleRequest(schedule_id=made.id)),
            ):
                assert (await refused(call)).code == code


class TestDeleteSchedule:
    async def test_what_was_deleted_is_gone_and_stays_so(self, server: ServerUnderTest):
        made = await create(server.admin)
        for _ in range(2):
            await server.admin.tasks.DeleteSchedule(pb.DeleteScheduleRequest(schedule_id=made.id))
        assert (await refused(get(server.admin, made))).code == CODE.NOT_FOUND
        absent = pb.DeleteScheduleRequest(schedule_id=str(uuid4()))
        assert (await refused(server.admin.tasks.DeleteSchedule(absent))).code == CODE.NOT_FOUND


class TestTriggerSchedule:
    async def test_it_fires_now_and_tells_the_task(self, server: ServerUnderTest):
        made = await create(server.admin)
        asked = Request.TriggerScheduleRequest(schedule_id=made.id, request_id="once")
        (fire,) = (await server.admin.tasks.TriggerSchedule(asked)).fires
        assert (await server.admin.tasks.TriggerSchedule(asked)).fires[0] == fire
        assert fire.result == schedule_pb2.FIRE_RESULT_FIRED
        task = (await server.admin.tasks.GetTask(pb.GetTaskRequest(task_id=fire.task_id))).task
        assert (task.schedule_id, task.fire_time, task.spec.type) == (made.id, fire.fire_time, "probe.echo")
        assert task.spec.input["text"] == f"at {fire.fire_time.ToJsonString()}"
        listed = await server.admin.tasks.ListTasks(pb.ListTasksRequest(filter=f'schedule_id = "{made.id}"'))
        assert [each.id for each in listed.tasks] == [task.id]
        assert list((await get(server.admin, made)).recent_fires) == [fire]

    async def test_a_past_span(self, server: ServerUnderTest):
        made = await create(server.admin, timing={"cron": "0 0 * * *"})
        span = {"start_time": datetime(2026, 1, 1, tzinfo=UTC), "end_time": datetime(2026, 1, 4, tzinfo=UTC)}
        asked = Request.TriggerScheduleRequest(schedule_id=made.id, range=span)
        fires = (await server.admin.tasks.TriggerSchedule(asked)).fires
        assert [each.fire_time.ToJsonString() for each in fires] == [
            f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3)
        ]
        assert (await server.admin.tasks.TriggerSchedule(asked)).fires == fires

    async def test_a_span_that_is_none_is_named(self, server: ServerUnderTest):
        made = await create(server.admin)
        now, hour = datetime.now(UTC), timedelta(hours=1)
        for start, end, field in (
            (now, now - hour, "range"),
            (now - hour, now + hour, "range.end_time"),
            (datetime(1, 1, 1, tzinfo=UTC), now, "range.start_time"),
        ):
            span = {"start_time": start, "end_time": end}
            asked = Request.TriggerScheduleRequest(schedule_id=made.id, range=span)
            error = await refused(server.admin.tasks.TriggerSchedule(asked))
            assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, [field])


class TestPreviewSchedule:
    async def test_when_and_what_may_surprise(self, server: ServerUnderTest):
        viewer = await server.user("vera", "viewer")
        asked = Request.PreviewScheduleRequest(
            timing=Timing(cron="30 2 * * *", time_zone="Europe/Berlin"),
            start_time=datetime(2026, 10, 24, 12, tzinfo=UTC),
            count=2,
        )
        answer = await viewer.tasks.PreviewSchedule(asked)
        times = [each.ToJsonString() for each in answer.fire_times]
        assert times == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        assert "comes twice" in answer.warnings[0]
        asked.count = 0
        assert len((await viewer.tasks.PreviewSchedule(asked)).fire_times) == 10


@pytest.fixture
async def sdk(server: ServerUnderTest) -> Any:
    async with AsyncClient(server.address, user="admin", password=PASSWORD) as client:
        yield client


class TestThroughTheSdk:
    async def test_from_creation_to_deletion(self, sdk: AsyncClient):
        spec = TaskSpec(**TASK)
        timing = Timing(interval=timedelta(hours=1))
        made = (await sdk.tasks.create_schedule(name="hourly", timing=timing, task=spec)).schedule
        assert [each.name async for each in sdk.tasks.list_schedules()] == ["hourly"]
        changed = Schedule(id=made.id, etag=made.etag, paused=True)
        await sdk.tasks.update_schedule(schedule=changed, update_mask=["paused"])
        with pytest.raises(errors.EtagMismatch):
            await sdk.tasks.update_schedule(schedule=changed, update_mask=["paused"])
        fires = (await sdk.tasks.trigger_schedule(made.id)).fires
        assert (await sdk.tasks.get_schedule(made.id)).schedule.recent_fires == fires
        preview = await sdk.tasks.preview_schedule(timing=timing, count=3)
        assert len(preview.fire_times) == 3
        await sdk.tasks.delete_schedule(made.id)
        with pytest.raises(errors.NotFound):
            await sdk.tasks.get_schedule(made.id)

    async def test_a_mask_that_is_one_text_is_refused_before_it_is_sent(self, sdk: AsyncClient):
        with pytest.raises(errors.InvalidValue, match=r"\['paused'\]"):
            await sdk.tasks.update_schedule(schedule=Schedule(id=str(uuid4())), update_mask="paused")

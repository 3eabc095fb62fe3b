"""The schedules of TaskService: read the request, call the domain, convert, return."""

from typing import Final

from weir.v1 import schedule_pb2
from weir.v1 import task_service_pb2 as pb
from weir_core.errors import InvalidArgument
from weir_core.fleet.models import TaskType
from weir_core.ids import parse_id
from weir_core.runtime import Runtime
from weir_core.schedules.models import NewSchedule, Schedule
from weir_core.schedules.triggering import Span
from weir_server.interceptors.authentication import caller
from weir_server.interceptors.validation import Validation
from weir_server.rpc import convert_schedules as convert
from weir_server.rpc.convert import instant, timestamps
from weir_server.rpc.masks import changed

_PREVIEWED: Final = 10


class ScheduleCalls:
    """What TaskService does for schedules."""

    def __init__(self, runtime: Runtime, validation: Validation) -> None:
        self._schedules = runtime.scheduling.schedules
        self._trigger = runtime.scheduling.trigger
        self._tasks = runtime.tasks
        self._pages = runtime.pages
        self._validation = validation

    async def create(self, request: pb.CreateScheduleRequest) -> pb.CreateScheduleResponse:
        kind = await self._kind(request.schedule)
        new = convert.new_schedule(request.schedule, kind)
        content = convert.content(request.schedule)
        made = await self._schedules.create(caller(), new, kind, content, request.request_id)
        return pb.CreateScheduleResponse(schedule=convert.schedule(made))

    async def get(self, request: pb.GetScheduleRequest) -> pb.GetScheduleResponse:
        found = await self._schedules.get(caller(), parse_id("schedule_id", request.schedule_id))
        return pb.GetScheduleResponse(schedule=convert.schedule(found))

    async def list(self, request: pb.ListSchedulesRequest) -> pb.ListSchedulesResponse:
        scope = f"ListSchedules {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._schedules.list_schedules(caller(), page, request.filter)
        schedules, token = self._pages.cut(
            found, page, scope, lambda each: [each.wanted.name, str(each.id)], convert.schedule
        )
        return pb.ListSchedulesResponse(schedules=schedules, next_page_token=token)

    async def update(self, request: pb.UpdateScheduleRequest) -> pb.UpdateScheduleResponse:
        schedule_id = parse_id("schedule.id", request.schedule.id)

        async def change(found: Schedule) -> tuple[NewSchedule, TaskType]:
            wanted = changed(convert.schedule(found), request.schedule, request.update_mask, convert.SETTABLE)
            self._validation.check(wanted, "schedule")
            kind = await self._kind(wanted)
            return convert.new_schedule(wanted, kind), kind

        stored = await self._schedules.update(caller(), schedule_id, request.schedule.etag, change)
        return pb.UpdateScheduleResponse(schedule=convert.schedule(stored))

    async def delete(self, request: pb.DeleteScheduleRequest) -> pb.DeleteScheduleResponse:
        await self._schedules.delete(caller(), parse_id("schedule_id", request.schedule_id), request.etag)
        return pb.DeleteScheduleResponse()

    async def trigger(self, request: pb.TriggerScheduleRequest) -> pb.TriggerScheduleResponse:
        schedule_id = parse_id("schedule_id", request.schedule_id)
        fires = await self._trigger.trigger(caller(), schedule_id, _span(request), request.request_id)
        return pb.TriggerScheduleResponse(fires=[convert.fire(each) for each in fires])

    async def preview(self, request: pb.PreviewScheduleRequest) -> pb.PreviewScheduleResponse:
        timing = convert.timing(request.timing, "timing")
        times, warnings = await self._schedules.preview(
            timing, instant(request, "start_time"), request.count or _PREVIEWED
        )
        return pb.PreviewScheduleResponse(fire_times=timestamps(times), warnings=warnings)

    async def _kind(self, wanted: schedule_pb2.Schedule) -> TaskType:
        try:
            return await self._tasks.newest_type(wanted.task.type)
        except InvalidArgument as error:
            raise InvalidArgument.at("schedule.task.type", error.violations[0].description) from None


def _span(request: pb.TriggerScheduleRequest) -> Span | None:
    start, end = (instant(request.range, name, "range") for name in ("start_time", "end_time"))
    return Span(start, end) if start and end else None

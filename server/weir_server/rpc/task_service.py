"""TaskService: read the request, call the domain, convert, return."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from weir.v1 import common_pb2, task_pb2, task_service_pb2_grpc
from weir.v1 import task_service_pb2 as pb
from weir_core.fleet.service import FleetService
from weir_core.ids import parse_id
from weir_core.paging import PageTokens
from weir_core.tasks.history import EventFilter, History
from weir_core.tasks.service import TaskService
from weir_core.tasks.states import TERMINAL
from weir_core.tasks.watching import WatchHub
from weir_server.interceptors.authentication import caller, stands_on
from weir_server.rpc import convert_tasks
from weir_server.rpc.convert import span, timestamp
from weir_server.rpc.schedule_calls import ScheduleCalls

_QUIET_SECONDS: Final = 9.0


class TaskServicer(task_service_pb2_grpc.TaskServiceServicer):
    """Submit, follow and cancel tasks; schedules."""

    def __init__(
        self,
        tasks: TaskService,
        fleet: FleetService,
        hub: WatchHub,
        history: History,
        pages: PageTokens,
        *,
        schedules: ScheduleCalls,
    ) -> None:
        self._tasks = tasks
        self._fleet = fleet
        self._hub = hub
        self._history = history
        self._schedules = schedules
        self._pages = pages

    async def SubmitTask(self, request: pb.SubmitTaskRequest, context: Any) -> pb.SubmitTaskResponse:
        kind = await self._tasks.newest_type(request.spec.type)
        new = convert_tasks.new_task(request.project, request.spec, kind, _content(request))
        made = await self._tasks.submit(
            caller(), new, kind, request.request_id, validate_only=request.validate_only
        )
        task = convert_tasks.task(made.task, full=False)
        if request.validate_only:
            task.id = ""
        return pb.SubmitTaskResponse(task=task, created=made.created, warnings=made.warnings)

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> pb.GetTaskResponse:
        task_id = parse_id("task_id", request.task_id)
        full = request.view != pb.TASK_VIEW_BASIC
        found = await self._tasks.get(caller(), task_id, full=full)
        wait = span(request, "wait")
        if wait and found.state not in TERMINAL:
            await self._hub.wait(task_id, wait.total_seconds(), lambda head: head.state in TERMINAL)
            found = await self._tasks.get(caller(), task_id, full=full)
        return pb.GetTaskResponse(task=convert_tasks.task(found, full=full))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Any) -> pb.ListTasksResponse:
        scope = f"ListTasks {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        full = request.view == pb.TASK_VIEW_FULL
        found = await self._tasks.list_tasks(caller(), page, request.filter, full=full)
        shown, token = self._pages.cut(found, page, scope, lambda task: [str(task.id)])
        return pb.ListTasksResponse(
            tasks=[convert_tasks.task(task, full=full) for task in shown], next_page_token=token
        )

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Any) -> pb.CancelTaskResponse:
        task_id = parse_id("task_id", request.task_id)
        found = await self._tasks.cancel(caller(), task_id, request.reason, span(request, "grace"))
        wait = span(request, "wait")
        if wait and found.state not in TERMINAL:
            await self._hub.wait(task_id, wait.total_seconds(), lambda head: head.state in TERMINAL)
            found = await self._tasks.get(caller(), task_id, full=False)
        return pb.CancelTaskResponse(
            cancellation=convert_tasks.cancellation(found), state=task_pb2.TaskState.ValueType(found.state)
        )

    async def WatchTask(
        self, request: pb.WatchTaskRequest, context: Any
    ) -> AsyncGenerator[pb.WatchTaskResponse]:
        task_id = parse_id("task_id", request.task_id)
        stands_on((await self._tasks.get(caller(), task_id, full=False)).project)
        wanted = _filter(request)
        through, sent = max(request.from_seq, 1) - 1, time.monotonic()
        async with aclosing(self._hub.watch(task_id, request.from_seq)) as batches:
            async for events in batches:
                for event in events:
                    through = event.seq
                    if wanted.passes(event) or event.is_last:
                        yield pb.WatchTaskResponse(
                            event=convert_tasks.event(task_id, event), through_seq=through
                        )
                        sent = time.monotonic()
                if time.monotonic() - sent > _QUIET_SECONDS:
                    yield pb.WatchTaskResponse(heartbeat=_heartbeat(), through_seq=through)
                    sent = time.monotonic()

    async def ListTaskEvents(
        self, request: pb.ListTaskEventsRequest, context: Any
    ) -> pb.ListTaskEventsResponse:
        task_id = parse_id("task_id", request.task_id)
        await self._tasks.get(caller(), task_id, full=False)
        scope = f"ListTaskEvents {caller().principal.id} {_content(request, 'page_size', 'page_token')}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        wanted = _filter(request, attempt=request.attempt)
        place = page.key[0] if page.key else request.from_seq
        events, next_place = await self._history.page(
            task_id, place, page.size, wanted, descending=request.descending
        )
        return pb.ListTaskEventsResponse(
            events=[convert_tasks.event(task_id, event) for event in events],
            next_page_token=self._pages.make([next_place], scope) if next_place else "",
        )

    async def ListTaskTypes(self, request: pb.ListTaskTypesRequest, context: Any) -> pb.ListTaskTypesResponse:
        scope = f"ListTaskTypes {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._fleet.list_types(page, request.filter)
        shown, token = self._pages.cut(found, page, scope, lambda kind: [kind.name])
        return pb.ListTaskTypesResponse(
            task_types=[convert_tasks.task_type(kind, schemas=False) for kind in shown], next_page_token=token
        )

    async def GetTaskType(self, request: pb.GetTaskTypeRequest, context: Any) -> pb.GetTaskTypeResponse:
        kind = await self._fleet.get_type(request.name)
        return pb.GetTaskTypeResponse(task_type=convert_tasks.task_type(kind, schemas=True))

    async def CreateSchedule(
        self, request: pb.CreateScheduleRequest, context: Any
    ) -> pb.CreateScheduleResponse:
        return await self._schedules.create(request)

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: Any) -> pb.GetScheduleResponse:
        return await self._schedules.get(request)

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Any) -> pb.ListSchedulesResponse:
        return await self._schedules.list(request)

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, context: Any
    ) -> pb.UpdateScheduleResponse:
        return await self._schedules.update(request)

    async def DeleteSchedule(
        self, request: pb.DeleteScheduleRequest, context: Any
    ) -> pb.DeleteScheduleResponse:
        return await self._schedules.delete(request)

    async def TriggerSchedule(
        self, request: pb.TriggerScheduleRequest, context: Any
    ) -> pb.TriggerScheduleResponse:
        return await self._schedules.trigger(request)

    async def PreviewSchedule(
        self, request: pb.PreviewScheduleRequest, context: Any
    ) -> pb.PreviewScheduleResponse:
        return await self._schedules.preview(request)


def _filter(request: pb.WatchTaskRequest | pb.ListTaskEventsRequest, attempt: int = 0) -> EventFilter:
    kinds = frozenset(convert_tasks.KINDS[kind] for kind in request.kinds)
    return EventFilter(kinds, int(request.min_log_level), attempt)


def _content(request: Any, *without: str) -> Any:
    content = MessageToDict(request, preserving_proto_field_name=True)
    return {key: value for key, value in content.items() if key not in {"request_id", *without}}


def _heartbeat() -> common_pb2.Heartbeat:
    return common_pb2.Heartbeat(time=timestamp(datetime.now(UTC)))

"""TaskService: read the request, call the domain, convert, return."""

import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.rpc import status_pb2

from weir.v1 import common_pb2, task_pb2, task_service_pb2_grpc
from weir.v1 import task_service_pb2 as pb
from weir_core import logs
from weir_core.errors import InvalidArgument, PageTokenInvalid, PositionExpired, WeirError
from weir_core.filtering import parse, to_sql
from weir_core.ids import parse_id
from weir_core.paging import fitting
from weir_core.runtime import Runtime
from weir_core.tasks.explaining import Explaining
from weir_core.tasks.history import EventFilter
from weir_core.tasks.retrying import RETRY_TASK
from weir_core.tasks.revising import Revising
from weir_core.tasks.selection import selection
from weir_core.tasks.service import FILTERS, Request, Submitted
from weir_core.tasks.states import TERMINAL
from weir_core.tasks.submitting import NewTask
from weir_server.interceptors.authentication import caller, stands_on
from weir_server.interceptors.validation import Validation
from weir_server.rpc import convert_tasks
from weir_server.rpc.change_messages import change_messages
from weir_server.rpc.convert import span, timestamp
from weir_server.rpc.event_messages import EventMessages
from weir_server.rpc.file_calls import FileCalls
from weir_server.rpc.schedule_calls import ScheduleCalls
from weir_server.rpc.status import answer_to

_QUIET_SECONDS: Final = 9.0
# Tasks of a page in the FULL view: each may bring an input and an output of 1 MiB, to be read at once.
_WHOLE: Final = 20
_RETRIES_A_MINUTE: Final = 1000


class TaskServicer(task_service_pb2_grpc.TaskServiceServicer):
    """Submit, follow and cancel tasks."""

    def __init__(self, runtime: Runtime, validation: Validation) -> None:
        self._tasks = runtime.tasks
        self._stopping = runtime.stopping
        self._revising = Revising(runtime.db, runtime.promotion)
        self._retrying = runtime.retrying
        self._explaining = Explaining(runtime.db, runtime.tasks)
        self._fleet = runtime.fleet
        self._hub = runtime.hub
        self._feed = runtime.feed
        self._messages = EventMessages()
        self._history = runtime.history
        self._pages = runtime.pages
        self._validation = validation
        self._schedules = ScheduleCalls(runtime, validation)
        self._files = FileCalls(runtime)

    async def SubmitTask(self, request: pb.SubmitTaskRequest, context: Any) -> pb.SubmitTaskResponse:
        wanted = await self._request(request)
        made = await self._tasks.submit(
            caller(), wanted.new, wanted.kind, wanted.request_id, validate_only=request.validate_only
        )
        task = convert_tasks.task(made.task, full=False)
        if request.validate_only:
            task.id = ""
        return pb.SubmitTaskResponse(task=task, created=made.created, warnings=made.warnings)

    async def SubmitTasks(self, request: pb.SubmitTasksRequest, context: Any) -> pb.SubmitTasksResponse:
        results: dict[int, pb.SubmitTasksResponse.Result] = {}
        wanted: dict[int, Request] = {}
        for place, each in enumerate(request.requests):
            try:
                if each.validate_only:
                    raise InvalidArgument.at("validate_only", "must be false in a batch")
                wanted[place] = await self._request(each)
            except WeirError as error:
                results[place] = _refused(error)
        made = await self._tasks.submit_many(caller(), list(wanted.values()))
        for place, each in zip(wanted, made, strict=True):
            results[place] = _refused(each) if isinstance(each, WeirError) else _submitted(each)
        return pb.SubmitTasksResponse(results=[results[place] for place in range(len(request.requests))])

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> pb.GetTaskResponse:
        task_id = parse_id("task_id", request.task_id)
        full = request.view != pb.TASK_VIEW_BASIC
        found = await self._tasks.get(caller(), task_id, full=full)
        wait = span(request, "wait")
        if wait and found.state not in TERMINAL:
            await self._hub.wait_ended(task_id, wait.total_seconds())
            found = await self._tasks.get(caller(), task_id, full=full)
        return pb.GetTaskResponse(task=convert_tasks.task(found, full=full))

    async def ListTasks(self, request: pb.ListTasksRequest, context: Any) -> pb.ListTasksResponse:
        scope = f"ListTasks {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        full = request.view == pb.TASK_VIEW_FULL
        page = replace(page, size=min(page.size, _WHOLE)) if full else page
        found = await self._tasks.list_tasks(caller(), page, request.filter, full=full)
        made = partial(convert_tasks.task, full=full)
        tasks, token = self._pages.cut(found, page, scope, lambda task: [str(task.id)], made)
        return pb.ListTasksResponse(tasks=tasks, next_page_token=token)

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Any) -> pb.CancelTaskResponse:
        task_id = parse_id("task_id", request.task_id)
        found = await self._stopping.cancel(caller(), task_id, request.reason, span(request, "grace"))
        wait = span(request, "wait")
        if wait and found.state not in TERMINAL:
            await self._hub.wait_ended(task_id, wait.total_seconds())
            found = await self._tasks.get(caller(), task_id, full=False)
        return pb.CancelTaskResponse(
            cancellation=convert_tasks.cancellation(found), state=task_pb2.TaskState.ValueType(found.state)
        )

    async def CancelTasks(self, request: pb.CancelTasksRequest, context: Any) -> pb.CancelTasksResponse:
        count = await self._stopping.cancel_many(
            caller(),
            to_sql(parse(request.filter), FILTERS),
            request.reason,
            validate_only=request.validate_only,
        )
        return pb.CancelTasksResponse(task_count=count)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Any) -> pb.RetryTaskResponse:
        old = await self._tasks.get_ended(caller(), parse_id("task_id", request.task_id))
        spec = convert_tasks.spec_anew(old, request.spec, request.update_mask)
        self._validation.check(pb.SubmitTaskRequest(spec=spec))
        kind = await self._tasks.newest_type(spec.type)
        new = convert_tasks.new_task(old.project, spec, kind, _content(request), retry_of=old.id)
        made = await self._tasks.submit(caller(), new, kind, request.request_id, method="RetryTask")
        return pb.RetryTaskResponse(task=convert_tasks.task(made.task, full=False))

    async def RetryTasks(self, request: pb.RetryTasksRequest, context: Any) -> pb.RetryTasksResponse:
        project = request.project or "default"
        count = await self._retrying.count(caller(), project, request.filter)
        if request.validate_only:
            return pb.RetryTasksResponse(task_count=count)
        kind = await self._tasks.newest_type(RETRY_TASK)
        given = {"filter": request.filter, "max_per_minute": request.max_per_minute or _RETRIES_A_MINUTE}
        new = NewTask(project, RETRY_TASK, given, content=_content(request))
        made = await self._tasks.submit(caller(), new, kind, request.request_id, method="RetryTasks")
        return pb.RetryTasksResponse(task_id=str(made.task.id), task_count=count)

    async def UpdateTask(self, request: pb.UpdateTaskRequest, context: Any) -> pb.UpdateTaskResponse:
        task_id = parse_id("task.id", request.task.id)
        wanted = convert_tasks.revision(request)
        labels = request.task.spec.labels
        self._validation.check(pb.SubmitTaskRequest(spec=task_pb2.TaskSpec(type="any", labels=labels)))
        changed = await self._revising.update(caller(), task_id, wanted)
        return pb.UpdateTaskResponse(task=convert_tasks.task(changed, full=False))

    async def ExplainTask(self, request: pb.ExplainTaskRequest, context: Any) -> pb.ExplainTaskResponse:
        found = await self._explaining.explain(caller(), parse_id("task_id", request.task_id))
        return convert_tasks.explanation(found)

    async def WatchTask(
        self, request: pb.WatchTaskRequest, context: Any
    ) -> AsyncGenerator[pb.WatchTaskResponse]:
        task_id = parse_id("task_id", request.task_id)
        stands_on((await self._tasks.get(caller(), task_id, full=False)).project)
        wanted = _filter(request)
        through, sent = max(request.from_seq, 1) - 1, time.monotonic()
        async with aclosing(self._hub.watch(task_id, request.from_seq)) as stretches:
            async for stretch in stretches:
                through = stretch.last_seq if stretch.events else through
                message = self._messages.message(task_id, stretch, wanted)
                if message is None and time.monotonic() - sent > _QUIET_SECONDS:
                    message = pb.WatchTaskResponse(heartbeat=_heartbeat(), through_seq=through)
                if message is not None:
                    yield message
                    sent = time.monotonic()

    async def WatchTasks(
        self, request: pb.WatchTasksRequest, context: Any
    ) -> AsyncGenerator[pb.WatchTasksResponse]:
        wanted = selection(request.filter)
        scope = f"WatchTasks {caller().principal.id} {request.filter}"
        since = self._position(request.resume_token, scope)
        # The first message comes at once: it brings the place to resume.
        sent = -math.inf
        async with aclosing(self._feed.watch(wanted, caller, since, snapshot=request.snapshot)) as batches:
            async for batch in batches:
                messages = change_messages(batch)
                if not messages and time.monotonic() - sent > _QUIET_SECONDS:
                    messages = [pb.WatchTasksResponse(heartbeat=_heartbeat())]
                if messages and batch.since is not None:
                    messages[-1].resume_token = self._pages.make([batch.since], scope)
                for message in messages:
                    yield message
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
        shown = fitting(convert_tasks.event(task_id, event) for event in events)
        if len(shown) < len(events):
            left_out = events[len(shown)]
            next_place = left_out.seq if request.descending else left_out.first_seq
        return pb.ListTaskEventsResponse(
            events=shown, next_page_token=self._pages.make([next_place], scope) if next_place else ""
        )

    async def ListTaskTypes(self, request: pb.ListTaskTypesRequest, context: Any) -> pb.ListTaskTypesResponse:
        scope = f"ListTaskTypes {caller().principal.id} {request.filter}"
        page = self._pages.page(request.page_size, request.page_token, scope)
        found = await self._fleet.list_types(page, request.filter)
        made = partial(convert_tasks.task_type, schemas=False)
        types, token = self._pages.cut(found, page, scope, lambda kind: [kind.name], made)
        return pb.ListTaskTypesResponse(task_types=types, next_page_token=token)

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

    async def GetFile(self, request: pb.GetFileRequest, context: Any) -> pb.GetFileResponse:
        return await self._files.get(request)

    async def ListFiles(self, request: pb.ListFilesRequest, context: Any) -> pb.ListFilesResponse:
        return await self._files.list(request)

    async def DownloadFile(
        self, request: pb.DownloadFileRequest, context: Any
    ) -> AsyncGenerator[pb.DownloadFileResponse]:
        async with aclosing(self._files.download(request)) as messages:
            async for message in messages:
                yield message

    def _position(self, token: str, scope: str) -> int | None:
        try:
            return self._pages.read(token, scope)[0] if token else None
        except PageTokenInvalid:
            raise PositionExpired("resume_token is foreign or too old; take a snapshot anew") from None

    async def _request(self, request: pb.SubmitTaskRequest) -> Request:
        kind = await self._tasks.newest_type(request.spec.type)
        parent = parse_id("parent_task_id", request.parent_task_id) if request.parent_task_id else None
        content = _content(request)
        new = convert_tasks.new_task(request.project, request.spec, kind, content, parent_id=parent)
        return Request(new, kind, request.request_id)


def _submitted(made: Submitted) -> pb.SubmitTasksResponse.Result:
    # Of the spec only the type: a thousand whole ones would not fit.
    task = convert_tasks.task(made.task, full=False)
    task.spec.CopyFrom(task_pb2.TaskSpec(type=made.task.type))
    answer = pb.SubmitTaskResponse(task=task, created=made.created, warnings=made.warnings)
    return pb.SubmitTasksResponse.Result(submitted=answer)


def _refused(error: WeirError) -> pb.SubmitTasksResponse.Result:
    answer = answer_to(error, logs.request_id.get())
    return pb.SubmitTasksResponse.Result(error=status_pb2.Status.FromString(answer.details))


def _filter(request: pb.WatchTaskRequest | pb.ListTaskEventsRequest, attempt: int = 0) -> EventFilter:
    kinds = frozenset(convert_tasks.KINDS[kind] for kind in request.kinds)
    return EventFilter(kinds, int(request.min_log_level), attempt)


def _content(request: Any, *without: str) -> Any:
    content = MessageToDict(request, preserving_proto_field_name=True)
    return {key: value for key, value in content.items() if key not in {"request_id", *without}}


def _heartbeat() -> common_pb2.Heartbeat:
    return common_pb2.Heartbeat(time=timestamp(datetime.now(UTC)))

# ruff: noqa: A002  arguments are called as the fields they fill
"""The client of TaskService. Generated from `weir/v1/task_service.proto` by `make gen`."""

from collections.abc import Iterable, Mapping

from weir import methods
from weir.blocking.caller import Caller
from weir.blocking.pages import Pages, fetcher
from weir.blocking.stream import Stream
from weir.deadline import Timeout
from weir.masks import MaskLike, to_mask
from weir.method import fresh_id
from weir.times import DurationLike, TimeLike, to_duration, to_timestamp
from weir.v1 import (
    common_pb2,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
)
from weir.values import StructLike, to_struct


class TaskClient:
    """Tasks, task types, schedules and files."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def submit_task(
        self,
        *,
        type: str,
        input: StructLike = None,
        queue: str = "",
        priority: task_pb2.Priority.ValueType = task_pb2.PRIORITY_UNSPECIFIED,
        labels: Mapping[str, str] | None = None,
        start_after: TimeLike = None,
        deadline: TimeLike = None,
        timeouts: task_pb2.Timeouts | None = None,
        retry: task_pb2.RetryPolicy | None = None,
        depends_on: Iterable[task_pb2.Dependency] = (),
        concurrency: task_pb2.Concurrency | None = None,
        retention: DurationLike = None,
        project: str = "",
        parent_task_id: str = "",
        request_id: str = "",
        validate_only: bool = False,
        timeout: Timeout = None,
    ) -> task_service_pb2.SubmitTaskResponse:
        """Submits one task. OK means that it is stored and will be run, whatever process or machine dies
        next.

        Args:
            type: Name of a registered task type, such as `monitor.source`.
            input: Fits the input schema of the type. At most 1 MiB. Numbers are doubles: send integers
                beyond 2^53 as strings.  In place of a string, `{"$secret": "CONNECTION/KEY"}` stands
                for a secret of a connection of the same project, by the connection's name; at most 32
                of them. Whoever submits it needs `connections.use` in the project. Connection and key
                must be there, now and when an attempt starts: the attempt gets the value that the
                secret has by then, or fails with INVALID_INPUT. The input is stored and shown with the
                reference, and what the task tells has `[redacted]` in place of the value. Where the
                schema wants a string of a certain form, that is checked when the attempt starts.
            queue: Queue to wait in. Empty: the type's own queue.
            priority: Class of urgency. Unset: the type's own.
            labels: Free tags to find tasks by; at most 32. No secrets here.
            start_after: Not started before this time. Unset: at once.
            deadline: Must have ended by this time, waiting and retries included; then it is stopped and
                fails with TIMEOUT. Unset: no such limit.
            timeouts: Limits on running time. Unset parts come from the type.
            retry: When to try again. Unset: the type's policy.
            depends_on: Tasks that must have ended first; at most 100, each once.
            concurrency: Limit shared with other tasks of the same key. Unset: none but those of the
                queue and the type.
            retention: How long the task, its events and files are kept after its end. Unset: the
                retention setting.
            project: Project to submit to. Empty: `default`.
            parent_task_id: Task under which this one is submitted, of the same project: cancelled with
                it. Empty: none.
            request_id: Makes the call safe to repeat; see common.proto.
            validate_only: True: check everything, store nothing; `task` has no id.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.SubmitTaskRequest(
            spec=task_pb2.TaskSpec(
                type=type,
                input=to_struct(input, "input"),
                queue=queue,
                priority=priority,
                labels=labels,
                start_after=to_timestamp(start_after, "start_after"),
                deadline=to_timestamp(deadline, "deadline"),
                timeouts=timeouts,
                retry=retry,
                depends_on=depends_on,
                concurrency=concurrency,
                retention=to_duration(retention, "retention"),
            ),
            project=project,
            parent_task_id=parent_task_id,
            request_id=request_id or fresh_id(),
            validate_only=validate_only,
        )
        return self._caller.unary(methods.SUBMIT_TASK, request, timeout)

    def submit_tasks(
        self, *, requests: Iterable[task_service_pb2.SubmitTaskRequest], timeout: Timeout = None
    ) -> task_service_pb2.SubmitTasksResponse:
        """Submits up to 1,000 tasks, each with a result of its own: one bad task does not stop the others.
        Safe to repeat where each has a request id.

        Args:
            requests: The tasks, with a request id each. At most 1,000 and 3 MiB in all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.SubmitTasksRequest(requests=requests)
        return self._caller.unary(methods.SUBMIT_TASKS, request, timeout)

    def get_task(
        self,
        task_id: str,
        *,
        view: task_service_pb2.TaskView.ValueType = task_service_pb2.TASK_VIEW_UNSPECIFIED,
        wait: DurationLike = None,
        timeout: Timeout = None,
    ) -> task_service_pb2.GetTaskResponse:
        """Gets a task. With `wait`, answers when it has ended or the wait is over.

        Args:
            task_id: The task.
            view: How much to give.
            wait: Wait this long at most for the task to end. At most 60 s. Unset: no wait.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.GetTaskRequest(task_id=task_id, view=view, wait=to_duration(wait, "wait"))
        return self._caller.unary(methods.GET_TASK, request, timeout, wait)

    def list_tasks(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        filter: str = "",
        view: task_service_pb2.TaskView.ValueType = task_service_pb2.TASK_VIEW_UNSPECIFIED,
        timeout: Timeout = None,
    ) -> Pages[task_service_pb2.ListTasksResponse, task_pb2.Task]:
        """Lists tasks, newest first.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            view: How much of each task to give.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> task_service_pb2.ListTasksRequest:
            return task_service_pb2.ListTasksRequest(
                page_size=page_size, page_token=page_token, filter=filter, view=view
            )

        fetch = fetcher(self._caller, methods.LIST_TASKS, request, timeout)
        return Pages(fetch, page_token, lambda page: page.tasks)

    def cancel_task(
        self,
        task_id: str,
        *,
        reason: str = "",
        grace: DurationLike = None,
        wait: DurationLike = None,
        timeout: Timeout = None,
    ) -> task_service_pb2.CancelTaskResponse:
        """Asks for a task to be stopped, and answers with the phase reached. The further phases are
        events; the state CANCELLED comes only after CONFIRMED. A success that arrives after the request
        stays SUCCEEDED, with `cancellation` set. For a task that has ended it changes nothing and is no
        error.

        Args:
            task_id: The task. Tasks submitted under it are cancelled too.
            reason: Why; shown with the task.
            grace: Grace time before it is killed, in place of the task's own; 0 s kills at once. Unset:
                the task's own.
            wait: Wait this long at most for CONFIRMED. At most 60 s. Unset: no wait.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.CancelTaskRequest(
            task_id=task_id, reason=reason, grace=to_duration(grace, "grace"), wait=to_duration(wait, "wait")
        )
        return self._caller.unary(methods.CANCEL_TASK, request, timeout, wait)

    def cancel_tasks(
        self, *, filter: str, reason: str = "", validate_only: bool = False, timeout: Timeout = None
    ) -> task_service_pb2.CancelTasksResponse:
        """Asks for all tasks that match a filter to be stopped, as with CancelTask.

        Args:
            filter: Which tasks, as in ListTasks; ended ones are left out. Must not be empty.
            reason: Why.
            validate_only: True: only count them.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.CancelTasksRequest(
            filter=filter, reason=reason, validate_only=validate_only
        )
        return self._caller.unary(methods.CANCEL_TASKS, request, timeout)

    def retry_task(
        self,
        task_id: str,
        *,
        spec: task_pb2.TaskSpec | None = None,
        update_mask: MaskLike = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> task_service_pb2.RetryTaskResponse:
        """Submits an ended task anew, with the same or an altered spec. The old task stays as it is.

        Args:
            task_id: The ended task.
            spec: What to change in its spec. Only what `update_mask` names is read. Checked as a whole
                after the change is applied.
            update_mask: Fields of `spec` to change. Unset: none.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.RetryTaskRequest(
            task_id=task_id,
            spec=spec,
            update_mask=to_mask(update_mask, "update_mask"),
            request_id=request_id or fresh_id(),
        )
        return self._caller.unary(methods.RETRY_TASK, request, timeout)

    def retry_tasks(
        self,
        *,
        project: str = "",
        filter: str,
        max_per_minute: int = 0,
        validate_only: bool = False,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> task_service_pb2.RetryTasksResponse:
        """Submits all failed and cancelled tasks that match a filter anew, newest first, as a task of the
        type `tasks.retry`; those that were retried before are left out. It acts as the caller, with the
        rights of that moment.

        Args:
            project: Project of the tasks, and of the task that does it. Empty: `default`.
            filter: Which tasks, as in ListTasks. Must not be empty.
            max_per_minute: Tasks submitted a minute at most. 0 means 1,000.
            validate_only: True: only count them.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.RetryTasksRequest(
            project=project,
            filter=filter,
            max_per_minute=max_per_minute,
            validate_only=validate_only,
            request_id=request_id or fresh_id(),
        )
        return self._caller.unary(methods.RETRY_TASKS, request, timeout)

    def update_task(
        self, *, task: task_pb2.Task | None = None, update_mask: MaskLike = None, timeout: Timeout = None
    ) -> task_service_pb2.UpdateTaskResponse:
        """Changes a task that is PENDING or QUEUED: priority, start, deadline, labels; also releases a
        held one. STATE_CONFLICT once it runs.

        Args:
            task: `id` says which; `etag`, if set, must be current. Checked as a whole after the change
                is applied.
            update_mask: What to change: `spec.priority`, `spec.start_after`, `spec.deadline`,
                `spec.labels`, `held`; `*` means these.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.UpdateTaskRequest(
            task=task, update_mask=to_mask(update_mask, "update_mask")
        )
        return self._caller.unary(methods.UPDATE_TASK, request, timeout)

    def watch_task_stream(
        self,
        task_id: str,
        *,
        from_seq: int = 0,
        kinds: Iterable[task_pb2.EventKind.ValueType] = (),
        min_log_level: task_pb2.LogLevel.ValueType = task_pb2.LOG_LEVEL_UNSPECIFIED,
    ) -> Stream[task_service_pb2.WatchTaskResponse]:
        """Follows one task: all its events from `from_seq` on, each once, in order, history and live
        alike. However slowly it is read, nothing is left out and nothing is merged, progress included:
        what a server does not keep in memory for a slow reader, it reads back from history. Ends with
        OK after the terminal event; NOT_FOUND once the task was removed. One call: it is not resumed
        when it breaks.

        Args:
            task_id: The task.
            from_seq: First event wanted. To resume: the last `seq` seen, plus one. 0: the first.
            kinds: Kinds wanted. Empty: all. Gaps and the terminal event always come.
            min_log_level: Lowest level of log lines wanted.
        """
        request = task_service_pb2.WatchTaskRequest(
            task_id=task_id, from_seq=from_seq, kinds=kinds, min_log_level=min_log_level
        )
        return self._caller.stream(methods.WATCH_TASK, request)

    def watch_tasks_stream(
        self, *, filter: str = "", resume_token: str = "", snapshot: bool = False
    ) -> Stream[task_service_pb2.WatchTasksResponse]:
        """Follows all tasks that match a filter, those submitted later included: how they change state,
        are cancelled, and come on; not their log lines and files. A change is sent where the task
        matches before or after it. Has no end.  Order holds within a task. Each change comes as an
        event, once, as a rule. Where events may have been missed (after a resume, because a notice was
        lost, or because the reader was too slow) the task itself comes instead, as it is now: no change
        remains unknown for more than 5 s, but those that came in between may. Such a task comes
        whatever state it is in by then, and may be known already. Progress is merged: a newer one
        replaces one that was not sent yet, and what was missed is not made up for. One call: it is not
        resumed when it breaks.

        Args:
            filter: Which tasks: `=` terms joined by AND, on `project`, `type`, `queue`, `state`,
                `labels.KEY`, `schedule_id`, `parent_task_id`. Empty: all.
            resume_token: Where to go on, from an earlier stream of the same caller and filter, of this
                or another server. Good for 24 hours, unless a task was removed meanwhile that had
                changed since: then, as with a foreign one, OUT_OF_RANGE with POSITION_EXPIRED, and a
                snapshot has to be taken anew. Empty: from now.
            snapshot: True: first send the tasks that match now and have not ended, at most 100,000.
        """
        request = task_service_pb2.WatchTasksRequest(
            filter=filter, resume_token=resume_token, snapshot=snapshot
        )
        return self._caller.stream(methods.WATCH_TASKS, request)

    def list_task_events(
        self,
        task_id: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        from_seq: int = 0,
        descending: bool = False,
        kinds: Iterable[task_pb2.EventKind.ValueType] = (),
        min_log_level: task_pb2.LogLevel.ValueType = task_pb2.LOG_LEVEL_UNSPECIFIED,
        attempt: int = 0,
        timeout: Timeout = None,
    ) -> Pages[task_service_pb2.ListTaskEventsResponse, task_pb2.TaskEvent]:
        """Reads a task's events in pages, both ways; the way to read its log.

        Args:
            task_id: The task.
            page_size: Events a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give. Empty: the first.
            from_seq: First sequence number wanted, or with `descending` the last. 0: no bound.
            descending: True: newest first, for the tail of a log.
            kinds: Kinds wanted. Empty: all.
            min_log_level: Lowest level of log lines wanted.
            attempt: Attempt wanted. 0: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> task_service_pb2.ListTaskEventsRequest:
            return task_service_pb2.ListTaskEventsRequest(
                task_id=task_id,
                page_size=page_size,
                page_token=page_token,
                from_seq=from_seq,
                descending=descending,
                kinds=kinds,
                min_log_level=min_log_level,
                attempt=attempt,
            )

        fetch = fetcher(self._caller, methods.LIST_TASK_EVENTS, request, timeout)
        return Pages(fetch, page_token, lambda page: page.events)

    def explain_task(self, task_id: str, *, timeout: Timeout = None) -> task_service_pb2.ExplainTaskResponse:
        """Says why a task is where it is: what it waits for and for how long, what it runs on, or why it
        ended.

        Args:
            task_id: The task.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.ExplainTaskRequest(task_id=task_id)
        return self._caller.unary(methods.EXPLAIN_TASK, request, timeout)

    def list_task_types(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> Pages[task_service_pb2.ListTaskTypesResponse, task_pb2.TaskType]:
        """Lists task types, without their schemas.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> task_service_pb2.ListTaskTypesRequest:
            return task_service_pb2.ListTaskTypesRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_TASK_TYPES, request, timeout)
        return Pages(fetch, page_token, lambda page: page.task_types)

    def get_task_type(self, name: str, *, timeout: Timeout = None) -> task_service_pb2.GetTaskTypeResponse:
        """Gets a task type with the JSON schemas of its input and output.

        Args:
            name: Name of the type.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.GetTaskTypeRequest(name=name)
        return self._caller.unary(methods.GET_TASK_TYPE, request, timeout)

    def create_schedule(
        self,
        *,
        project: str = "",
        name: str,
        description: str = "",
        timing: schedule_pb2.Timing,
        task: task_pb2.TaskSpec,
        missed: schedule_pb2.MissedPolicy.ValueType = schedule_pb2.MISSED_POLICY_UNSPECIFIED,
        max_catch_up: int = 0,
        overlap: schedule_pb2.OverlapPolicy.ValueType = schedule_pb2.OVERLAP_POLICY_UNSPECIFIED,
        pause_after_failures: int = 0,
        paused: bool = False,
        pause_reason: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> task_service_pb2.CreateScheduleResponse:
        """Creates a schedule. Who saves it must be allowed to submit its task.

        Args:
            project: Project of the schedule and its tasks. Empty: `default`. Can't change.
            name: Name, unique within the project.
            description: What it is for.
            timing: When to fire.
            task: What to submit. Strings in `input` may hold `{fire_time}` and `{last_fire_time}`, the
                newest fire time before it that made a task, as in `2026-11-01T12:00:00Z`; the first
                fire's last one is empty. Limits that are partly set take the rest from the type as it
                is when the schedule is saved. A `collection.run` with `{"collection_id": "…", "full":
                false}` is started as by RunCollection; a run that goes already, whoever started it,
                counts as the task of an earlier fire.
            missed: For fire times that were missed.
            max_catch_up: Most fires made up for under ALL. 0 means 10.
            overlap: For fires while an earlier task goes on.
            pause_after_failures: Pause after this many failed tasks in a row; cancelled ones don't
                count. 0: never.
            paused: True: does not fire. Set and cleared with UpdateSchedule; after a pause it goes on
                with the next fire time.
            pause_reason: Why it is paused. Cleared when it goes on.
            labels: Free tags; at most 32.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.CreateScheduleRequest(
            schedule=schedule_pb2.Schedule(
                project=project,
                name=name,
                description=description,
                timing=timing,
                task=task,
                missed=missed,
                max_catch_up=max_catch_up,
                overlap=overlap,
                pause_after_failures=pause_after_failures,
                paused=paused,
                pause_reason=pause_reason,
                labels=labels,
            ),
            request_id=request_id or fresh_id(),
        )
        return self._caller.unary(methods.CREATE_SCHEDULE, request, timeout)

    def get_schedule(
        self, schedule_id: str, *, timeout: Timeout = None
    ) -> task_service_pb2.GetScheduleResponse:
        """Gets a schedule with its next and newest fires.

        Args:
            schedule_id: The schedule.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.GetScheduleRequest(schedule_id=schedule_id)
        return self._caller.unary(methods.GET_SCHEDULE, request, timeout)

    def list_schedules(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> Pages[task_service_pb2.ListSchedulesResponse, schedule_pb2.Schedule]:
        """Lists schedules by name.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> task_service_pb2.ListSchedulesRequest:
            return task_service_pb2.ListSchedulesRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_SCHEDULES, request, timeout)
        return Pages(fetch, page_token, lambda page: page.schedules)

    def update_schedule(
        self,
        *,
        schedule: schedule_pb2.Schedule | None = None,
        update_mask: MaskLike = None,
        timeout: Timeout = None,
    ) -> task_service_pb2.UpdateScheduleResponse:
        """Changes a schedule; also pauses and resumes it. Holds from the next fire, which then acts as who
        saved it last.

        Args:
            schedule: `id` says which; `etag`, if set, must be current. Checked as a whole after the
                change is applied.
            update_mask: What to change.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.UpdateScheduleRequest(
            schedule=schedule, update_mask=to_mask(update_mask, "update_mask")
        )
        return self._caller.unary(methods.UPDATE_SCHEDULE, request, timeout)

    def delete_schedule(
        self, schedule_id: str, *, etag: str = "", timeout: Timeout = None
    ) -> task_service_pb2.DeleteScheduleResponse:
        """Deletes a schedule. Tasks it made go on.

        Args:
            schedule_id: The schedule.
            etag: If set, must be current.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.DeleteScheduleRequest(schedule_id=schedule_id, etag=etag)
        return self._caller.unary(methods.DELETE_SCHEDULE, request, timeout)

    def trigger_schedule(
        self,
        schedule_id: str,
        *,
        range: common_pb2.TimeRange | None = None,
        request_id: str = "",
        timeout: Timeout = None,
    ) -> task_service_pb2.TriggerScheduleResponse:
        """Fires now, or for all fire times in a past span, whatever the overlap policy says. Each fire
        time still makes at most one task, as far as fires are kept: as long as ended tasks are.

        Args:
            schedule_id: The schedule; may be paused.
            range: Fire for every fire time in this span, at most 1,000. Unset: once, now.
            request_id: Makes the call safe to repeat; see common.proto.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.TriggerScheduleRequest(
            schedule_id=schedule_id, range=range, request_id=request_id or fresh_id()
        )
        return self._caller.unary(methods.TRIGGER_SCHEDULE, request, timeout)

    def preview_schedule(
        self,
        *,
        timing: schedule_pb2.Timing,
        start_time: TimeLike = None,
        count: int = 0,
        timeout: Timeout = None,
    ) -> task_service_pb2.PreviewScheduleResponse:
        """Says when a timing would fire; nothing is stored.

        Args:
            timing: The timing.
            start_time: From when on. Unset: now.
            count: How many. 0 means 10.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.PreviewScheduleRequest(
            timing=timing, start_time=to_timestamp(start_time, "start_time"), count=count
        )
        return self._caller.unary(methods.PREVIEW_SCHEDULE, request, timeout)

    def get_file(self, file_id: str, *, timeout: Timeout = None) -> task_service_pb2.GetFileResponse:
        """Gets a file's description.

        Args:
            file_id: The file.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """
        request = task_service_pb2.GetFileRequest(file_id=file_id)
        return self._caller.unary(methods.GET_FILE, request, timeout)

    def list_files(
        self, *, page_size: int = 0, page_token: str = "", filter: str = "", timeout: Timeout = None
    ) -> Pages[task_service_pb2.ListFilesResponse, task_pb2.File]:
        """Lists files, newest first; `task_id = "…"` gives a task's artifacts.

        Args:
            page_size: Entries a page; 0 means 50, above 1,000 is lowered to 1,000.
            page_token: Page to give: `next_page_token` of the page before. Empty: the first.
            filter: Which entries; see common.proto. Empty: all.
            timeout: Seconds for the whole call, retries included; a `wait` adds to it.
        """

        def request(page_token: str) -> task_service_pb2.ListFilesRequest:
            return task_service_pb2.ListFilesRequest(
                page_size=page_size, page_token=page_token, filter=filter
            )

        fetch = fetcher(self._caller, methods.LIST_FILES, request, timeout)
        return Pages(fetch, page_token, lambda page: page.files)

    def download_file_stream(
        self, file_id: str, *, offset: int = 0, length: int = 0
    ) -> Stream[task_service_pb2.DownloadFileResponse]:
        """Downloads a file or a part of it. After a break: call again with the number of bytes that came
        as `offset`. One call: it is not resumed when it breaks.

        Args:
            file_id: The file.
            offset: First byte wanted; at most the size of the file.
            length: Bytes wanted; fewer come where the file ends before. 0: to the end.
        """
        request = task_service_pb2.DownloadFileRequest(file_id=file_id, offset=offset, length=length)
        return self._caller.stream(methods.DOWNLOAD_FILE, request)

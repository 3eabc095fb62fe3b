"""Tasks, their events and their types as messages."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from google.protobuf.field_mask_pb2 import FieldMask

from weir.v1 import task_pb2
from weir.v1 import task_service_pb2 as pb
from weir_core.files.models import from_event
from weir_core.fleet.models import TaskType
from weir_core.tasks.encoding import load_cancellation, load_failure
from weir_core.tasks.events import Event, EventKind
from weir_core.tasks.explaining import Explanation
from weir_core.tasks.models import (
    Attempt,
    Cancellation,
    Concurrency,
    Dependency,
    Failure,
    Limits,
    RetryPolicy,
    Task,
)
from weir_core.tasks.revising import CHANGEABLE, Revision, etag_of
from weir_core.tasks.states import Condition, FailureKind, OnConflict, Priority
from weir_core.tasks.submitting import NewTask
from weir_server.rpc.convert import duration, instant, json_object, masked, principal, span, struct, timestamp
from weir_server.rpc.convert_files import file

KINDS: Final[dict[int, EventKind]] = {
    task_pb2.EVENT_KIND_STATE: EventKind.STATE,
    task_pb2.EVENT_KIND_PROGRESS: EventKind.PROGRESS,
    task_pb2.EVENT_KIND_LOG: EventKind.LOG,
    task_pb2.EVENT_KIND_ARTIFACT: EventKind.ARTIFACT,
    task_pb2.EVENT_KIND_CANCEL: EventKind.CANCEL,
}
_WHOLE_FAILURES: Final = 3


def new_task(project: str, spec: task_pb2.TaskSpec, kind: TaskType, content: Any, **more: Any) -> NewTask:
    """What a caller asks for, laid over what the type says."""
    return NewTask(
        project=project or "default",
        type=spec.type,
        input=json_object(spec.input),
        queue=spec.queue,
        priority=Priority(spec.priority) if spec.priority else None,
        labels=dict(spec.labels),
        start_after=instant(spec, "start_after"),
        deadline=instant(spec, "deadline"),
        limits=_limits(spec, kind.limits),
        depends_on=[
            Dependency(UUID(each.task_id), Condition(each.condition or Condition.SUCCEEDED))
            for each in spec.depends_on
        ],
        concurrency=_concurrency(spec),
        retention=span(spec, "retention"),
        content=content,
        **more,
    )


def spec_anew(old: Task, changes: task_pb2.TaskSpec, mask: FieldMask) -> task_pb2.TaskSpec:
    """What an ended task was asked to do, without what lies behind it, with some fields changed."""
    made = spec(old, full=True)
    for past in ("start_after", "deadline", "depends_on"):
        made.ClearField(past)
    names = [field.name for field in task_pb2.TaskSpec.DESCRIPTOR.fields]
    if any(masked(mask, names)):
        whole = FieldMask(paths=sorted(masked(mask, names)))
        whole.MergeMessage(changes, made, replace_message_field=True, replace_repeated_field=True)
    return made


def revision(request: pb.UpdateTaskRequest) -> Revision:
    """What a waiting task is to become."""
    wanted, spec = request.task, request.task.spec
    return Revision(
        fields=masked(request.update_mask, CHANGEABLE),
        priority=Priority(spec.priority or Priority.NORMAL),
        start_after=instant(spec, "start_after"),
        deadline=instant(spec, "deadline"),
        labels=dict(spec.labels),
        held=wanted.held,
        etag=wanted.etag,
    )


def explanation(value: Explanation) -> pb.ExplainTaskResponse:
    """Why a task is where it is."""
    return pb.ExplainTaskResponse(
        state=task_pb2.TaskState.ValueType(value.state),
        summary=value.summary,
        blockers=[
            pb.ExplainTaskResponse.Blocker(
                kind=pb.BlockerKind.ValueType(each.kind),
                message=each.message,
                since_time=timestamp(each.since),
                until_time=timestamp(each.until),
                count=each.count,
                task_ids=[str(task_id) for task_id in each.task_ids],
            )
            for each in value.blockers
        ],
        hints=value.hints,
    )


def task(value: Task, *, full: bool) -> task_pb2.Task:
    """A task; without `full` as in the BASIC view."""
    newest = len(value.attempts) - _WHOLE_FAILURES
    return task_pb2.Task(
        id=str(value.id),
        project=value.project,
        spec=spec(value, full=full),
        state=task_pb2.TaskState.ValueType(value.state),
        attempt=value.attempt,
        progress=_progress(value.progress) if value.progress else None,
        output=struct(value.output) if full else None,
        failure=failure(value.failure, full=full),
        cancellation=_cancellation(value.cancellation),
        attempts=[_attempt(each, whole=place >= newest) for place, each in enumerate(value.attempts)]
        if full
        else (),
        last_seq=value.last_seq,
        type_version=value.type_version,
        held=value.held,
        creator=principal(value.creator),
        schedule_id="" if value.schedule_id is None else str(value.schedule_id),
        fire_time=timestamp(value.fire_time),
        parent_task_id=_id(value.parent_id),
        retry_of_task_id=_id(value.retry_of),
        etag=etag_of(value),
        create_time=timestamp(value.create_time),
        start_time=timestamp(value.start_time),
        end_time=timestamp(value.end_time),
        expire_time=timestamp(value.expire_time),
        output_file_id=_id(value.output_file_id),
    )


def _id(value: UUID | None) -> str:
    return "" if value is None else str(value)


def task_type(value: TaskType, *, schemas: bool) -> task_pb2.TaskType:
    """A task type; the schemas on Get only."""
    return task_pb2.TaskType(
        name=value.name,
        description=value.description,
        version=value.version,
        input_schema=struct(value.input_schema) if schemas else None,
        output_schema=struct(value.output_schema) if schemas else None,
        defaults=task_pb2.TaskSpec(
            type=value.name,
            queue=value.queue,
            priority=task_pb2.Priority.ValueType(value.priority),
            timeouts=_timeouts(value.limits),
            retry=_retry(value.limits.retry),
        ),
        permission=value.permission,
        worker_count=value.worker_count,
    )


def event(task_id: UUID, value: Event) -> task_pb2.TaskEvent:
    """One entry of a task's log."""
    message = task_pb2.TaskEvent(
        task_id=str(task_id), seq=value.seq, attempt=value.attempt, time=timestamp(value.time)
    )
    body = value.body
    match value.kind:
        case EventKind.STATE:
            message.state.CopyFrom(_state_change(body))
        case EventKind.PROGRESS:
            message.progress.CopyFrom(_progress(body | {"time": value.time.isoformat()}))
        case EventKind.LOG:
            message.log.CopyFrom(_log_line(body))
        case EventKind.ARTIFACT:
            message.artifact.CopyFrom(file(from_event(body, task_id, value.attempt)))
        case EventKind.CANCEL:
            message.cancel.CopyFrom(_cancellation(load_cancellation(body)) or task_pb2.Cancellation())
        case EventKind.GAP:
            message.gap.CopyFrom(task_pb2.Gap(**body))
    return message


def failure(value: Failure | None, *, full: bool) -> task_pb2.Failure | None:
    """A failure; stack traces and log tail with `full` only."""
    if value is None:
        return None
    message = task_pb2.Failure(
        kind=task_pb2.FailureKind.ValueType(value.kind),
        message=value.message,
        code=value.code,
        causes=[_cause(each, full=full) for each in value.causes],
        retryable=value.retryable,
        log_tail=[_log_line(line) for line in value.log_tail] if full else (),
        fingerprint=value.fingerprint,
    )
    _add_detail(message, value.detail)
    return message


def cancellation(value: Task) -> task_pb2.Cancellation | None:
    """A task's cancellation; None where none was asked for."""
    return _cancellation(value.cancellation)


def spec(value: Task, *, full: bool) -> task_pb2.TaskSpec:
    """What a task was asked to do, its input with `full` only."""
    return task_pb2.TaskSpec(
        type=value.type,
        input=struct(value.input) if full else None,
        queue=value.queue,
        priority=task_pb2.Priority.ValueType(value.priority),
        labels=value.labels,
        start_after=timestamp(value.start_after),
        deadline=timestamp(value.deadline),
        timeouts=_timeouts(value.limits),
        retry=_retry(value.limits.retry),
        depends_on=[
            task_pb2.Dependency(
                task_id=str(each.task_id), condition=task_pb2.DependencyCondition.ValueType(each.condition)
            )
            for each in value.depends_on
        ],
        concurrency=_shared(value.concurrency),
        retention=duration(value.retention),
    )


def _concurrency(spec: task_pb2.TaskSpec) -> Concurrency | None:
    if not spec.HasField("concurrency"):
        return None
    wanted = spec.concurrency
    return Concurrency(wanted.key, wanted.limit, OnConflict(wanted.on_conflict or OnConflict.WAIT))


def _shared(value: Concurrency | None) -> task_pb2.Concurrency | None:
    if value is None:
        return None
    policy = task_pb2.ConflictPolicy.ValueType(value.on_conflict)
    return task_pb2.Concurrency(key=value.key, limit=value.limit, on_conflict=policy)


def _timeouts(limits: Limits) -> task_pb2.Timeouts:
    return task_pb2.Timeouts(
        attempt=duration(limits.attempt), stall=duration(limits.stall), grace=duration(limits.grace)
    )


def _retry(policy: RetryPolicy) -> task_pb2.RetryPolicy:
    return task_pb2.RetryPolicy(
        max_attempts=policy.max_attempts,
        initial_delay=duration(policy.initial_delay),
        max_delay=duration(policy.max_delay),
        multiplier=policy.multiplier,
        kinds=[task_pb2.FailureKind.ValueType(kind) for kind in sorted(policy.kinds)],
    )


def _limits(spec: task_pb2.TaskSpec, defaults: Limits) -> Limits:
    base, retry = defaults.retry, spec.retry
    policy = RetryPolicy(
        max_attempts=retry.max_attempts or base.max_attempts,
        initial_delay=_or(span(retry, "initial_delay"), base.initial_delay),
        max_delay=_or(span(retry, "max_delay"), base.max_delay),
        multiplier=retry.multiplier or base.multiplier,
        kinds=frozenset(FailureKind(kind) for kind in retry.kinds) or base.kinds,
    )
    attempt, stall = span(spec.timeouts, "attempt"), span(spec.timeouts, "stall")
    return Limits(
        attempt=defaults.attempt if attempt is None else attempt,
        stall=defaults.stall if stall is None else stall,
        grace=_or(span(spec.timeouts, "grace"), defaults.grace),
        retry=policy,
    )


def _or(given: timedelta | None, default: timedelta) -> timedelta:
    return default if given is None else given


def _attempt(value: Attempt, *, whole: bool) -> task_pb2.Attempt:
    return task_pb2.Attempt(
        number=value.number,
        worker_id=str(value.worker_id),
        type_version=value.type_version,
        start_time=timestamp(value.start_time),
        end_time=timestamp(value.end_time),
        heartbeat_time=timestamp(value.heartbeat_time),
        failure=failure(value.failure, full=True) if whole else _short(value.failure),
        retry_time=timestamp(value.retry_time),
    )


def _short(value: Failure | None) -> task_pb2.Failure | None:
    if value is None:
        return None
    kind = task_pb2.FailureKind.ValueType(value.kind)
    return task_pb2.Failure(kind=kind, message=value.message, code=value.code, fingerprint=value.fingerprint)


def _cause(value: dict[str, str], *, full: bool) -> task_pb2.ErrorCause:
    kept = value if full else {name: text for name, text in value.items() if name != "stack_trace"}
    return task_pb2.ErrorCause(**kept)


def _add_detail(message: task_pb2.Failure, detail: dict[str, Any]) -> None:
    match detail.get("kind"):
        case "timeout":
            message.timeout.kind = task_pb2.TimeoutKind.Value(f"TIMEOUT_KIND_{detail['timeout']}")
            message.timeout.limit.FromTimedelta(timedelta(seconds=detail["seconds"]))
        case "exit":
            message.exit.CopyFrom(_exit(detail))
        case "http":
            message.http.status, message.http.host = detail["status"], detail["host"]
            if "retry_after" in detail:
                message.http.retry_after.FromTimedelta(timedelta(seconds=detail["retry_after"]))
        case "lost_worker":
            message.lost_worker.worker_id, message.lost_worker.reason = detail["worker_id"], detail["reason"]
        case _:
            return


def _exit(detail: dict[str, Any]) -> task_pb2.ExitDetail:
    return task_pb2.ExitDetail(
        code=detail["code"],
        signal=detail["signal"],
        out_of_memory=detail["out_of_memory"],
        memory_limit_bytes=detail["memory_limit_bytes"],
        memory_peak_bytes=detail["memory_peak_bytes"],
    )


def _progress(value: dict[str, Any]) -> task_pb2.Progress:
    time = timestamp(datetime.fromisoformat(value["time"]))
    return task_pb2.Progress(**{key: each for key, each in value.items() if key != "time"}, time=time)


def _log_line(value: dict[str, Any]) -> task_pb2.LogLine:
    return task_pb2.LogLine(
        level=value["level"], source=value["source"], text=value["text"], fields=value.get("fields", {})
    )


def _state_change(body: dict[str, Any]) -> task_pb2.StateChange:
    message = task_pb2.StateChange(from_state=body["from"], to_state=body["to"], reason=body["reason"])
    if (outcome := body["outcome"]) is not None:
        message.outcome.CopyFrom(
            task_pb2.Outcome(
                output=struct(outcome["output"]),
                failure=failure(load_failure(outcome["failure"]), full=True),
                attempts=outcome["attempts"],
                total_time=duration(timedelta(seconds=outcome["total_seconds"])),
                run_time=duration(timedelta(seconds=outcome["run_seconds"])),
                output_file_id=outcome.get("output_file_id") or "",
            )
        )
    return message


def _cancellation(value: Cancellation | None) -> task_pb2.Cancellation | None:
    if value is None:
        return None
    return task_pb2.Cancellation(
        phase=task_pb2.CancelPhase.ValueType(value.phase),
        reason=value.reason,
        requester=principal(value.requester),
        request_time=timestamp(value.request_time),
        signal_time=timestamp(value.signal_time),
        kill_time=timestamp(value.kill_time),
        confirm_time=timestamp(value.confirm_time),
        holdup=value.holdup,
    )

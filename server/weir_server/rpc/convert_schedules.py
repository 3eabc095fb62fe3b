"""Schedules, their timings and their fires as messages."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from weir.v1 import schedule_pb2, task_pb2
from weir_core.fleet.models import TaskType
from weir_core.schedules.models import Fire, MissedPolicy, NewSchedule, OverlapPolicy, Schedule
from weir_core.schedules.times import Timing
from weir_core.tasks.submitting import NewTask
from weir_core.users.permissions import DEFAULT_PROJECT
from weir_server.rpc import convert_tasks
from weir_server.rpc.convert import duration, instant, principal, span, timestamp, timestamps

SETTABLE: Final = (
    "name",
    "description",
    "timing",
    "task",
    "missed",
    "max_catch_up",
    "overlap",
    "pause_after_failures",
    "paused",
    "pause_reason",
    "labels",
)
_CATCH_UP: Final = 10


def new_schedule(message: schedule_pb2.Schedule, kind: TaskType) -> NewSchedule:
    """A schedule as a caller describes it; output-only fields are ignored."""
    project = message.project or DEFAULT_PROJECT
    return NewSchedule(
        project=project,
        name=message.name,
        description=message.description,
        timing=timing(message.timing, "schedule.timing"),
        spec=_json(message.task),
        template=_template(project, message.task, kind),
        missed=MissedPolicy(message.missed or MissedPolicy.LAST),
        max_catch_up=message.max_catch_up or _CATCH_UP,
        overlap=OverlapPolicy(message.overlap or OverlapPolicy.SKIP),
        pause_after_failures=message.pause_after_failures,
        paused=message.paused,
        pause_reason=message.pause_reason,
        labels=dict(message.labels),
    )


def content(message: schedule_pb2.Schedule) -> Any:
    """What a caller says of a schedule, to tell a repeat from another request."""
    kept = {"project", *SETTABLE}
    return {name: value for name, value in _json(message).items() if name in kept}


def schedule(value: Schedule) -> schedule_pb2.Schedule:
    """A schedule; with its newest fires where they were read."""
    wanted = value.wanted
    return schedule_pb2.Schedule(
        id=str(value.id),
        project=wanted.project,
        name=wanted.name,
        description=wanted.description,
        timing=_timing(wanted.timing),
        task=ParseDict(wanted.spec, task_pb2.TaskSpec(), ignore_unknown_fields=True),
        missed=schedule_pb2.MissedPolicy.ValueType(wanted.missed),
        max_catch_up=wanted.max_catch_up,
        overlap=schedule_pb2.OverlapPolicy.ValueType(wanted.overlap),
        pause_after_failures=wanted.pause_after_failures,
        paused=wanted.paused,
        pause_reason=wanted.pause_reason,
        labels=wanted.labels,
        next_fire_times=timestamps(value.next_fires),
        recent_fires=[fire(each) for each in value.recent_fires],
        creator=principal(value.creator),
        run_as=principal(value.run_as),
        etag=value.etag,
        create_time=timestamp(value.create_time),
        update_time=timestamp(value.update_time),
    )


def fire(value: Fire) -> schedule_pb2.Fire:
    """What became of a fire time."""
    return schedule_pb2.Fire(
        fire_time=timestamp(value.fire_time),
        action_time=timestamp(value.action_time),
        result=schedule_pb2.FireResult.ValueType(value.result),
        task_id="" if value.task_id is None else str(value.task_id),
        message=value.message,
        count=value.count,
    )


def timing(message: schedule_pb2.Timing, field: str) -> Timing:
    """When to fire; `field` is where the message stands in its request."""
    return Timing(
        cron=message.cron,
        interval=span(message, "interval", field),
        once=instant(message, "once", field),
        time_zone=message.time_zone,
        start_time=instant(message, "start_time", field),
        end_time=instant(message, "end_time", field),
        jitter=span(message, "jitter", field) or timedelta(0),
    )


def _timing(value: Timing) -> schedule_pb2.Timing:
    message = schedule_pb2.Timing(
        time_zone=value.time_zone,
        start_time=timestamp(value.start_time),
        end_time=timestamp(value.end_time),
        jitter=duration(value.jitter or None),
    )
    if value.interval is not None:
        message.interval.FromTimedelta(value.interval)
    elif value.once is not None:
        message.once.FromDatetime(value.once)
    else:
        message.cron = value.cron
    return message


def _template(project: str, spec: task_pb2.TaskSpec, kind: TaskType) -> NewTask:
    template = convert_tasks.new_task(project, spec, kind, None)
    # What the caller leaves to the type is the type's affair at each fire.
    return template if spec.HasField("timeouts") or spec.HasField("retry") else replace(template, limits=None)


def _json(message: Message) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True)

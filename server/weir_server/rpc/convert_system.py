"""Status, workers and queues as messages."""

from weir.v1 import system_pb2
from weir_core import __version__
from weir_core.fleet.models import Worker
from weir_core.system.health import Part, Status
from weir_core.tasks.queues import Queue
from weir_server.rpc.convert import duration, timestamp


def status(value: Status) -> system_pb2.SystemStatus:
    """The installation at one moment."""
    return system_pb2.SystemStatus(
        state=system_pb2.PartState.ValueType(value.state),
        version=__version__,
        parts=[_part(part) for part in value.parts],
        task_counts=value.task_counts,
        worker_count=value.worker_count,
        oldest_queued_age=duration(value.oldest_queued),
        disk_free_bytes=value.free_bytes,
    )


def worker(value: Worker) -> system_pb2.Worker:
    """A process that runs tasks."""
    return system_pb2.Worker(
        id=str(value.id),
        host=value.host,
        version=value.version,
        state=system_pb2.WorkerState.Value(f"WORKER_STATE_{value.state.value}"),
        queues=value.queues,
        task_types=sorted(value.types),
        slots=value.slots,
        task_ids=[str(task_id) for task_id in value.task_ids],
        start_time=timestamp(value.start_time),
        heartbeat_time=timestamp(value.heartbeat_time),
    )


def queue(value: Queue) -> system_pb2.Queue:
    """A queue with its limits."""
    return system_pb2.Queue(
        name=value.name,
        paused=value.gate.paused,
        pause_reason=value.gate.pause_reason,
        max_running=value.gate.max_running,
        max_per_minute=value.gate.max_per_minute,
        queued=value.queued,
        running=value.running,
        waiting=value.gate.waiting,
        oldest_age=duration(value.oldest),
        worker_count=value.worker_count,
    )


def _part(value: Part) -> system_pb2.Part:
    return system_pb2.Part(
        name=value.name,
        state=system_pb2.PartState.ValueType(value.state),
        message=value.message,
        latency=duration(value.latency),
        since_time=timestamp(value.since),
        version=value.version,
    )

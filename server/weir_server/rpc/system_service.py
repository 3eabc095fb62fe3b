"""SystemService: how the installation is."""

from typing import Any

from weir.v1 import system_pb2, system_service_pb2_grpc
from weir.v1 import system_service_pb2 as pb
from weir_core import __version__
from weir_core.system.health import Health, Part, Status
from weir_server.rpc.convert import duration, timestamp


class SystemServicer(system_service_pb2_grpc.SystemServiceServicer):
    """Status for operators."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(status=_status(await self._health.status()))


def _status(value: Status) -> system_pb2.SystemStatus:
    return system_pb2.SystemStatus(
        state=system_pb2.PartState.ValueType(value.state),
        version=__version__,
        parts=[_part(part) for part in value.parts],
        task_counts=value.task_counts,
        worker_count=value.worker_count,
        oldest_queued_age=duration(value.oldest_queued),
        disk_free_bytes=value.free_bytes,
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

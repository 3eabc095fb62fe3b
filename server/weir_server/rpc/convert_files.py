"""Files as messages."""

from weir.v1 import task_pb2
from weir_core.files.models import File
from weir_server.rpc.convert import principal, timestamp


def file(value: File) -> task_pb2.File:
    """A file of a task."""
    return task_pb2.File(
        id=str(value.id),
        project=value.project,
        name=value.name,
        media_type=value.media_type,
        size_bytes=value.size,
        sha256=value.sha256,
        task_id=str(value.task_id),
        creator=principal(value.creator),
        create_time=timestamp(value.create_time),
        expire_time=timestamp(value.expire_time),
    )

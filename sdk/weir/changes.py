"""What `watch_tasks` gives, one after the other."""

from dataclasses import dataclass

from weir.v1.task_pb2 import Task, TaskEvent
from weir.v1.task_service_pb2 import SnapshotEnd


@dataclass(frozen=True)
class SnapshotStart:
    """All tasks that match and have not ended follow, up to a SnapshotEnd; what was known before is void.

    `reason` says why, where the caller did not ask for it.
    """

    reason: str = ""


Change = Task | TaskEvent | SnapshotStart | SnapshotEnd

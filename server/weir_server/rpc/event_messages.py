"""Events as WatchTask sends them: a message a stretch, made once for all who watch the task and want all."""

from uuid import UUID
from weakref import WeakKeyDictionary

from weir.v1 import task_service_pb2 as pb
from weir_core.tasks.events import Stretch
from weir_core.tasks.history import EventFilter
from weir_server.rpc import convert_tasks


class EventMessages:
    """Messages, each kept as long as its stretch is."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Stretch, pb.WatchTaskResponse] = WeakKeyDictionary()

    def message(self, task_id: UUID, stretch: Stretch, wanted: EventFilter) -> pb.WatchTaskResponse | None:
        """What is wanted of a stretch; None where that is nothing."""
        if not stretch.events:
            return None
        if not wanted.passes_all:
            message = _message(task_id, stretch, wanted)
            return message if message.events else None
        made = self._made.get(stretch)
        if made is None:
            made = self._made[stretch] = _message(task_id, stretch, wanted)
        return made


def _message(task_id: UUID, stretch: Stretch, wanted: EventFilter) -> pb.WatchTaskResponse:
    events = [event for event in stretch.events if wanted.passes(event) or event.is_last]
    return pb.WatchTaskResponse(
        events=[convert_tasks.event(task_id, event) for event in events], through_seq=stretch.last_seq
    )

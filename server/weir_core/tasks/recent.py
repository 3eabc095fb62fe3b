"""What was told or read lately of the tasks that this process watches, for all their watchers together."""

from collections import OrderedDict
from uuid import UUID

from weir_core.tasks.events import Stretch


class Recent:
    """Stretches by task and first number; beyond a number of bytes (as JSON) the oldest go."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[UUID, int], Stretch] = OrderedDict()

    def put(self, task_id: UUID, stretch: Stretch) -> None:
        """Keep a stretch for a while."""
        self.drop(task_id, stretch.first_seq)
        self._kept[task_id, stretch.first_seq] = stretch
        self._bytes += stretch.size
        while self._bytes > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size

    def get(self, task_id: UUID, first_seq: int) -> Stretch | None:
        """The stretch that begins with a number."""
        return self._kept.get((task_id, first_seq))

    def drop(self, task_id: UUID, first_seq: int) -> None:
        """Forget a stretch that nobody needs any more."""
        dropped = self._kept.pop((task_id, first_seq), None)
        if dropped is not None:
            self._bytes -= dropped.size

"""What changes among many tasks as messages of WatchTasks: bounded, with the place to resume on the last."""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from google.protobuf.message import Message

from weir.v1 import task_service_pb2 as pb
from weir_core.tasks.news import Batch
from weir_server.rpc import convert_tasks

M = TypeVar("M", bound=Message)

_MOST: Final = 100
_BYTES: Final = 256 * 1024


def change_messages(batch: Batch) -> list[pb.WatchTasksResponse]:
    """The messages of a batch; none for an empty one."""
    tasks = (convert_tasks.task(task, full=False) for task in batch.tasks)
    events = (convert_tasks.event(news.task_id, news.event) for news in batch.events)
    messages = [pb.WatchTasksResponse(tasks=piece) for piece in _pieces(tasks)]
    messages += [pb.WatchTasksResponse(events=piece) for piece in _pieces(events)]
    if batch.snapshot_count is not None:
        end = pb.SnapshotEnd(task_count=batch.snapshot_count)
        messages.append(pb.WatchTasksResponse(snapshot_end=end))
    return messages


def _pieces(items: Iterable[M]) -> Iterator[list[M]]:
    piece, room = list[M](), _BYTES
    for item in items:
        size = item.ByteSize()
        if piece and (len(piece) == _MOST or size > room):
            yield piece
            piece, room = [], _BYTES
        piece.append(item)
        room -= size
    if piece:
        yield piece

import asyncio
from typing import Any

import pytest

from tests.sdk.fake import Fail, FakeServer, Silence
from weir import AsyncClient, SnapshotStart, errors, methods
from weir.changes import Change
from weir.v1.common_pb2 import Heartbeat
from weir.v1.task_pb2 import Progress, Task, TaskEvent
from weir.v1.task_service_pb2 import SnapshotEnd, WatchTasksResponse

LOST = Fail("UNAVAILABLE")
EXPIRED = Fail("OUT_OF_RANGE", "POSITION_EXPIRED", "take a snapshot anew")
END = SnapshotEnd(task_count=1)


def event(task_id: str, seq: int) -> TaskEvent:
    return TaskEvent(task_id=task_id, seq=seq, progress=Progress(done=seq))


def events(task_id: str, *seqs: int, token: str = "") -> WatchTasksResponse:
    return WatchTasksResponse(events=[event(task_id, seq) for seq in seqs], resume_token=token)


def tasks(*ids: str) -> WatchTasksResponse:
    return WatchTasksResponse(tasks=[Task(id=each) for each in ids])


def snapshot_end(token: str) -> WatchTasksResponse:
    return WatchTasksResponse(snapshot_end=END, resume_token=token)


async def given(client: AsyncClient, count: int, **arguments: Any) -> list[Change]:
    async with asyncio.timeout(20), client.tasks.watch_tasks(**arguments) as watch:
        return [await anext(watch) for _ in range(count)]


def asked(server: FakeServer) -> list[tuple[str, bool]]:
    return [(each.resume_token, each.snapshot) for each in server.requests(methods.WATCH_TASKS)]


class TestWatchTasks:
    async def test_gives_a_snapshot_with_its_marks_then_events_one_by_one(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(
            methods.WATCH_TASKS,
            [tasks("a", "b"), snapshot_end("t1"), events("a", 3, 4, token="t2"), Silence()],
        )
        found = await given(client, 6, filter="queue = gpu", snapshot=True)
        assert found == [SnapshotStart(), Task(id="a"), Task(id="b"), END, event("a", 3), event("a", 4)]
        assert server.requests(methods.WATCH_TASKS)[0].filter == "queue = gpu"

    async def test_goes_on_behind_what_was_handed_over(self, server: FakeServer, client: AsyncClient):
        start = WatchTasksResponse(heartbeat=Heartbeat(), resume_token="t0")
        server.script(
            methods.WATCH_TASKS,
            [start, LOST],
            [events("a", 1, token="t1"), events("a", 2), LOST],
            [events("a", 2, token="t2"), Silence()],
        )
        assert await given(client, 3) == [event("a", 1), event("a", 2), event("a", 2)]
        assert asked(server) == [("", False), ("t0", False), ("t1", False)]

    async def test_a_snapshot_that_broke_off_begins_anew_and_says_so(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.WATCH_TASKS, [tasks("a"), LOST], [tasks("a"), snapshot_end("t1"), Silence()])
        found = await given(client, 5, snapshot=True)
        again = found[2]
        assert isinstance(again, SnapshotStart)
        assert "broke" in again.reason
        assert [found[0], *found[3:]] == [SnapshotStart(), Task(id="a"), END]
        assert asked(server) == [("", True), ("", True)]

    async def test_a_place_that_is_not_kept_brings_a_snapshot_and_says_so(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(
            methods.WATCH_TASKS,
            [events("a", 1, token="t1"), LOST],
            [EXPIRED],
            [tasks("b"), snapshot_end("t2"), LOST],
            [events("b", 9), Silence()],
        )
        found = await given(client, 5)
        again = found[1]
        assert isinstance(again, SnapshotStart)
        assert "take a snapshot anew" in again.reason
        assert found[2:] == [Task(id="b"), END, event("b", 9)]
        assert asked(server) == [("", False), ("t1", False), ("", True), ("t2", False)]

    async def test_trouble_before_the_first_message_is_no_snapshot_anew(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.WATCH_TASKS, [LOST], [LOST], [snapshot_end("t1"), Silence()])
        assert await given(client, 2, snapshot=True) == [SnapshotStart(), END]

    async def test_the_place_counts_once_all_before_it_was_handed_over(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.WATCH_TASKS, [events("a", 1, 2, token="t1"), Silence()])
        async with asyncio.timeout(20), client.tasks.watch_tasks(resume_token="t0") as watch:
            await anext(watch)
            assert watch.resume_token == "t0"
            await anext(watch)
            assert watch.resume_token == "t1"
        assert [change async for change in watch] == []

    async def test_raises_what_no_reconnect_would_mend(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASKS, [Fail("PERMISSION_DENIED", "PERMISSION_MISSING")])
        with pytest.raises(errors.PermissionDenied):
            await given(client, 1)

import asyncio
from typing import Any

import pytest

from tests.sdk.fake import Fail, FakeServer, Silence
from weir import AsyncClient, errors, methods
from weir.v1.task_pb2 import (
    LOG_LEVEL_INFO,
    TASK_STATE_RUNNING,
    TASK_STATE_SUCCEEDED,
    Gap,
    LogLine,
    StateChange,
    Task,
    TaskEvent,
)
from weir.v1.task_service_pb2 import GetTaskResponse, WatchTaskResponse

LOST = Fail("UNAVAILABLE")


def item(seq: int, through: int = 0, **payload: Any) -> WatchTaskResponse:
    payload = payload or {"log": LogLine(text=f"line {seq}")}
    return WatchTaskResponse(events=[TaskEvent(task_id="t1", seq=seq, **payload)], through_seq=through or seq)


def last(seq: int) -> WatchTaskResponse:
    return item(seq, state=StateChange(to_state=TASK_STATE_SUCCEEDED))


def gap(start: int, end: int) -> WatchTaskResponse:
    return item(end, gap=Gap(from_seq=start, to_seq=end, reason="lost live log"))


def several(*items: WatchTaskResponse) -> WatchTaskResponse:
    events = [event for each in items for event in each.events]
    return WatchTaskResponse(events=events, through_seq=items[-1].through_seq)


def heartbeat(through: int) -> WatchTaskResponse:
    made = WatchTaskResponse(through_seq=through)
    made.heartbeat.SetInParent()
    return made


async def seen(client: AsyncClient, **arguments: Any) -> list[int]:
    async with asyncio.timeout(20):
        return [event.seq async for event in client.tasks.watch("t1", **arguments)]


def asked_from(server: FakeServer) -> list[int]:
    return [request.from_seq for request in server.requests(methods.WATCH_TASK)]


class TestWatch:
    async def test_ends_after_the_terminal_event(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(1), item(2), last(3), Silence()])
        assert await seen(client) == [1, 2, 3]

    async def test_goes_on_where_a_connection_broke(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(1), item(2), LOST], [LOST], [item(3), last(4)])
        assert await seen(client) == [1, 2, 3, 4]
        assert asked_from(server) == [1, 3, 3]

    @pytest.mark.parametrize(
        "failure",
        [
            Fail("UNAVAILABLE", "DRAINING"),
            Fail("INTERNAL"),
            Fail("UNKNOWN"),
            Fail("CANCELLED"),
            Fail("DEADLINE_EXCEEDED"),
            Fail("ABORTED"),
        ],
    )
    async def test_goes_on_after_what_may_pass(self, server: FakeServer, client: AsyncClient, failure: Fail):
        server.script(methods.WATCH_TASK, [item(1), failure], [last(2)])
        assert await seen(client) == [1, 2]

    @pytest.mark.parametrize(
        "failure,kind",
        [
            (Fail("NOT_FOUND", "NOT_FOUND"), errors.NotFound),
            (Fail("PERMISSION_DENIED", "PERMISSION_MISSING"), errors.PermissionDenied),
            (Fail("INVALID_ARGUMENT", "FIELD_INVALID"), errors.FieldInvalid),
            (Fail("INTERNAL", "INTERNAL"), errors.Internal),
            (Fail("UNAUTHENTICATED", "TOKEN_REVOKED"), errors.TokenRevoked),
            (Fail("RESOURCE_EXHAUSTED"), errors.ResourceExhausted),
        ],
    )
    async def test_raises_what_no_reconnect_would_mend(
        self, server: FakeServer, client: AsyncClient, failure: Fail, kind: type[errors.CallError]
    ):
        server.script(methods.WATCH_TASK, [item(1), failure])
        with pytest.raises(kind):
            await seen(client)
        assert len(server.calls) == 1

    async def test_drops_what_comes_twice(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(1), item(2), LOST], [item(1), item(2), item(2), last(3)])
        assert await seen(client) == [1, 2, 3]

    async def test_asks_again_for_what_was_left_out(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(1), item(4)], [item(2), item(3), item(4), last(5)])
        assert await seen(client) == [1, 2, 3, 4, 5]
        assert asked_from(server) == [1, 2]

    async def test_says_what_never_came(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(1), item(4)], [item(4)], [item(4), last(5)])
        async with asyncio.timeout(20):
            events = [event async for event in client.tasks.watch("t1")]
        assert [event.seq for event in events] == [1, 3, 4, 5]
        assert (events[1].gap.from_seq, events[1].gap.to_seq) == (2, 3)

    async def test_a_gap_stands_for_all_that_it_names(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(1), gap(2, 7), item(8), LOST], [last(9)])
        assert await seen(client) == [1, 7, 8, 9]
        assert asked_from(server) == [1, 9]

    async def test_several_events_in_a_message_come_one_by_one(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [several(item(1), item(2)), several(item(3), last(4))])
        assert await seen(client) == [1, 2, 3, 4]

    async def test_left_in_the_middle_of_a_message_it_is_gone_on_with_from_there(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.WATCH_TASK, [several(item(1), item(2), item(3)), Silence()], [item(3), last(4)])
        async with client.tasks.watch("t1") as watch:
            assert [(await anext(watch)).seq, (await anext(watch)).seq] == [1, 2]
        assert await seen(client, from_seq=watch.next_seq) == [3, 4]
        assert asked_from(server) == [1, 3]

    async def test_a_hole_within_a_message_is_asked_for_again(self, server: FakeServer, client: AsyncClient):
        holed = several(item(1), item(2), item(4), item(5))
        server.script(methods.WATCH_TASK, [holed], [several(item(3), item(4), last(5))])
        assert await seen(client) == [1, 2, 3, 4, 5]
        assert asked_from(server) == [1, 3]

    async def test_a_hole_at_the_end_of_a_message_is_asked_for_again(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.WATCH_TASK, [item(1, through=3)], [several(item(2), item(3), last(4))])
        assert await seen(client) == [1, 2, 3, 4]
        assert asked_from(server) == [1, 2]

    async def test_starts_where_it_is_told(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(5), last(6)])
        assert await seen(client, from_seq=5) == [5, 6]
        assert asked_from(server) == [5]

    async def test_a_filtered_one_resumes_behind_what_was_not_wanted(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.WATCH_TASK, [item(2), item(5, through=8), heartbeat(20), LOST], [last(30)])
        assert await seen(client, kinds=["log"], min_log_level=LOG_LEVEL_INFO) == [2, 5, 30]
        assert asked_from(server) == [1, 21]
        assert list(server.requests(methods.WATCH_TASK)[0].kinds) == [3]

    async def test_heartbeats_are_no_events(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [heartbeat(0), item(1), heartbeat(1), last(2)])
        assert await seen(client) == [1, 2]

    async def test_an_end_before_the_terminal_event_is_a_broken_connection(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.WATCH_TASK, [item(1)], [last(2)])
        server.script(methods.GET_TASK, GetTaskResponse(task=Task(state=TASK_STATE_RUNNING, last_seq=1)))
        assert await seen(client) == [1, 2]

    async def test_from_behind_the_end_is_empty(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [])
        server.script(methods.GET_TASK, GetTaskResponse(task=Task(state=TASK_STATE_SUCCEEDED, last_seq=9)))
        assert await seen(client, from_seq=10) == []

    async def test_a_server_that_is_not_there_at_the_start_is_an_error(
        self, server: FakeServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("weir.aio.watch.PATIENCE", 0.3)
        server.script(methods.WATCH_TASK, [LOST])
        with pytest.raises(errors.Unavailable):
            await seen(client)

    async def test_silence_is_a_broken_connection(
        self, server: FakeServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("weir.aio.watch.SILENCE", 0.2)
        server.script(methods.WATCH_TASK, [item(1), Silence()], [last(2)])
        assert await seen(client) == [1, 2]

    async def test_leaving_early_ends_the_call(self, server: FakeServer, client: AsyncClient):
        server.script(methods.WATCH_TASK, [item(1), Silence()])
        async with client.tasks.watch("t1") as watch:
            async for _ in watch:
                break
            assert watch.next_seq == 2
        assert await asyncio.to_thread(server.ended.wait, 5)
        assert [event async for event in watch] == []

    async def test_many_take_another_channel_and_give_their_places_back(
        self, server: FakeServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("weir.aio.channels.STREAMS_PER_CHANNEL", 8)
        server.script(methods.WATCH_TASK, [item(1), Silence()])
        lent = client._channels
        watches = [client.tasks.watch("t1") for _ in range(20)]
        for watch in watches:
            await anext(watch)
        assert [each.streams for each in lent._streams] == [8, 8, 4]
        for watch in watches:
            watch.close()
        assert [each.streams for each in lent._streams] == [0, 0, 0]

"""WatchTask and WatchTasks over the wire."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import grpc
import pytest
from sqlalchemy import delete

from tests.fixtures.engine import ECHO
from tests.fixtures.server import Client, ServerUnderTest, refused
from weir.v1 import task_pb2
from weir.v1 import task_service_pb2 as pb
from weir_core.ids import new_id
from weir_core.tasks import watching
from weir_core.tasks.execution import Claimed
from weir_core.tasks.outcomes import Ended
from weir_core.users.models import role_binding
from weir_server.rpc import task_service

CODE = grpc.StatusCode
SECONDS = 60
STREAMS_A_CONNECTION = 90


class Hands:
    """A worker that is only a row, and what it does to tasks."""

    def __init__(self, server: ServerUnderTest) -> None:
        self.server = server
        self.execution = server.runtime.execution
        self.worker_id = new_id()

    async def register(self) -> "Hands":
        values = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]}
        await self.server.runtime.fleet.register(self.worker_id, values, [ECHO])
        return self

    async def submit(self, **labels: str) -> str:
        spec = task_pb2.TaskSpec(type="probe.echo", labels=labels)
        spec.input.update({"text": "hi"})
        return (await self.server.admin.tasks.SubmitTask(pb.SubmitTaskRequest(spec=spec))).task.id

    async def claim(self, task_id: str) -> Claimed:
        (claimed,) = await self.execution.claim([UUID(task_id)], self.worker_id, {"probe.echo": 1})
        await self.execution.send([claimed.log])
        return claimed

    async def say(self, claimed: Claimed, *texts: str, level: int = 2) -> None:
        for text in texts:
            claimed.log.add_log({"level": level, "source": 1, "text": text, "fields": {}})
        claimed.log.number()
        await self.execution.send([claimed.log])

    async def end(self, claimed: Claimed) -> None:
        await self.execution.finish(claimed.log, Ended(output={"n": 1}))


@pytest.fixture
async def hands(server: ServerUnderTest) -> Hands:
    return await Hands(server).register()


@asynccontextmanager
async def callers(server: ServerUnderTest, count: int) -> AsyncGenerator[list[Client]]:
    """So many callers, on as few connections as may be."""
    # Channels with the same options would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(server.address, options=options))
            for _ in range(0, count, STREAMS_A_CONNECTION)
        ]
        yield [
            Client(channels[number // STREAMS_A_CONNECTION], server.admin.credential)
            for number in range(count)
        ]


def watch(client: Client, task_id: str, **more: Any) -> Any:
    return client.tasks.WatchTask(pb.WatchTaskRequest(task_id=task_id, **more), timeout=SECONDS)


async def numbers(stream: Any) -> list[int]:
    """The numbers of all events up to the end."""
    return [event.seq async for message in stream for event in message.events]


class TestWatchTask:
    async def test_p05_hundreds_of_watchers_miss_nothing(self, server: ServerUnderTest, hands: Hands):
        tasks = [await hands.claim(await hands.submit()) for _ in range(10)]
        async with callers(server, 520) as clients:
            watched = [
                asyncio.create_task(numbers(watch(client, str(tasks[number % 10].task.id))))
                for number, client in enumerate(clients)
            ]
            for number in range(8):
                for claimed in tasks:
                    await hands.say(claimed, *(f"{number} {each}" for each in range(3)))
                if number == 4:
                    await hands.execution.report([claimed.log for claimed in tasks])
                    await hands.execution.trim([claimed.log for claimed in tasks])
            for claimed in tasks:
                await hands.end(claimed)
            async with asyncio.timeout(SECONDS):
                got = await asyncio.gather(*watched)
        assert len(got) == 520
        assert [place for place, seqs in enumerate(got) if seqs != list(range(1, 28))] == []

    async def test_several_events_come_in_one_message_up_to_a_bound(
        self, server: ServerUnderTest, hands: Hands
    ):
        claimed = await hands.claim(await hands.submit())
        await hands.say(claimed, *("x" * 30_000 for _ in range(10)), *(f"{each}" for each in range(250)))
        await hands.end(claimed)
        messages = [message async for message in watch(server.admin, str(claimed.task.id))]
        seqs = [event.seq for message in messages for event in message.events]
        assert seqs == list(range(1, 264))
        assert max(len(message.events) for message in messages) == 100
        assert all(message.ByteSize() < 80_000 for message in messages)
        assert [message.through_seq for message in messages] == [
            message.events[-1].seq for message in messages
        ]

    async def test_kinds_and_levels_choose_and_the_last_event_always_comes(
        self, server: ServerUnderTest, hands: Hands
    ):
        claimed = await hands.claim(await hands.submit())
        for level in (1, 2, 3, 4):
            await hands.say(claimed, f"level {level}", level=level)
        await hands.end(claimed)
        chosen = {"kinds": [task_pb2.EVENT_KIND_LOG], "min_log_level": task_pb2.LOG_LEVEL_WARNING}
        messages = [message async for message in watch(server.admin, str(claimed.task.id), **chosen)]
        assert [event.seq for message in messages for event in message.events] == [5, 6, 7]
        assert messages[-1].through_seq == 7

    async def test_silence_is_filled_with_heartbeats_that_tell_the_place(
        self, server: ServerUnderTest, hands: Hands, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(watching, "_QUIET_SECONDS", 0.2)
        monkeypatch.setattr(task_service, "_QUIET_SECONDS", 0.2)
        claimed = await hands.claim(await hands.submit())
        await hands.say(claimed, "not wanted")
        stream = aiter(watch(server.admin, str(claimed.task.id), kinds=[task_pb2.EVENT_KIND_PROGRESS]))
        async with asyncio.timeout(SECONDS):
            while (message := await anext(stream)).through_seq < 3:
                assert message.HasField("heartbeat")
        assert message.HasField("heartbeat")
        assert not message.events

    async def test_p05_a_client_that_does_not_read_loses_nothing_and_slows_nobody(
        self, server: ServerUnderTest, hands: Hands
    ):
        claimed = await hands.claim(await hands.submit())
        slow = aiter(watch(server.admin, str(claimed.task.id)))
        first = await anext(slow)
        fast = asyncio.create_task(numbers(watch(server.admin, str(claimed.task.id))))
        for number in range(40):
            await hands.say(claimed, *(f"{number} {each} " + "x" * 100 for each in range(250)))
            if number % 10 == 9:
                await hands.execution.report([claimed.log])
                await hands.execution.trim([claimed.log])
        await hands.end(claimed)
        async with asyncio.timeout(SECONDS):
            assert await fast == list(range(1, 10_004))
            assert [event.seq for event in first.events] + await numbers(slow) == list(range(1, 10_004))

    async def test_a_task_out_of_sight_is_not_found(self, server: ServerUnderTest, hands: Hands):
        task_id = await hands.submit()
        ann = await server.user("ann", "viewer", "system")
        assert (await refused(watch(ann, task_id))).code == CODE.NOT_FOUND


class Changes:
    """What one stream of WatchTasks gave."""

    def __init__(self, client: Client, **request: Any) -> None:
        self._stream = aiter(client.tasks.WatchTasks(pb.WatchTasksRequest(**request), timeout=SECONDS))
        self.states: dict[str, int] = {}
        self.token = ""
        self.ended = -1

    async def start(self) -> "Changes":
        """Until the watch stands."""
        async with asyncio.timeout(SECONDS):
            while not self.token:
                await self.read()
        return self

    async def read(self) -> pb.WatchTasksResponse:
        message: pb.WatchTasksResponse = await anext(self._stream)
        self.states |= {task.id: task.state for task in message.tasks}
        self.states |= {
            each.task_id: each.state.to_state for each in message.events if each.HasField("state")
        }
        self.token = message.resume_token or self.token
        self.ended = message.snapshot_end.task_count if message.HasField("snapshot_end") else self.ended
        return message

    async def saw(self, task_id: str, state: int) -> None:
        async with asyncio.timeout(SECONDS):
            while self.states.get(task_id) != state:
                await self.read()


class TestWatchTasks:
    async def test_the_snapshot_comes_first_then_news(self, server: ServerUnderTest, hands: Hands):
        old = await hands.submit()
        changes = await Changes(server.admin, snapshot=True).start()
        assert (changes.states, changes.ended) == ({old: task_pb2.TASK_STATE_QUEUED}, 1)
        claimed = await hands.claim(await hands.submit())
        await changes.saw(str(claimed.task.id), task_pb2.TASK_STATE_RUNNING)
        await hands.end(claimed)
        await changes.saw(str(claimed.task.id), task_pb2.TASK_STATE_SUCCEEDED)

    async def test_without_one_the_place_to_resume_comes_at_once(self, server: ServerUnderTest, hands: Hands):
        await hands.submit()
        stream = aiter(server.admin.tasks.WatchTasks(pb.WatchTasksRequest()))
        first = await anext(stream)
        assert first.HasField("heartbeat")
        assert first.resume_token
        assert not first.tasks

    async def test_p05_it_goes_on_at_another_server(
        self, server: ServerUnderTest, hands: Hands, second: Client
    ):
        changes = await Changes(server.admin, filter='labels.who = "ann"').start()
        mine, other = (
            await hands.claim(await hands.submit(who="ann")),
            await hands.claim(await hands.submit()),
        )
        await changes.saw(str(mine.task.id), task_pb2.TASK_STATE_RUNNING)
        await hands.end(mine)
        await hands.end(other)
        elsewhere = second.acting_by(server.admin.credential)
        resumed = Changes(elsewhere, filter='labels.who = "ann"', resume_token=changes.token)
        await resumed.saw(str(mine.task.id), task_pb2.TASK_STATE_SUCCEEDED)
        assert str(other.task.id) not in resumed.states

    @pytest.mark.parametrize("filter_text", ["", "project = default"])
    async def test_a_foreign_place_is_refused(self, server: ServerUnderTest, hands: Hands, filter_text: str):
        changes = await Changes(server.admin).start()
        ann = await server.user("ann", "viewer")
        for client, token in ((ann, changes.token), (server.admin, "nonsense"), (server.admin, "x" * 100)):
            request = pb.WatchTasksRequest(filter=filter_text, resume_token=token)
            error = await refused(client.tasks.WatchTasks(request))
            assert (error.code, error.reason) == (CODE.OUT_OF_RANGE, "POSITION_EXPIRED")

    async def test_what_makes_no_sense_is_refused_with_the_field(self, server: ServerUnderTest):
        both = pb.WatchTasksRequest(snapshot=True, resume_token="x")
        error = await refused(server.admin.tasks.WatchTasks(both))
        assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "FIELD_INVALID")
        assert "resume_token" in error.message
        either = pb.WatchTasksRequest(filter="state = FAILED OR queue = gpu")
        error = await refused(server.admin.tasks.WatchTasks(either))
        assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "FILTER_INVALID")
        assert "AND" in error.fields["filter"]

    async def test_p13_only_projects_in_sight_and_none_once_the_right_is_taken(
        self, server: ServerUnderTest, hands: Hands
    ):
        ann, bob = await server.user("ann", "viewer"), await server.user("bob", "viewer", "system")
        seen = await Changes(ann, snapshot=True).start()
        hidden = await Changes(bob, snapshot=True).start()
        task_id = await hands.submit()
        await seen.saw(task_id, task_pb2.TASK_STATE_QUEUED)
        taken = delete(role_binding).where(role_binding.c.project == "default")
        await server.runtime.db.write(lambda tx: tx.execute(taken))
        error = await refused(seen._stream)
        assert (error.code, error.reason) == (CODE.PERMISSION_DENIED, "PERMISSION_MISSING")
        assert hidden.states == {}

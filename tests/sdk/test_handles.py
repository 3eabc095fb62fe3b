import asyncio
import socket

import pytest

from tests.sdk.fake import Fail, FakeServer
from weir import AsyncClient, errors, methods
from weir.v1.collection_pb2 import Run, RunCounters
from weir.v1.collection_service_pb2 import GetRunResponse, RunCollectionResponse
from weir.v1.task_pb2 import (
    CANCEL_PHASE_CONFIRMED,
    TASK_STATE_FAILED,
    TASK_STATE_RUNNING,
    TASK_STATE_SUCCEEDED,
    Cancellation,
    Task,
)
from weir.v1.task_service_pb2 import CancelTaskResponse, GetTaskResponse, SubmitTaskResponse
from weir.values import to_struct

RUNNING = GetTaskResponse(task=Task(id="t1", state=TASK_STATE_RUNNING))
DONE = GetTaskResponse(task=Task(id="t1", state=TASK_STATE_SUCCEEDED, output=to_struct({"sum": 3})))


class TestTaskHandle:
    async def test_submit_gives_a_handle(self, server: FakeServer, client: AsyncClient):
        answer = SubmitTaskResponse(task=Task(id="t1"), created=True, warnings=["no live worker"])
        server.script(methods.SUBMIT_TASK, answer)
        handle = await client.tasks.submit("demo.add", {"a": 1})
        assert (handle.id, handle.created, handle.warnings) == ("t1", True, ["no live worker"])

    async def test_result_waits_for_the_output(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, RUNNING, RUNNING, DONE)
        assert await client.tasks.handle("t1").result() == {"sum": 3}
        assert server.requests(methods.GET_TASK)[0].wait.seconds == 30

    async def test_result_waits_for_a_server_that_comes_back(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, RUNNING, Fail("INTERNAL"), DONE)
        assert await client.tasks.handle("t1").result(timeout=20) == {"sum": 3}

    async def test_result_says_what_state_it_left_it_in(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, RUNNING)
        async with asyncio.timeout(5):
            with pytest.raises(errors.NotEnded, match=r"t1 is RUNNING after 0\.3 s") as caught:
                await client.tasks.handle("t1").result(timeout=0.3)
        assert isinstance(caught.value, TimeoutError)

    async def test_a_deaf_server_does_not_hold_result_for_longer_than_asked(self):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            async with AsyncClient(f"127.0.0.1:{deaf.getsockname()[1]}") as client, asyncio.timeout(5):
                with pytest.raises(TimeoutError) as caught:
                    await client.tasks.result("t1", timeout=0.2)
        assert isinstance(caught.value, errors.DeadlineExceeded)

    async def test_result_of_what_is_not_there_is_raised(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, Fail("NOT_FOUND", "NOT_FOUND"))
        with pytest.raises(errors.NotFound):
            await client.tasks.handle("t1").result()

    async def test_wait_gives_the_task_however_it_ended(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, GetTaskResponse(task=Task(id="t1", state=TASK_STATE_FAILED)))
        assert (await client.tasks.handle("t1").wait()).state == TASK_STATE_FAILED

    async def test_cancel_answers_with_the_phase(self, server: FakeServer, client: AsyncClient):
        answer = CancelTaskResponse(cancellation=Cancellation(phase=CANCEL_PHASE_CONFIRMED))
        server.script(methods.CANCEL_TASK, answer)
        told = await client.tasks.handle("t1").cancel("too slow", grace=0, wait=5)
        assert told.cancellation.phase == CANCEL_PHASE_CONFIRMED
        (request,) = server.requests(methods.CANCEL_TASK)
        assert (request.reason, request.HasField("grace"), request.wait.seconds) == ("too slow", True, 5)


class TestRunHandle:
    async def test_run_gives_its_counters_in_the_end(self, server: FakeServer, client: AsyncClient):
        run = Run(id="t1", dataset_id="d1")
        server.script(methods.RUN_COLLECTION, RunCollectionResponse(run=run, created=True))
        server.script(methods.GET_TASK, RUNNING, DONE)
        run.counters.CopyFrom(RunCounters(records_written=7))
        server.script(methods.GET_RUN, GetRunResponse(run=run))
        handle = await client.collections.run("c1", full=True)
        assert (handle.id, handle.dataset_id) == ("t1", "d1")
        assert (await handle.result()).counters.records_written == 7
        assert server.requests(methods.RUN_COLLECTION)[0].full is True

    async def test_without_full_the_span_is_left_open(self, server: FakeServer, client: AsyncClient):
        server.script(methods.RUN_COLLECTION, RunCollectionResponse(run=Run(id="t1")))
        await client.collections.run("c1")
        assert server.requests(methods.RUN_COLLECTION)[0].WhichOneof("span") is None

    async def test_a_failed_run_raises_as_its_task_does(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_RUN, GetRunResponse(run=Run(id="t1", dataset_id="d1")))
        server.script(methods.GET_TASK, GetTaskResponse(task=Task(id="t1", state=TASK_STATE_FAILED)))
        with pytest.raises(errors.TaskFailed):
            await (await client.collections.run_handle("t1")).result()

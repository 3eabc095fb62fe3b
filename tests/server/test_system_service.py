"""Workers and queues over the wire."""

from typing import Any
from uuid import UUID

import grpc
import pytest

from tests.fixtures.engine import ECHO
from tests.fixtures.server import ServerUnderTest, refused
from weir.v1 import system_pb2, task_pb2
from weir.v1 import system_service_pb2 as pb
from weir.v1 import task_service_pb2 as tasks_pb
from weir_core.fleet.models import TaskType
from weir_core.ids import new_id

CODE = grpc.StatusCode


async def worker(server: ServerUnderTest, *types: TaskType, **values: Any) -> Any:
    worker_id = new_id()
    given = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]} | values
    await server.runtime.fleet.register(worker_id, given, list(types or (ECHO,)))
    return worker_id


async def submit(server: ServerUnderTest, **spec: Any) -> task_pb2.Task:
    wanted = task_pb2.TaskSpec(type="probe.echo", **spec)
    wanted.input["text"] = "hi"
    return (await server.admin.tasks.SubmitTask(tasks_pb.SubmitTaskRequest(spec=wanted))).task


class TestWorkers:
    async def test_shows_what_each_holds(self, server: ServerUnderTest):
        worker_id = await worker(server)
        task = await submit(server)
        await server.runtime.execution.claim([UUID(task.id)], worker_id, {"probe.echo": 1})
        (found,) = (await server.admin.system.ListWorkers(pb.ListWorkersRequest())).workers
        assert (found.id, list(found.task_ids), found.state) == (
            str(worker_id),
            [task.id],
            system_pb2.WORKER_STATE_ACTIVE,
        )

    async def test_filters_and_pages(self, server: ServerUnderTest):
        made = [str(await worker(server, host=host)) for host in ("a", "b", "a")]
        request = pb.ListWorkersRequest(page_size=1, filter='host = "a" AND state = ACTIVE')
        first = await server.admin.system.ListWorkers(request)
        request.page_token = first.next_page_token
        second = await server.admin.system.ListWorkers(request)
        assert [each.id for page in (first, second) for each in page.workers] == [made[2], made[0]]
        assert not second.next_page_token

    async def test_a_drained_worker_claims_nothing_until_it_is_taken_back(self, server: ServerUnderTest):
        worker_id = await worker(server)
        task = await submit(server)
        request = pb.UpdateWorkerRequest(worker_id=str(worker_id), draining=True)
        drained = (await server.admin.system.UpdateWorker(request)).worker
        assert drained.state == system_pb2.WORKER_STATE_DRAINING
        claim = server.runtime.execution.claim
        assert await claim([UUID(task.id)], worker_id, {"probe.echo": 1}) == []
        request.draining = False
        await server.admin.system.UpdateWorker(request)
        assert len(await claim([UUID(task.id)], worker_id, {"probe.echo": 1})) == 1

    async def test_who_is_gone_can_be_told_nothing(self, server: ServerUnderTest):
        worker_id = await worker(server)
        await server.runtime.fleet.stop(worker_id)
        said = await refused(
            server.admin.system.UpdateWorker(pb.UpdateWorkerRequest(worker_id=str(worker_id), draining=True))
        )
        assert (said.code, said.reason) == (CODE.FAILED_PRECONDITION, "STATE_CONFLICT")
        said = await refused(
            server.admin.system.UpdateWorker(pb.UpdateWorkerRequest(worker_id=str(new_id())))
        )
        assert (said.code, said.reason) == (CODE.NOT_FOUND, "NOT_FOUND")

    async def test_p13_an_operator_may_and_an_editor_may_not(self, server: ServerUnderTest):
        worker_id = str(await worker(server))
        request = pb.UpdateWorkerRequest(worker_id=worker_id, draining=True)
        operator = await server.user("ola", "operator", "*")
        editor = await server.user("eva", "editor", "*")
        await operator.system.UpdateWorker(request)
        assert (await refused(editor.system.UpdateWorker(request))).reason == "PERMISSION_MISSING"


class TestQueues:
    async def test_shows_depth_limits_and_workers(self, server: ServerUnderTest):
        await worker(server, queues=["default", "gpu"])
        for _ in range(2):
            await submit(server, queue="gpu")
        found = {
            each.name: each for each in (await server.admin.system.ListQueues(pb.ListQueuesRequest())).queues
        }
        assert set(found) == {"default", "gpu"}
        assert (found["gpu"].queued, found["gpu"].worker_count, found["default"].queued) == (2, 1, 0)

    async def test_a_pause_holds_and_its_end_lets_go_on(self, server: ServerUnderTest):
        await worker(server)
        changed = await update(server, ["paused", "pause_reason"], paused=True, pause_reason="new disk")
        assert (changed.paused, changed.pause_reason) == (True, "new disk")
        task = await submit(server)
        said = await server.admin.tasks.ExplainTask(tasks_pb.ExplainTaskRequest(task_id=task.id))
        assert said.blockers[0].kind == tasks_pb.BLOCKER_KIND_QUEUE_PAUSED
        assert "new disk" in said.summary
        assert (await update(server, ["paused"], paused=False)).waiting == 0
        found = await server.admin.tasks.GetTask(tasks_pb.GetTaskRequest(task_id=task.id))
        assert found.task.state == task_pb2.TASK_STATE_QUEUED

    async def test_only_what_the_mask_names_is_changed(self, server: ServerUnderTest):
        await update(server, ["max_running"], max_running=3)
        changed = await update(server, ["max_per_minute"], max_running=9, max_per_minute=60)
        assert (changed.max_running, changed.max_per_minute) == (3, 60)

    @pytest.mark.parametrize("paths", [["nothing"], ["name"]])
    async def test_an_unknown_field_is_named(self, server: ServerUnderTest, paths: list[str]):
        request = pb.UpdateQueueRequest(queue={"name": "default"}, update_mask={"paths": paths})  # pyright: ignore[reportArgumentType]
        said = await refused(server.admin.system.UpdateQueue(request))
        assert said.code is CODE.INVALID_ARGUMENT
        assert "update_mask.paths[0]" in said.fields

    async def test_a_filter_names_a_queue(self, server: ServerUnderTest):
        await worker(server, queues=["a", "b", "c"])
        wanted = pb.ListQueuesRequest(filter="name = a OR name = c")
        found = (await server.admin.system.ListQueues(wanted)).queues
        assert [each.name for each in found] == ["a", "c"]
        said = await refused(server.admin.system.ListQueues(pb.ListQueuesRequest(filter="depth > 3")))
        assert said.reason == "FILTER_INVALID"


async def update(server: ServerUnderTest, paths: list[str], **values: Any) -> system_pb2.Queue:
    queue = system_pb2.Queue(name="default", **values)
    request = pb.UpdateQueueRequest(queue=queue, update_mask={"paths": paths})  # pyright: ignore[reportArgumentType]
    return (await server.admin.system.UpdateQueue(request)).queue

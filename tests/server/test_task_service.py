"""Batches, bulk cancels, retries, changes and explanations of tasks, over the wire."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2

from tests.fixtures.engine import ECHO
from tests.fixtures.server import Client, ServerUnderTest, refused
from weir.v1 import task_pb2
from weir.v1 import task_service_pb2 as pb
from weir_core.fleet.models import TaskType
from weir_core.ids import new_id
from weir_core.tasks.execution import Claimed
from weir_core.tasks.models import Failure
from weir_core.tasks.outcomes import Ended
from weir_core.tasks.retrying import RETRY_TASK
from weir_core.tasks.states import FailureKind

CODE = grpc.StatusCode


@pytest.fixture(autouse=True)
async def worker(server: ServerUnderTest) -> UUID:
    worker_id = new_id()
    values = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]}
    await server.runtime.fleet.register(worker_id, values, [ECHO])
    return worker_id


def request(
    text: Any = "hi", *, request_id: str = "", project: str = "", **spec: Any
) -> pb.SubmitTaskRequest:
    wanted = task_pb2.TaskSpec(type="probe.echo", **spec)
    wanted.input["text"] = text
    return pb.SubmitTaskRequest(spec=wanted, request_id=request_id, project=project)


async def submit(client: Client, text: Any = "hi", **values: Any) -> task_pb2.Task:
    return (await client.tasks.SubmitTask(request(text, **values))).task


async def get(client: Client, task_id: str) -> task_pb2.Task:
    return (await client.tasks.GetTask(pb.GetTaskRequest(task_id=task_id))).task


async def listed(client: Client, text: str) -> set[str]:
    answer = await client.tasks.ListTasks(pb.ListTasksRequest(filter=text))
    return {task.id for task in answer.tasks}


async def claimed(server: ServerUnderTest, worker: UUID, task_id: str) -> Claimed:
    (found,) = await server.runtime.execution.claim([UUID(task_id)], worker, {"probe.echo": 1})
    return found


async def fail(server: ServerUnderTest, worker: UUID, task_id: str, kind: FailureKind) -> None:
    held = await claimed(server, worker, task_id)
    await server.runtime.execution.finish(held.log, Ended(failure=Failure(kind, "it broke")))


class TestSubmitTasks:
    async def test_each_has_a_result_of_its_own(self, server: ServerUnderTest):
        batch = pb.SubmitTasksRequest(
            requests=[request(), request(7), request(project="nowhere"), request("last")]
        )
        results = (await server.admin.tasks.SubmitTasks(batch)).results
        assert [each.WhichOneof("result") for each in results] == ["submitted", "error", "error", "submitted"]
        info = error_details_pb2.ErrorInfo()
        assert results[1].error.details[0].Unpack(info)
        assert info.reason == "ERROR_REASON_SCHEMA_MISMATCH"
        assert await listed(server.admin, "") == {results[0].submitted.task.id, results[3].submitted.task.id}

    async def test_p08_a_repeat_makes_nothing_new(self, server: ServerUnderTest):
        batch = pb.SubmitTasksRequest(requests=[request(request_id=str(number)) for number in range(20)])
        first, again = [(await server.admin.tasks.SubmitTasks(batch)).results for _ in range(2)]
        assert [each.submitted.task.id for each in first] == [each.submitted.task.id for each in again]
        assert [each.submitted.created for each in again] == [False] * 20

    async def test_p08_one_request_id_twice_in_a_batch_makes_one_task(self, server: ServerUnderTest):
        batch = pb.SubmitTasksRequest(requests=[request(request_id="a"), request(request_id="a")])
        first, second = (await server.admin.tasks.SubmitTasks(batch)).results
        assert first.submitted.task.id == second.submitted.task.id
        assert (first.submitted.created, second.submitted.created) == (True, False)

    async def test_a_thousand_go_at_once(self, server: ServerUnderTest):
        batch = pb.SubmitTasksRequest(requests=[request(str(number)) for number in range(1000)])
        results = (await server.admin.tasks.SubmitTasks(batch)).results
        assert len({each.submitted.task.id for each in results}) == 1000


class TestCancelTasks:
    async def test_all_that_match_and_go_are_stopped(self, server: ServerUnderTest, worker: UUID):
        waiting = [await submit(server.admin, labels={"team": "data"}) for _ in range(3)]
        running = await submit(server.admin, labels={"team": "data"})
        await claimed(server, worker, running.id)
        other = await submit(server.admin, labels={"team": "web"})
        wanted = pb.CancelTasksRequest(filter='labels.team = "data"', reason="wrong month")
        counted = await server.admin.tasks.CancelTasks(
            pb.CancelTasksRequest(filter='labels.team = "data"', validate_only=True)
        )
        assert (counted.task_count, (await get(server.admin, waiting[0].id)).state) == (
            4,
            task_pb2.TASK_STATE_QUEUED,
        )
        assert (await server.admin.tasks.CancelTasks(wanted)).task_count == 4
        states = [(await get(server.admin, task.id)).state for task in (*waiting, running, other)]
        assert states == [task_pb2.TASK_STATE_CANCELLED] * 3 + [
            task_pb2.TASK_STATE_CANCELLING,
            task_pb2.TASK_STATE_QUEUED,
        ]
        assert (await get(server.admin, waiting[0].id)).cancellation.reason == "wrong month"
        assert (await server.admin.tasks.CancelTasks(wanted)).task_count == 0

    async def test_p13_only_what_the_caller_may_cancel_is_touched(self, server: ServerUnderTest):
        task = await submit(server.admin)
        elsewhere = await server.user("eva", "editor", "system")
        answer = await elsewhere.tasks.CancelTasks(pb.CancelTasksRequest(filter="state = QUEUED"))
        assert answer.task_count == 0
        assert (await get(server.admin, task.id)).state == task_pb2.TASK_STATE_QUEUED


class TestRetryTasks:
    @pytest.fixture(autouse=True)
    async def known(self, server: ServerUnderTest):
        schema: dict[str, Any] = {"type": "object"}
        kind = TaskType(RETRY_TASK, 1, "builtin", "", schema, schema, permission="tasks.submit")
        values = {"host": "there", "version": "1", "slots": 8, "queues": ["default"]}
        await server.runtime.fleet.register(new_id(), values, [kind])

    async def test_what_ended_badly_and_was_not_retried_counts(self, server: ServerUnderTest, worker: UUID):
        failed = [(await submit(server.admin, labels={"team": "data"})).id for _ in range(3)]
        for each in failed:
            await fail(server, worker, each, FailureKind.USER_ERROR)
        await submit(server.admin, labels={"team": "data"})
        await server.admin.tasks.RetryTask(pb.RetryTaskRequest(task_id=failed[0]))
        wanted = pb.RetryTasksRequest(filter='labels.team = "data"', max_per_minute=5, request_id="1")
        only = pb.RetryTasksRequest(filter=wanted.filter, validate_only=True)
        counted = await server.admin.tasks.RetryTasks(only)
        assert (counted.task_count, counted.task_id) == (2, "")
        first, again = [await server.admin.tasks.RetryTasks(wanted) for _ in range(2)]
        assert (first.task_count, first.task_id) == (2, again.task_id)
        made = await get(server.admin, first.task_id)
        assert (made.spec.type, made.spec.input["max_per_minute"]) == ("tasks.retry", 5)

    async def test_who_may_not_submit_there_and_a_wrong_filter_are_refused(self, server: ServerUnderTest):
        viewer = await server.user("vera", "viewer", "default")
        said = await refused(viewer.tasks.RetryTasks(pb.RetryTasksRequest(filter="state = FAILED")))
        assert said.code is CODE.PERMISSION_DENIED
        said = await refused(server.admin.tasks.RetryTasks(pb.RetryTasksRequest(filter="color = 3")))
        assert (said.code, said.reason) == (CODE.INVALID_ARGUMENT, "FILTER_INVALID")
        said = await refused(server.admin.tasks.RetryTasks(pb.RetryTasksRequest()))
        assert (said.code, list(said.fields)) == (CODE.INVALID_ARGUMENT, ["filter"])


class TestRetryTask:
    async def test_an_ended_task_is_submitted_anew_and_stays_as_it_is(
        self, server: ServerUnderTest, worker: UUID
    ):
        old = await submit(server.admin, "again", labels={"team": "data"})
        await fail(server, worker, old.id, FailureKind.USER_ERROR)
        new = (await server.admin.tasks.RetryTask(pb.RetryTaskRequest(task_id=old.id))).task
        found = await get(server.admin, new.id)
        assert (found.spec.input["text"], dict(found.spec.labels), found.retry_of_task_id) == (
            "again",
            {"team": "data"},
            old.id,
        )
        assert (await get(server.admin, old.id)).state == task_pb2.TASK_STATE_FAILED
        assert await listed(server.admin, f"retry_of_task_id = {old.id}") == {new.id}

    async def test_only_what_the_mask_names_is_changed(self, server: ServerUnderTest, worker: UUID):
        old = await submit(server.admin, "old", queue="gpu")
        await server.admin.tasks.CancelTask(pb.CancelTaskRequest(task_id=old.id))
        changes = task_pb2.TaskSpec(queue="cpu")
        changes.input["text"] = "new"
        wanted = pb.RetryTaskRequest(task_id=old.id, spec=changes, update_mask=FieldMask(paths=["input"]))
        found = await get(server.admin, (await server.admin.tasks.RetryTask(wanted)).task.id)
        assert (found.spec.input["text"], found.spec.queue) == ("new", "gpu")

    async def test_what_goes_is_not_retried(self, server: ServerUnderTest):
        task = await submit(server.admin)
        said = await refused(server.admin.tasks.RetryTask(pb.RetryTaskRequest(task_id=task.id)))
        assert (said.code, said.reason) == (CODE.FAILED_PRECONDITION, "STATE_CONFLICT")


class TestUpdateTask:
    async def test_priority_labels_and_start_of_what_waits(self, server: ServerUnderTest):
        task = await submit(server.admin)
        later = datetime.now(UTC) + timedelta(hours=1)
        changed = await update(
            server,
            task.id,
            ["spec.priority", "spec.labels", "spec.start_after"],
            priority=task_pb2.PRIORITY_HIGH,
            labels={"team": "data"},
            start_after=later,
        )
        assert (changed.spec.priority, dict(changed.spec.labels)) == (
            task_pb2.PRIORITY_HIGH,
            {"team": "data"},
        )
        assert changed.state == task_pb2.TASK_STATE_PENDING
        assert await listed(server.admin, "labels.team = data") == {task.id}
        back = await update(server, task.id, ["spec.start_after"])
        assert back.state == task_pb2.TASK_STATE_QUEUED

    async def test_an_old_etag_is_refused(self, server: ServerUnderTest):
        task = await submit(server.admin)
        await update(server, task.id, ["spec.priority"], priority=task_pb2.PRIORITY_LOW)
        stale = pb.UpdateTaskRequest(
            task=task_pb2.Task(id=task.id, etag=task.etag), update_mask=FieldMask(paths=["spec.labels"])
        )
        said = await refused(server.admin.tasks.UpdateTask(stale))
        assert (said.code, said.reason) == (CODE.ABORTED, "ETAG_MISMATCH")

    async def test_what_runs_is_left_alone(self, server: ServerUnderTest, worker: UUID):
        task = await submit(server.admin)
        await claimed(server, worker, task.id)
        wanted = pb.UpdateTaskRequest(
            task=task_pb2.Task(id=task.id), update_mask=FieldMask(paths=["spec.labels"])
        )
        said = await refused(server.admin.tasks.UpdateTask(wanted))
        assert (said.code, said.metadata["state"]) == (CODE.FAILED_PRECONDITION, "RUNNING")

    async def test_a_held_one_is_released(self, server: ServerUnderTest, worker: UUID):
        at_once = task_pb2.RetryPolicy(max_attempts=10)
        at_once.initial_delay.SetInParent()
        task = await submit(server.admin, retry=at_once)
        for _ in range(3):
            await fail(server, worker, task.id, FailureKind.LOST_WORKER)
            await server.runtime.promotion.due()
        held = await get(server.admin, task.id)
        assert (held.held, held.state) == (True, task_pb2.TASK_STATE_PENDING)
        assert await listed(server.admin, "held = true") == {task.id}
        said = await server.admin.tasks.ExplainTask(pb.ExplainTaskRequest(task_id=task.id))
        assert said.blockers[0].kind == pb.BLOCKER_KIND_HELD
        released = await update(server, task.id, ["held"])
        assert (released.held, released.state) == (False, task_pb2.TASK_STATE_QUEUED)


class TestExplainTask:
    async def test_what_waits_for_a_worker_is_told_how_to_get_one(self, server: ServerUnderTest):
        task = await submit(server.admin, queue="gpu")
        said = await explain(server, task.id)
        assert said.blockers[0].kind == pb.BLOCKER_KIND_NO_WORKER
        assert any("--queues gpu" in hint for hint in said.hints)

    async def test_dependencies_and_start_times_are_named(self, server: ServerUnderTest):
        first = await submit(server.admin)
        later = datetime.now(UTC) + timedelta(hours=1)
        after = await submit(
            server.admin, depends_on=[task_pb2.Dependency(task_id=first.id)], start_after=later
        )
        said = await explain(server, after.id)
        assert [each.kind for each in said.blockers] == [
            pb.BLOCKER_KIND_DEPENDENCY,
            pb.BLOCKER_KIND_START_TIME,
        ]
        assert list(said.blockers[0].task_ids) == [first.id]

    async def test_a_key_at_its_limit_names_its_holder(self, server: ServerUnderTest):
        key = task_pb2.Concurrency(key="erp", limit=1)
        holder, waiting = [await submit(server.admin, concurrency=key) for _ in range(2)]
        said = await explain(server, waiting.id)
        assert said.blockers[0].kind == pb.BLOCKER_KIND_CONCURRENCY
        assert list(said.blockers[0].task_ids) == [holder.id]

    async def test_who_is_before_it_is_counted(self, server: ServerUnderTest):
        tasks = [await submit(server.admin) for _ in range(3)]
        said = await explain(server, tasks[-1].id)
        assert (said.blockers[0].kind, said.blockers[0].count) == (pb.BLOCKER_KIND_QUEUE_POSITION, 2)

    async def test_the_end_says_why(self, server: ServerUnderTest, worker: UUID):
        task = await submit(server.admin)
        await fail(server, worker, task.id, FailureKind.INVALID_INPUT)
        said = await explain(server, task.id)
        assert "it broke" in said.summary
        assert "RetryTask" in said.hints[0]

    async def test_p13_what_may_not_be_seen_does_not_exist(self, server: ServerUnderTest):
        task = await submit(server.admin)
        elsewhere = await server.user("eva", "editor", "system")
        said = await refused(elsewhere.tasks.ExplainTask(pb.ExplainTaskRequest(task_id=task.id)))
        assert said.code is CODE.NOT_FOUND


class TestSubmitTask:
    @pytest.mark.parametrize(
        "values,field",
        [
            ({"deadline": datetime(2020, 1, 1, tzinfo=UTC)}, "spec.deadline"),
            ({"priority": 9}, "spec.priority"),
            ({"concurrency": {"key": "a", "limit": 2, "on_conflict": 3}}, "spec.concurrency"),
            ({"retention": timedelta(seconds=1)}, "spec.retention"),
            ({"labels": {"a b": "c"}}, "spec.labels[a b]"),
        ],
    )
    async def test_what_is_wrong_is_named(self, server: ServerUnderTest, values: Any, field: str):
        said = await refused(server.admin.tasks.SubmitTask(request(**values)))
        assert said.code is CODE.INVALID_ARGUMENT
        assert field in said.fields

    async def test_reads_back_as_it_was_asked_for(self, server: ServerUnderTest):
        first = await submit(server.admin)
        spec = task_pb2.TaskSpec(
            type="probe.echo",
            queue="gpu",
            priority=task_pb2.PRIORITY_HIGH,
            labels={"team": "data"},
            depends_on=[task_pb2.Dependency(task_id=first.id, condition=task_pb2.DEPENDENCY_CONDITION_ENDED)],
            concurrency=task_pb2.Concurrency(key="erp", limit=2, on_conflict=task_pb2.CONFLICT_POLICY_REJECT),
        )
        spec.input["text"] = "hi"
        spec.deadline.FromDatetime(datetime(2100, 1, 1, tzinfo=UTC))
        spec.retention.FromTimedelta(timedelta(days=3))
        spec.timeouts.stall.FromTimedelta(timedelta(minutes=2))
        made = (await server.admin.tasks.SubmitTask(pb.SubmitTaskRequest(spec=spec))).task
        found = (await get(server.admin, made.id)).spec
        for name in ("queue", "priority", "labels", "depends_on", "concurrency", "deadline", "retention"):
            assert getattr(found, name) == getattr(spec, name), name
        assert found.timeouts.stall == spec.timeouts.stall


async def explain(server: ServerUnderTest, task_id: str) -> pb.ExplainTaskResponse:
    return await server.admin.tasks.ExplainTask(pb.ExplainTaskRequest(task_id=task_id))


async def update(server: ServerUnderTest, task_id: str, paths: list[str], **spec: Any) -> task_pb2.Task:
    task = task_pb2.Task(id=task_id, spec=task_pb2.TaskSpec(**spec))
    wanted = pb.UpdateTaskRequest(task=task, update_mask=FieldMask(paths=paths))
    return (await server.admin.tasks.UpdateTask(wanted)).task

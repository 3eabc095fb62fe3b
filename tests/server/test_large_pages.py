"""Large entries: a page ends before its answer is too large, and nothing is left out or doubled."""

from collections.abc import AsyncGenerator
from itertools import chain
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.engine import ECHO
from tests.fixtures.server import ServerUnderTest
from weir.v1 import task_service_pb2 as pb
from weir_core.ids import new_id

LARGEST = 3 * 1024 * 1024

# How much fits is not the database's affair.
pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
async def worker(server: ServerUnderTest) -> UUID:
    worker_id = new_id()
    values = {"host": "here", "version": "1", "slots": 8, "queues": ["default"]}
    await server.runtime.fleet.register(worker_id, values, [ECHO])
    return worker_id


async def submit(server: ServerUnderTest, text: str) -> str:
    request = pb.SubmitTaskRequest(spec={"type": "probe.echo"})  # pyright: ignore[reportArgumentType]
    request.spec.input["text"] = text
    return (await server.admin.tasks.SubmitTask(request)).task.id


async def pages(call: Any, request: Any) -> AsyncGenerator[Any]:
    """All pages of a list, none of them too large."""
    while True:
        answer = await call(request)
        assert answer.ByteSize() <= LARGEST
        yield answer
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


@pytest.mark.usefixtures("worker")
async def test_p14_tasks_with_large_inputs(server: ServerUnderTest):
    made = [await submit(server, "x" * 900_000) for _ in range(7)]
    request = pb.ListTasksRequest(view=pb.TASK_VIEW_FULL, page_size=1000)
    found = [[task.id for task in page.tasks] async for page in pages(server.admin.tasks.ListTasks, request)]
    assert [len(ids) for ids in found] == [3, 3, 1]
    assert list(chain(*found)) == made[::-1]


@pytest.mark.parametrize("descending", [False, True])
async def test_p14_a_log_of_long_lines(server: ServerUnderTest, worker: UUID, *, descending: bool):
    task_id = await submit(server, "hi")
    execution = server.runtime.execution
    (held,) = await execution.claim([UUID(task_id)], worker, {"probe.echo": 1})
    for number in range(500):
        held.log.add_log({"level": 2, "source": 1, "text": f"{number} " + "x" * 16_000, "fields": {}})
        held.log.number()
    assert await execution.report([held.log]) == []

    request = pb.ListTaskEventsRequest(task_id=task_id, page_size=1000, descending=descending)
    found = [
        [event.seq for event in page.events]
        async for page in pages(server.admin.tasks.ListTaskEvents, request)
    ]
    assert len(found) > 2
    whole = list(range(1, 503))
    assert list(chain(*found)) == (whole[::-1] if descending else whole)

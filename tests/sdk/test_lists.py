import pytest

from tests.sdk.fake import Fail, FakeServer
from weir import AsyncClient, errors, methods
from weir.v1.task_pb2 import Task
from weir.v1.task_service_pb2 import ListTasksResponse


def page(*ids: str, following: str = "") -> ListTasksResponse:
    return ListTasksResponse(tasks=[Task(id=each) for each in ids], next_page_token=following)


class TestPages:
    async def test_entries_come_over_all_pages_the_empty_ones_too(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.LIST_TASKS, page("a", "b", following="p2"), page(following="p3"), page("c"))
        tasks = client.tasks.list_tasks(filter="state = FAILED", page_size=2)
        assert [task.id async for task in tasks] == ["a", "b", "c"]
        requests = server.requests(methods.LIST_TASKS)
        assert [each.page_token for each in requests] == ["", "p2", "p3"]
        assert {(each.filter, each.page_size) for each in requests} == {("state = FAILED", 2)}

    async def test_nothing_is_asked_before_it_is_needed(self, server: FakeServer, client: AsyncClient):
        server.script(methods.LIST_TASKS, page("a", "b", following="p2"), page("c"))
        async for _ in client.tasks.list_tasks():
            break
        assert len(server.calls) == 1

    async def test_may_start_at_a_page(self, server: FakeServer, client: AsyncClient):
        server.script(methods.LIST_TASKS, page("c"))
        pages = [each async for each in client.tasks.list_tasks(page_token="p2").pages()]
        assert [len(each.tasks) for each in pages] == [1]
        assert server.requests(methods.LIST_TASKS)[0].page_token == "p2"

    async def test_a_page_that_fails_is_asked_for_again(self, server: FakeServer, client: AsyncClient):
        server.script(methods.LIST_TASKS, page("a", following="p2"), Fail("UNAVAILABLE"), page("b"))
        assert [task.id async for task in client.tasks.list_tasks()] == ["a", "b"]

    async def test_a_list_without_end_is_noticed(self, server: FakeServer, client: AsyncClient):
        server.script(methods.LIST_TASKS, page("a", following="p2"))
        with pytest.raises(errors.WeirError, match="same page token"):
            [task.id async for task in client.tasks.list_tasks()]

    async def test_may_be_gone_through_twice(self, server: FakeServer, client: AsyncClient):
        server.script(methods.LIST_TASKS, page("a"))
        tasks = client.tasks.list_tasks()
        assert [[task.id async for task in tasks] for _ in range(2)] == [["a"], ["a"]]

import asyncio
import os
import socket
from datetime import UTC, datetime, timedelta

import pytest

from tests.sdk.fake import Fail, FakeServer, retry_info
from weir import AsyncClient, errors, methods
from weir.v1.task_pb2 import Task
from weir.v1.task_service_pb2 import GetTaskResponse, SubmitTaskRequest, SubmitTaskResponse
from weir.v1.user_service_pb2 import LoginRequest
from weir.values import from_struct

TASK = GetTaskResponse(task=Task(id="t1"))
DOWN = Fail("UNAVAILABLE", "DEPENDENCY_DOWN")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class TestUnary:
    async def test_arguments_become_the_request(self, server: FakeServer, client: AsyncClient):
        server.script(methods.SUBMIT_TASK, SubmitTaskResponse(task=Task(id="t1"), created=True))
        await client.tasks.submit_task(
            type="demo.add",
            input={"a": 1, "b": [True, None, "x"]},
            labels={"team": "finance"},
            start_after=datetime(2026, 11, 1, tzinfo=UTC),
            request_id="mine",
        )
        request: SubmitTaskRequest = server.requests(methods.SUBMIT_TASK)[0]
        assert request.spec.type == "demo.add"
        assert from_struct(request.spec.input) == {"a": 1, "b": [True, None, "x"]}
        assert request.spec.labels == {"team": "finance"}
        assert request.spec.start_after.ToDatetime(UTC) == datetime(2026, 11, 1, tzinfo=UTC)
        assert request.request_id == "mine"

    async def test_the_api_key_is_sent(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, TASK)
        await client.tasks.get_task("t1")
        assert server.calls[0].token == "key"

    async def test_no_key_is_sent_where_nobody_need_be_known(self, server: FakeServer, client: AsyncClient):
        server.script(methods.LOGIN, Fail("UNAUTHENTICATED", "CREDENTIALS_INVALID"))
        with pytest.raises(errors.CredentialsInvalid):
            await client.users.login(password=LoginRequest.Password(user_name="ana", password="x"))
        assert server.calls[0].token == ""

    async def test_a_naive_time_is_refused_before_it_is_sent(self, server: FakeServer, client: AsyncClient):
        with pytest.raises(errors.InvalidValue, match=r"start_after.*no time zone"):
            await client.tasks.submit("demo.add", start_after=datetime(2026, 11, 1))  # noqa: DTZ001
        assert server.calls == []


class TestDeadline:
    async def test_default_comes_from_the_contract(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, TASK)
        await client.tasks.get_task("t1")
        assert 9 < server.calls[0].remaining <= 10

    async def test_wait_adds_to_it(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, TASK)
        await client.tasks.get_task("t1", wait=timedelta(seconds=30), timeout=5)
        assert 34 < server.calls[0].remaining <= 35

    async def test_covers_all_tries_and_keeps_the_true_cause(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, DOWN)
        with pytest.raises(errors.DependencyDown):
            async with asyncio.timeout(5):
                await client.tasks.get_task("t1", timeout=0.6)
        assert len(server.calls) > 1
        assert server.calls[-1].remaining < 0.6

    async def test_no_server_at_all_is_unavailable(self):
        async with AsyncClient(f"127.0.0.1:{free_port()}") as client, asyncio.timeout(5):
            with pytest.raises(errors.Unavailable):
                await client.tasks.get_task("t1", timeout=0.5)

    async def test_a_server_that_says_nothing_ends_in_deadline_exceeded(self):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            async with AsyncClient(f"127.0.0.1:{deaf.getsockname()[1]}") as client, asyncio.timeout(5):
                with pytest.raises(errors.DeadlineExceeded) as caught:
                    await client.tasks.get_task("t1", timeout=0.3)
        assert isinstance(caught.value, TimeoutError)


class TestRetry:
    async def test_a_read_is_repeated(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, DOWN, Fail("UNAVAILABLE"), TASK)
        assert (await client.tasks.get_task("t1")).task.id == "t1"

    async def test_a_submit_is_repeated_under_one_request_id(self, server: FakeServer, client: AsyncClient):
        server.script(methods.SUBMIT_TASK, DOWN, SubmitTaskResponse(task=Task(id="t1")))
        await client.tasks.submit("demo.add")
        first, second = server.requests(methods.SUBMIT_TASK)
        assert first.request_id == second.request_id != ""

    async def test_what_is_not_repeatable_is_not_repeated(self, server: FakeServer, client: AsyncClient):
        server.script(methods.LOGIN, DOWN)
        with pytest.raises(errors.Unavailable):
            await client.users.login(password=LoginRequest.Password(user_name="ana", password="x"))
        assert len(server.calls) == 1

    async def test_another_error_is_not_repeated(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, Fail("NOT_FOUND", "NOT_FOUND"))
        with pytest.raises(errors.NotFound):
            await client.tasks.get_task("t1")
        assert len(server.calls) == 1

    async def test_rate_limited_waits_as_long_as_asked(self, server: FakeServer, client: AsyncClient):
        limited = Fail("RESOURCE_EXHAUSTED", "RATE_LIMITED", details=[retry_info(0.4)])
        server.script(methods.GET_TASK, limited, TASK)
        await client.tasks.get_task("t1", timeout=5)
        assert server.calls[0].remaining - server.calls[1].remaining > 0.3

    async def test_rate_limited_for_longer_than_the_deadline_is_raised_at_once(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.GET_TASK, Fail("RESOURCE_EXHAUSTED", "RATE_LIMITED", details=[retry_info(60)]))
        with pytest.raises(errors.RateLimited) as caught:
            await client.tasks.get_task("t1")
        assert caught.value.retry_after == 60
        assert len(server.calls) == 1

    async def test_exhausted_without_a_time_is_not_repeated(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, Fail("RESOURCE_EXHAUSTED"))
        with pytest.raises(errors.ResourceExhausted):
            await client.tasks.get_task("t1")
        assert len(server.calls) == 1


class TestPlace:
    async def test_a_closed_client_says_so(self, server: FakeServer):
        client = AsyncClient(server.address)
        await client.close()
        with pytest.raises(errors.ClientError, match="closed"):
            await client.tasks.get_task("t1")

    def test_another_event_loop_is_an_error_and_no_hang(self, server: FakeServer):
        server.script(methods.GET_TASK, TASK)
        client = AsyncClient(server.address)
        asyncio.run(_get(client))
        with pytest.raises(errors.ClientError, match="another event loop"):
            asyncio.run(_get(client))

    def test_may_be_made_outside_of_a_loop(self, server: FakeServer):
        server.script(methods.GET_TASK, TASK)
        client = AsyncClient(server.address)
        asyncio.run(_get_and_close(client))

    async def test_a_fork_is_an_error_and_no_hang(
        self, server: FakeServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
    ):
        server.script(methods.GET_TASK, TASK)
        await client.tasks.get_task("t1")
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(errors.ClientError, match="fork"):
            await client.tasks.get_task("t1")

    async def test_closing_ends_a_call_as_an_error_and_not_as_a_cancelled_task(
        self, server: FakeServer, client: AsyncClient
    ):
        server.script(methods.GET_TASK, lambda _: server.silent.wait(5) and TASK)
        call = asyncio.create_task(client.tasks.get_task("t1"))
        await server.called()
        await client.close()
        with pytest.raises(errors.Cancelled):
            await call
        server.silent.set()

    async def test_cancelling_the_caller_passes(self, server: FakeServer, client: AsyncClient):
        server.script(methods.GET_TASK, lambda _: server.silent.wait(5) and TASK)
        call = asyncio.create_task(client.tasks.get_task("t1"))
        await server.called()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.silent.set()


async def _get(client: AsyncClient) -> None:
    await client.tasks.get_task("t1")


async def _get_and_close(client: AsyncClient) -> None:
    await client.tasks.get_task("t1")
    await client.close()

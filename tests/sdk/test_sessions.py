import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.sdk.fake import Call, Fail, FakeServer
from weir import AsyncClient, errors, methods
from weir.v1.task_pb2 import TASK_STATE_SUCCEEDED, StateChange, Task, TaskEvent
from weir.v1.task_service_pb2 import GetTaskResponse, WatchTaskResponse
from weir.v1.user_service_pb2 import LoginResponse, RefreshTokenResponse, Tokens

TASK = GetTaskResponse(task=Task(id="t1"))
EXPIRED = Fail("UNAUTHENTICATED", "TOKEN_EXPIRED")


def tokens(name: str, lifetime: float = 900) -> Tokens:
    made = Tokens(access_token=name, refresh_token=f"refresh-{name}")
    made.access_expire_time.FromMilliseconds(int((time.time() + lifetime) * 1000))
    return made


def only_for(server: FakeServer, *good: str) -> Callable[[Any], Any]:
    """Answers who comes with one of these tokens; for all others theirs has run out."""

    def answer(_: Any) -> Any:
        return TASK if server.calls[-1].token in good else EXPIRED

    return answer


@pytest.fixture
def signed_in(server: FakeServer) -> AsyncClient:
    server.script(methods.LOGIN, LoginResponse(tokens=tokens("one")))
    server.script(methods.REFRESH_TOKEN, RefreshTokenResponse(tokens=tokens("two")))
    return AsyncClient(server.address, user="ana", password="secret", client_name="tests")


class TestSignIn:
    async def test_happens_at_the_first_call_and_once(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.GET_TASK, TASK)
        async with signed_in as client:
            assert server.calls == []
            await asyncio.gather(*(client.tasks.get_task("t1") for _ in range(20)))
        (login,) = server.requests(methods.LOGIN)
        assert login.password.user_name == "ana"
        assert login.client_name == "tests"
        assert {call.token for call in server.calls if call.path == methods.GET_TASK.path} == {"one"}

    async def test_wrong_password_is_raised(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.LOGIN, Fail("UNAUTHENTICATED", "CREDENTIALS_INVALID"))
        async with signed_in as client:
            with pytest.raises(errors.CredentialsInvalid):
                await client.tasks.get_task("t1")

    async def test_is_repeated_while_the_server_comes_up(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.LOGIN, Fail("UNAVAILABLE"), LoginResponse(tokens=tokens("one")))
        server.script(methods.GET_TASK, TASK)
        async with signed_in as client:
            await client.tasks.get_task("t1")
        assert len(server.requests(methods.LOGIN)) == 2

    async def test_counts_towards_the_deadline(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.LOGIN, lambda _: server.silent.wait(5) and LoginResponse())
        async with signed_in as client, asyncio.timeout(3):
            with pytest.raises(errors.DeadlineExceeded):
                await client.tasks.get_task("t1", timeout=0.3)
            server.silent.set()

    async def test_a_caller_that_goes_away_does_not_stop_it_for_the_others(
        self, server: FakeServer, signed_in: AsyncClient
    ):
        server.script(methods.LOGIN, lambda _: server.silent.wait(5) and LoginResponse(tokens=tokens("one")))
        server.script(methods.GET_TASK, TASK)
        async with signed_in as client:
            first, second = (asyncio.create_task(client.tasks.get_task("t1")) for _ in range(2))
            await server.called()
            first.cancel()
            await asyncio.wait([first])
            server.silent.set()
            await second
        assert len(server.requests(methods.LOGIN)) == 1


class TestRefresh:
    async def test_one_refresh_for_all_whose_token_ran_out(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.GET_TASK, TASK)
        async with signed_in as client:
            await client.tasks.get_task("t1")
            server.script(methods.GET_TASK, only_for(server, "two"))
            for _ in range(20):
                await client.tasks.get_task("t1")
        (refresh,) = server.requests(methods.REFRESH_TOKEN)
        assert refresh.refresh_token == "refresh-one"

    async def test_single_flight(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.GET_TASK, TASK)
        async with signed_in as client:
            await client.tasks.get_task("t1")
            server.script(methods.GET_TASK, only_for(server, "two"))
            await asyncio.gather(*(client.tasks.get_task("t1") for _ in range(10)))
        assert len(server.requests(methods.REFRESH_TOKEN)) == 1
        assert len(server.requests(methods.LOGIN)) == 1

    async def test_comes_a_minute_before_the_token_runs_out(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.LOGIN, LoginResponse(tokens=tokens("one", lifetime=60.3)))
        server.script(methods.GET_TASK, TASK)
        async with signed_in as client, asyncio.timeout(5):
            while not server.requests(methods.REFRESH_TOKEN):
                await client.tasks.get_task("t1")
            await client.tasks.get_task("t1")
        assert server.calls[-1].token == "two"

    async def test_fails_without_harm_while_the_token_holds(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.LOGIN, LoginResponse(tokens=tokens("one", lifetime=60.1)), Fail("INTERNAL"))
        server.script(methods.REFRESH_TOKEN, Fail("UNAVAILABLE"))
        server.script(methods.GET_TASK, TASK)
        async with signed_in as client, asyncio.timeout(5):
            while not server.requests(methods.REFRESH_TOKEN):
                await client.tasks.get_task("t1")
        assert server.calls[-1].token == "one"

    async def test_is_never_repeated_but_signs_in_anew(self, server: FakeServer, signed_in: AsyncClient):
        server.script(
            methods.LOGIN, LoginResponse(tokens=tokens("one")), LoginResponse(tokens=tokens("three"))
        )
        server.script(methods.REFRESH_TOKEN, Fail("UNAVAILABLE"))
        server.script(methods.GET_TASK, EXPIRED, TASK)
        async with signed_in as client:
            await client.tasks.get_task("t1")
        assert len(server.requests(methods.REFRESH_TOKEN)) == 1
        assert server.calls[-1].token == "three"

    async def test_a_second_refusal_is_raised(self, server: FakeServer, signed_in: AsyncClient):
        server.script(methods.GET_TASK, EXPIRED)
        async with signed_in as client:
            with pytest.raises(errors.TokenExpired):
                await client.tasks.get_task("t1")
        assert len(server.requests(methods.GET_TASK)) == 2

    async def test_a_watch_renews_too(self, server: FakeServer, signed_in: AsyncClient):
        event = TaskEvent(seq=1, state=StateChange(to_state=TASK_STATE_SUCCEEDED))
        last = WatchTaskResponse(events=[event], through_seq=1)
        server.script(methods.WATCH_TASK, [EXPIRED], [last])
        async with signed_in as client:
            seen = [event.seq async for event in client.tasks.watch("t1")]
        assert seen == [1]
        assert server.calls[-1].token == "two"


class TestTokens:
    async def test_kept_ones_are_used_and_new_ones_told(self, server: FakeServer):
        server.script(methods.REFRESH_TOKEN, RefreshTokenResponse(tokens=tokens("two")))
        server.script(methods.GET_TASK, only_for(server, "two"))
        told: list[Tokens] = []
        async with AsyncClient(server.address, tokens=tokens("old", -5), on_tokens=told.append) as client:
            await client.tasks.get_task("t1")
        assert [each.access_token for each in told] == ["two"]

    async def test_an_ended_session_says_so(self, server: FakeServer):
        server.script(methods.REFRESH_TOKEN, Fail("UNAUTHENTICATED", "TOKEN_REVOKED"))
        server.script(methods.GET_TASK, EXPIRED)
        async with AsyncClient(server.address, tokens=tokens("old")) as client:
            with pytest.raises(errors.TokenRevoked):
                await client.tasks.get_task("t1")

    async def test_a_function_is_asked_again_when_its_token_ran_out(self, server: FakeServer):
        server.script(methods.GET_TASK, EXPIRED, TASK)
        given = iter(["a", "b"])
        async with AsyncClient(server.address, token=lambda: next(given)) as client:
            await client.tasks.get_task("t1")
        assert [call.token for call in server.calls] == ["a", "b"]

    async def test_the_function_may_be_a_coroutine(self, server: FakeServer):
        async def ask() -> str:
            return "later"

        server.script(methods.GET_TASK, TASK)
        async with AsyncClient(server.address, token=ask) as client:
            await client.tasks.get_task("t1")
        call: Call = server.calls[0]
        assert call.token == "later"

    async def test_a_coroutine_that_hangs_ends_at_the_deadline(self, server: FakeServer):
        async def ask() -> str:
            return await asyncio.Future()

        async with AsyncClient(server.address, token=ask) as client, asyncio.timeout(5):
            with pytest.raises(errors.DeadlineExceeded):
                await client.tasks.get_task("t1", timeout=0.2)


class TestArguments:
    def test_two_kinds_of_credentials_are_refused(self):
        with pytest.raises(errors.ClientError, match="one of"):
            AsyncClient(api_key="k", token="t")

    def test_a_user_without_password_is_refused(self):
        with pytest.raises(errors.ClientError, match="belong together"):
            AsyncClient(user="ana")

    @pytest.mark.parametrize(
        "address", ["localhost:1", "127.0.0.1", "127.9.9.9:5", "[::1]:80", "::1", "unix:/tmp/x"]
    )
    def test_plaintext_is_for_this_machine(self, address: str):
        AsyncClient(address)

    @pytest.mark.parametrize("address", ["weir.internal:7443", "10.0.0.1", "[fe80::1]:80", "0.0.0.0:80"])
    def test_plaintext_to_another_machine_must_be_asked_for(self, address: str):
        with pytest.raises(errors.ClientError, match=r"insecure=True|tls=True"):
            AsyncClient(address)
        AsyncClient(address, insecure=True)
        AsyncClient(address, tls=True)

    @pytest.mark.parametrize("address", ["", "host:http", "host:0", "host:70000"])
    def test_what_is_no_address_is_refused(self, address: str):
        with pytest.raises(errors.ClientError, match="such as localhost:7443"):
            AsyncClient(address, insecure=True)

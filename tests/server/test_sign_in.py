"""Signing in, going on and signing out, over the wire."""

import asyncio
from datetime import UTC, datetime

import grpc
import pytest
from google.rpc import error_details_pb2
from sqlalchemy import update

from tests.fixtures.server import PASSWORD, Client, Refusal, ServerUnderTest, refused, sign_in
from weir.v1 import common_pb2
from weir.v1 import user_service_pb2 as pb
from weir_core.users.models import session, user

CODE = grpc.StatusCode
WRONG = (CODE.UNAUTHENTICATED, "CREDENTIALS_INVALID")
REVOKED = (CODE.UNAUTHENTICATED, "TOKEN_REVOKED")
ME = pb.GetUserRequest(user_id="self")
PAST = datetime(2020, 1, 1, tzinfo=UTC)


async def refused_login(server: ServerUnderTest, name: str, password: str = PASSWORD) -> Refusal:
    credential = pb.LoginRequest.Password(user_name=name, password=password)
    return await refused(server.anyone.users.Login(pb.LoginRequest(password=credential)))


async def refresh(client: Client, token: str) -> pb.Tokens:
    return (await client.users.RefreshToken(pb.RefreshTokenRequest(refresh_token=token))).tokens


async def refused_refresh(client: Client, token: str) -> Refusal:
    return await refused(client.users.RefreshToken(pb.RefreshTokenRequest(refresh_token=token)))


async def until_refused(client: Client) -> Refusal:
    """Calls again and again; the promise is 2 s."""
    async with asyncio.timeout(2):
        while True:
            try:
                await client.users.GetUser(ME)
            except grpc.aio.AioRpcError:
                return await refused(client.users.GetUser(ME))
            await asyncio.sleep(0.02)


class TestLogin:
    async def test_the_tokens_are_good(self, server: ServerUnderTest):
        answer = (await server.user("ann")).login
        assert answer.user.name == "ann"
        assert answer.user.HasField("last_login_time")
        client = server.anyone.acting_by(answer.tokens.access_token)
        assert (await client.users.GetUser(ME)).user == answer.user

    async def test_every_wrong_credential_gets_the_same_answer(self, server: ServerUnderTest):
        await server.user("ann")
        robot = {"name": "robot", "kind": common_pb2.PRINCIPAL_KIND_SERVICE}
        away = {"name": "away", "disabled": True}
        await server.admin.users.CreateUser(pb.CreateUserRequest(user=robot))  # pyright: ignore[reportArgumentType]
        await server.admin.users.CreateUser(pb.CreateUserRequest(user=away, password=PASSWORD))  # pyright: ignore[reportArgumentType]
        answers = [
            await refused_login(server, "nobody"),
            await refused_login(server, "ann", "wrong"),
            await refused_login(server, "robot"),
            await refused_login(server, "away"),
        ]
        assert {(each.code, each.reason) for each in answers} == {WRONG}
        assert len({each.message for each in answers}) == 1
        assert {len(each.details) for each in answers} == {1}

    @pytest.mark.parametrize("name", ["ANN", "Ann", "ánn", "ann ", " ann", "ann\0", "%", "ann' --"])
    async def test_names_are_compared_byte_by_byte(self, server: ServerUnderTest, name: str):
        await server.user("ann")
        error = await refused_login(server, name)
        assert (error.code, error.reason) == WRONG

    async def test_tries_with_wrong_passwords_are_limited(self, server: ServerUnderTest):
        await server.user("ann")
        await server.user("bob")
        for _ in range(8):
            assert (await refused_login(server, "ann", "wrong")).reason == "CREDENTIALS_INVALID"
        error = await refused_login(server, "ann")
        assert (error.code, error.reason) == (CODE.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        retry = next(each for each in error.details if isinstance(each, error_details_pb2.RetryInfo))
        assert retry.retry_delay.seconds >= 1
        await server.sign_in("bob")

    async def test_good_sign_ins_are_not_counted(self, server: ServerUnderTest):
        for _ in range(12):
            await server.sign_in("admin")

    async def test_an_empty_credential_names_its_field(self, server: ServerUnderTest):
        error = await refused(server.anyone.users.Login(pb.LoginRequest()))
        assert (error.code, list(error.fields)) == (CODE.INVALID_ARGUMENT, ["credential"])


class TestRefreshToken:
    async def test_the_new_pair_is_good(self, server: ServerUnderTest):
        tokens = await refresh(server.anyone, server.admin.login.tokens.refresh_token)
        again = await refresh(server.anyone, tokens.refresh_token)
        client = server.anyone.acting_by(again.access_token)
        assert (await client.users.GetUser(ME)).user.name == "admin"

    async def test_an_old_one_ends_the_whole_session(self, server: ServerUnderTest):
        old = server.admin.login.tokens.refresh_token
        newest = await refresh(server.anyone, old)
        error = await refused_refresh(server.anyone, old)
        assert (error.code, error.reason) == REVOKED
        for token in (newest.refresh_token, old):
            assert (await refused_refresh(server.anyone, token)).reason == "TOKEN_REVOKED"
        for token in (newest.access_token, server.admin.credential):
            error = await refused(server.anyone.acting_by(token).users.GetUser(ME))
            assert (error.code, error.reason) == REVOKED

    async def test_other_sessions_of_the_user_go_on(self, server: ServerUnderTest):
        other = await server.sign_in("admin")
        old = server.admin.login.tokens.refresh_token
        await refresh(server.anyone, old)
        await refused_refresh(server.anyone, old)
        await other.users.GetUser(ME)

    async def test_two_at_a_time_never_both_live_on(self, server: ServerUnderTest):
        token = server.admin.login.tokens.refresh_token
        results = await asyncio.gather(
            *(refresh(server.anyone, token) for _ in range(4)), return_exceptions=True
        )
        given = [each for each in results if isinstance(each, pb.Tokens)]
        assert len(given) <= 1
        for tokens in given:
            assert (await refused_refresh(server.anyone, tokens.refresh_token)).reason == "TOKEN_REVOKED"

    async def test_what_weir_did_not_sign_touches_no_session(self, server: ServerUnderTest):
        good = server.admin.login.tokens.refresh_token
        for bad in ("x", "ä", good[:-2], good[:-3] + "AAA", "A" * len(good), good + "A", "=" * 512):
            error = await refused_refresh(server.anyone, bad)
            assert (error.code, error.reason) == WRONG
        await refresh(server.anyone, good)

    async def test_a_session_that_ran_out_is_ended(self, server: ServerUnderTest):
        await server.runtime.db.write(lambda tx: tx.execute(update(session).values(expire_time=PAST)))
        error = await refused_refresh(server.anyone, server.admin.login.tokens.refresh_token)
        assert (error.code, error.reason) == REVOKED


class TestLogout:
    async def test_the_session_is_over(self, server: ServerUnderTest):
        await server.admin.users.Logout(pb.LogoutRequest())
        error = await refused(server.admin.users.GetUser(ME))
        assert (error.code, error.reason) == REVOKED
        token = server.admin.login.tokens.refresh_token
        assert (await refused_refresh(server.anyone, token)).reason == "TOKEN_REVOKED"

    async def test_a_key_has_no_session(self, server: ServerUnderTest):
        key = {"user_id": "self", "name": "robot", "bindings": [{"role": "viewer", "project": "*"}]}
        made = await server.admin.users.CreateApiKey(pb.CreateApiKeyRequest(api_key=key))  # pyright: ignore[reportArgumentType]
        robot = server.anyone.acting_by(made.secret)
        error = await refused(robot.users.Logout(pb.LogoutRequest()))
        assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "STATE_CONFLICT")


class TestRevocationElsewhere:
    """What one server ends, another refuses within 2 s."""

    async def test_a_session_that_was_ended(self, server: ServerUnderTest, second: Client):
        client = second.acting_by(server.admin.credential)
        await client.users.GetUser(ME)
        await server.admin.users.Logout(pb.LogoutRequest())
        error = await until_refused(client)
        assert (error.code, error.reason) == REVOKED

    async def test_a_key_that_was_revoked(self, server: ServerUnderTest, second: Client):
        key = {"user_id": "self", "name": "robot", "bindings": [{"role": "viewer", "project": "*"}]}
        made = await server.admin.users.CreateApiKey(pb.CreateApiKeyRequest(api_key=key))  # pyright: ignore[reportArgumentType]
        robot = second.acting_by(made.secret)
        await robot.users.GetUser(ME)
        await server.admin.users.RevokeApiKey(
            pb.RevokeApiKeyRequest(user_id="self", api_key_id=made.api_key.id)
        )
        error = await until_refused(robot)
        assert (error.code, error.reason) == REVOKED

    async def test_a_user_that_was_disabled(self, server: ServerUnderTest):
        ann = await server.user("ann")
        disable = update(user).where(user.c.name == "ann").values(disabled=True)
        await server.runtime.db.write(lambda tx: tx.execute(disable))
        error = await until_refused(ann)
        assert (error.code, error.reason) == REVOKED

    async def test_servers_take_each_others_tokens(self, server: ServerUnderTest, second: Client):
        other = await sign_in(second.channel, "admin", PASSWORD)
        await server.anyone.acting_by(other.credential).users.GetUser(ME)

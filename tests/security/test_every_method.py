"""P13: whatever the contract serves is closed, and nothing that is sent gives a bare or telling error."""

import random
from typing import Any

import grpc
import pytest

from tests.fixtures.contract import Method, made_up, methods
from tests.fixtures.server import Refusal, ServerUnderTest, refusal, refused
from weir.v1 import common_pb2

CODE = grpc.StatusCode
METHODS = methods()
CLOSED = [method for method in METHODS if not method.rule.anonymous]
REASONS = {name.removeprefix("ERROR_REASON_") for name in common_pb2.ErrorReason.keys()}  # noqa: SIM118
# Follows what comes, and ends only when its caller does, here by a deadline.
ENDLESS = "TaskService.WatchTasks"
# A caller's input may not be the cause of these.
DEFECTS = {CODE.UNKNOWN, CODE.INTERNAL, CODE.DATA_LOSS, CODE.DEADLINE_EXCEEDED, CODE.UNAVAILABLE}


async def outcome(call: Any) -> Refusal | None:
    """How a call ended; None: well."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return refusal(error)
    return None


def test_only_these_are_open_to_all():
    assert {str(method) for method in METHODS if method.rule.anonymous} == {
        "UserService.Login",
        "UserService.RefreshToken",
    }


@pytest.mark.parametrize("raw", [b"", b"\xff\xff\xff"], ids=["empty", "no message"])
async def test_p13_without_a_credential_nothing_is_let_in(server: ServerUnderTest, raw: bytes):
    for method in CLOSED:
        error = await refused(method.call(server.channel, raw))
        assert (error.code, error.reason) == (CODE.UNAUTHENTICATED, "CREDENTIALS_MISSING"), method


@pytest.mark.parametrize("credential", ["x", "weir_x", "weir_" + "a" * 12 + "_" + "b" * 43, "e30.e30.e30"])
async def test_p13_a_wrong_credential_gets_one_answer_everywhere(server: ServerUnderTest, credential: str):
    for method in CLOSED:
        error = await refused(method.call(server.channel, b"", credential))
        assert (error.code, error.reason) == (CODE.UNAUTHENTICATED, "CREDENTIALS_INVALID"), method
        assert error.message == "the credentials are wrong"


@pytest.mark.parametrize("scheme", ["Basic", "Token", "bearer-", ""])
async def test_p13_another_scheme_is_wrong(server: ServerUnderTest, scheme: str):
    call = server.channel.unary_unary("/weir.v1.UserService/GetUser")
    metadata = (("authorization", f"{scheme} {server.admin.credential}"),)
    error = await refused(call(b"", metadata=metadata))
    assert (error.code, error.reason) == (CODE.UNAUTHENTICATED, "CREDENTIALS_INVALID")


async def test_p13_who_holds_nothing_may_call_nothing(server: ServerUnderTest):
    nobody = await server.user("nobody")
    for method in CLOSED:
        if method.rule.permission:
            error = await refused(method.call(server.channel, b"", nobody.credential))
            assert (error.code, error.reason) == (CODE.PERMISSION_DENIED, "PERMISSION_MISSING"), method
            assert error.metadata["permission"] == method.rule.permission


async def test_random_bytes_are_the_callers_fault(server: ServerUnderTest):
    dice = random.Random(7)
    for method in METHODS:
        credential = server.admin.credential
        for length in (1, 10, 1000):
            raw = b"\xff" + dice.randbytes(length)
            error = await refused(method.call(server.channel, raw, credential))
            assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "FIELD_INVALID"), method


@pytest.mark.parametrize("method", METHODS, ids=str)
async def test_whatever_is_sent_the_answer_is_one_of_the_contract(server: ServerUnderTest, method: Method):
    dice = random.Random(11)
    endless = str(method) == ENDLESS
    for number in range(25):
        request = method.request() if number == 0 else made_up(method.request(), dice)
        raw, credential = request.SerializeToString(), server.admin.credential
        ended = await outcome(method.call(server.channel, raw, credential, timeout=0.5 if endless else 20))
        if ended is None or (endless and ended.code is CODE.DEADLINE_EXCEEDED):
            continue
        assert ended.code not in DEFECTS, f"{ended}\n{request}"
        assert ended.reason in REASONS, f"{ended}\n{request}"
        assert ended.metadata["request"]
        # Both reach the client within the 8 KiB that gRPC gives to all metadata.
        assert len(ended.message.encode()) <= 2000
        if str(method) == "UserService.Logout":
            break

import pickle
from typing import Any

import pytest
from google.rpc import error_details_pb2

from tests.sdk.fake import Fail, FakeServer
from weir import AsyncClient, errors, methods
from weir.v1.common_pb2 import ErrorReason
from weir.v1.task_pb2 import (
    TASK_STATE_CANCELLED,
    TASK_STATE_FAILED,
    Cancellation,
    Failure,
    FailureKind,
    LogLine,
    Task,
    TaskState,
)
from weir.v1.task_service_pb2 import GetTaskResponse

CODES = [
    ("CANCELLED", errors.Cancelled),
    ("UNKNOWN", errors.Unknown),
    ("INVALID_ARGUMENT", errors.InvalidArgument),
    ("DEADLINE_EXCEEDED", errors.DeadlineExceeded),
    ("NOT_FOUND", errors.NotFound),
    ("ALREADY_EXISTS", errors.AlreadyExists),
    ("PERMISSION_DENIED", errors.PermissionDenied),
    ("RESOURCE_EXHAUSTED", errors.ResourceExhausted),
    ("FAILED_PRECONDITION", errors.FailedPrecondition),
    ("ABORTED", errors.Aborted),
    ("OUT_OF_RANGE", errors.OutOfRange),
    ("UNIMPLEMENTED", errors.Unimplemented),
    ("INTERNAL", errors.Internal),
    ("DATA_LOSS", errors.DataLoss),
    ("UNAUTHENTICATED", errors.Unauthenticated),
]

REASONS = [
    ("INVALID_ARGUMENT", "FIELD_INVALID", errors.FieldInvalid),
    ("INVALID_ARGUMENT", "SCHEMA_MISMATCH", errors.SchemaMismatch),
    ("INVALID_ARGUMENT", "FILTER_INVALID", errors.FilterInvalid),
    ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID", errors.PageTokenInvalid),
    ("UNAUTHENTICATED", "CREDENTIALS_MISSING", errors.CredentialsMissing),
    ("UNAUTHENTICATED", "TOKEN_EXPIRED", errors.TokenExpired),
    ("UNAUTHENTICATED", "TOKEN_REVOKED", errors.TokenRevoked),
    ("ALREADY_EXISTS", "NAME_TAKEN", errors.NameTaken),
    ("ALREADY_EXISTS", "REQUEST_ID_REUSED", errors.RequestIdReused),
    ("FAILED_PRECONDITION", "STATE_CONFLICT", errors.StateConflict),
    ("FAILED_PRECONDITION", "IN_USE", errors.InUse),
    ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", errors.QuotaExceeded),
    ("OUT_OF_RANGE", "POSITION_EXPIRED", errors.PositionExpired),
]


async def raised(server: FakeServer, client: AsyncClient, failure: Fail) -> errors.CallError:
    server.script(methods.GET_TASK, failure)
    with pytest.raises(errors.CallError) as caught:
        await client.tasks.get_task("t1")
    return caught.value


class TestCallErrors:
    @pytest.mark.parametrize("code,kind", CODES)
    async def test_a_bare_code_has_its_class(
        self, server: FakeServer, client: AsyncClient, code: str, kind: type[errors.CallError]
    ):
        error = await raised(server, client, Fail(code, message="why"))
        assert type(error) is kind
        assert (error.code, error.reason, error.message) == (code, "", "why")

    @pytest.mark.parametrize("code,reason,kind", REASONS)
    async def test_a_reason_has_its_class(
        self, server: FakeServer, client: AsyncClient, code: str, reason: str, kind: type[errors.CallError]
    ):
        error = await raised(server, client, Fail(code, reason))
        assert type(error) is kind
        assert error.reason == reason

    async def test_a_reason_may_come_with_the_enums_name(self, server: FakeServer, client: AsyncClient):
        error = await raised(server, client, Fail("NOT_FOUND", "ERROR_REASON_NOT_FOUND"))
        assert error.reason == "NOT_FOUND"

    async def test_an_unknown_reason_counts_as_its_code(self, server: FakeServer, client: AsyncClient):
        error = await raised(server, client, Fail("NOT_FOUND", "GONE_FISHING"))
        assert type(error) is errors.NotFound
        assert error.reason == "GONE_FISHING"

    async def test_a_reason_that_does_not_fit_its_code_counts_as_the_code(
        self, server: FakeServer, client: AsyncClient
    ):
        assert type(await raised(server, client, Fail("NOT_FOUND", "NAME_TAKEN"))) is errors.NotFound

    async def test_says_field_what_is_wrong_help_and_request(self, server: FakeServer, client: AsyncClient):
        broken = error_details_pb2.BadRequest()
        broken.field_violations.add(field="page_size", description="-1 is below 0")
        told = error_details_pb2.Help()
        told.links.add(description="see `weir tasks list --help`")
        failure = Fail("INVALID_ARGUMENT", "FIELD_INVALID", "the request is wrong", details=[broken, told])
        error = await raised(server, client, failure)
        assert error.violations == (errors.Violation("page_size", "-1 is below 0"),)
        assert error.help == "see `weir tasks list --help`"
        assert error.request_id == "req-1"
        assert str(error).splitlines() == [
            "the request is wrong",
            "page_size: -1 is below 0",
            "see `weir tasks list --help`",
            "request req-1",
        ]

    async def test_metadata_is_kept(self, server: FakeServer, client: AsyncClient):
        failure = Fail("PERMISSION_DENIED", "PERMISSION_MISSING", metadata={"permission": "tasks.read"})
        assert (await raised(server, client, failure)).metadata["permission"] == "tasks.read"

    def test_each_reason_that_has_a_class_is_in_the_contract(self):
        known = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118  an enum
        assert {reason for _, reason, _ in REASONS} <= known


KINDS = {
    "INVALID_INPUT": errors.InvalidInput,
    "USER_ERROR": errors.HandlerFailed,
    "RETRYABLE": errors.RetriesUsedUp,
    "DEPENDENCY": errors.DependencyFailed,
    "RATE_LIMITED": errors.SourceRateLimited,
    "TIMEOUT": errors.TimedOut,
    "LOST_WORKER": errors.LostWorker,
    "RESOURCE": errors.OutOfResource,
    "EXIT": errors.ProcessExit,
    "GUARD": errors.GuardFailed,
    "UPSTREAM": errors.UpstreamFailed,
    "INTERNAL": errors.WeirFault,
}


def ended(state: TaskState.ValueType, **fields: Any) -> GetTaskResponse:
    return GetTaskResponse(task=Task(id="t1", state=state, attempt=2, **fields))


class TestPickle:
    """An exception crosses processes, as it does in a pool of them."""

    @pytest.mark.parametrize(
        "error",
        [
            errors.NotFound("gone", reason="NOT_FOUND", metadata={"request": "r"}, retry_after=2.0),
            errors.TimedOut(Task(id="t1", failure=Failure(message="slow"))),
            errors.NotEnded("t1", "RUNNING", 5.0),
            errors.InvalidValue("input.a", "no JSON value"),
        ],
    )
    def test_comes_out_as_it_went_in(self, error: errors.WeirError):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  made here
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


class TestTaskErrors:
    @pytest.mark.parametrize("name,kind", KINDS.items())
    async def test_each_kind_has_its_class(
        self, server: FakeServer, client: AsyncClient, name: str, kind: type[errors.TaskFailed]
    ):
        failure = Failure(kind=FailureKind.Value(f"FAILURE_KIND_{name}"), message="disk is full")
        failure.log_tail.append(LogLine(text="last words"))
        server.script(methods.GET_TASK, ended(TASK_STATE_FAILED, failure=failure))
        with pytest.raises(errors.TaskFailed, match="t1 failed after 2 attempts: disk is full") as caught:
            await client.tasks.result("t1")
        assert type(caught.value) is kind
        assert caught.value.log_tail == ["last words"]

    def test_no_kind_is_left_out(self):
        kinds = {name.removeprefix("FAILURE_KIND_") for name in FailureKind.keys()}  # noqa: SIM118  an enum
        assert kinds - {"UNSPECIFIED", "CANCELLED"} == set(KINDS)

    async def test_an_unknown_kind_is_task_failed(self, server: FakeServer, client: AsyncClient):
        unknown: Any = 99
        server.script(methods.GET_TASK, ended(TASK_STATE_FAILED, failure=Failure(kind=unknown)))
        with pytest.raises(errors.TaskFailed) as caught:
            await client.tasks.result("t1")
        assert type(caught.value) is errors.TaskFailed

    async def test_cancelled_says_why(self, server: FakeServer, client: AsyncClient):
        cancellation = Cancellation(reason="too slow")
        server.script(methods.GET_TASK, ended(TASK_STATE_CANCELLED, cancellation=cancellation))
        with pytest.raises(errors.TaskCancelled, match="t1 was cancelled: too slow"):
            await client.tasks.result("t1")

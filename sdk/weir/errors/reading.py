"""From what gRPC raises to the tree: google.rpc details where there are any, the bare code else."""

from collections.abc import Iterable

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from weir.errors import calls
from weir.errors.calls import CallError, Violation

DETAILS_KEY = "grpc-status-details-bin"

_BY_CODE: dict[str, type[CallError]] = {kind.code: kind for kind in CallError.__subclasses__()}
_BY_REASON: dict[str, type[CallError]] = {
    "FIELD_INVALID": calls.FieldInvalid,
    "SCHEMA_MISMATCH": calls.SchemaMismatch,
    "FILTER_INVALID": calls.FilterInvalid,
    "PAGE_TOKEN_INVALID": calls.PageTokenInvalid,
    "CREDENTIALS_MISSING": calls.CredentialsMissing,
    "CREDENTIALS_INVALID": calls.CredentialsInvalid,
    "TOKEN_EXPIRED": calls.TokenExpired,
    "TOKEN_REVOKED": calls.TokenRevoked,
    "NAME_TAKEN": calls.NameTaken,
    "REQUEST_ID_REUSED": calls.RequestIdReused,
    "ETAG_MISMATCH": calls.EtagMismatch,
    "STATE_CONFLICT": calls.StateConflict,
    "IN_USE": calls.InUse,
    "RATE_LIMITED": calls.RateLimited,
    "QUOTA_EXCEEDED": calls.QuotaExceeded,
    "POSITION_EXPIRED": calls.PositionExpired,
    "DEPENDENCY_DOWN": calls.DependencyDown,
    "DRAINING": calls.Draining,
}


def call_error(error: grpc.RpcError, method: str) -> CallError:
    """The exception of our own for what gRPC raised."""
    code = error.code().name
    message = error.details() or ""
    return _from_status(code, message, _details(error), method)


def _from_status(code: str, message: str, status: status_pb2.Status, method: str) -> CallError:
    info, help_text = error_details_pb2.ErrorInfo(), error_details_pb2.Help()
    retry, found = error_details_pb2.RetryInfo(), False
    violations: list[Violation] = []
    for detail in status.details:
        if detail.Unpack(info) or detail.Unpack(help_text):
            continue
        if detail.Unpack(retry):
            found = True
        violations += _violations(detail)
    reason = info.reason.removeprefix("ERROR_REASON_")
    return _class_of(code, reason)(
        message,
        reason=reason,
        metadata=info.metadata,
        violations=violations,
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if found else None,
        method=method,
        help_text=" ".join(link.description or link.url for link in help_text.links),
    )


def _class_of(code: str, reason: str) -> type[CallError]:
    by_code = _BY_CODE.get(code, calls.Unknown)
    by_reason = _BY_REASON.get(reason, by_code)
    return by_reason if issubclass(by_reason, by_code) else by_code


def _details(error: grpc.RpcError) -> status_pb2.Status:
    """The details that came with the status; empty when none did or they can't be read."""
    trailers: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()  # pyright: ignore[reportAssignmentType]
    packed = next((value for key, value in trailers if key == DETAILS_KEY), b"")
    try:
        return status_pb2.Status.FromString(packed if isinstance(packed, bytes) else packed.encode())
    except DecodeError:
        return status_pb2.Status()


def _violations(detail: Any) -> list[Violation]:
    request, quota = error_details_pb2.BadRequest(), error_details_pb2.QuotaFailure()
    precondition = error_details_pb2.PreconditionFailure()
    if detail.Unpack(request):
        return [Violation(each.field, each.description) for each in request.field_violations]
    if detail.Unpack(quota):
        return [Violation(each.subject, each.description) for each in quota.violations]
    if detail.Unpack(precondition):
        return [Violation(each.subject, each.description) for each in precondition.violations]
    return []

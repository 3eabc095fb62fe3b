"""Which status an error becomes, in one table, and the details that go with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from weir_core import errors
from weir_core.errors import WeirError
from weir_server.interceptors.wrap import MethodUnknown

DOMAIN: Final = "weir"

# Looked up along the class's bases, so that a subclass needs a line only where it differs.
CODES: Final[Mapping[type[WeirError], StatusCode]] = {
    errors.InvalidArgument: StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.PermissionMissing: StatusCode.PERMISSION_DENIED,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.NameTaken: StatusCode.ALREADY_EXISTS,
    errors.RequestIdReused: StatusCode.ALREADY_EXISTS,
    errors.StateConflict: StatusCode.FAILED_PRECONDITION,
    errors.InUse: StatusCode.FAILED_PRECONDITION,
    errors.EtagMismatch: StatusCode.ABORTED,
    errors.Conflict: StatusCode.ABORTED,
    errors.RateLimited: StatusCode.RESOURCE_EXHAUSTED,
    errors.QuotaExceeded: StatusCode.RESOURCE_EXHAUSTED,
    errors.PositionExpired: StatusCode.OUT_OF_RANGE,
    errors.ChecksumMismatch: StatusCode.DATA_LOSS,
    errors.DependencyDown: StatusCode.UNAVAILABLE,
    errors.Draining: StatusCode.UNAVAILABLE,
    errors.DeadlineReached: StatusCode.DEADLINE_EXCEEDED,
    MethodUnknown: StatusCode.UNIMPLEMENTED,
    # The base itself is raised by nobody.
    WeirError: StatusCode.INTERNAL,
}

# Clients refuse metadata beyond 8 KiB; message and details share it with the rest, in base64.
_MESSAGE_BYTES: Final = 500
_VALUE_BYTES: Final = 300
_VIOLATIONS_BYTES: Final = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """A status as it goes out; `details` is a google.rpc.Status."""

    code: StatusCode
    message: str
    details: bytes


def answer_to(error: BaseException, request: str) -> Answer:
    """The status for an error; of one that is not Weir's own only the request's id is told."""
    if isinstance(error, WeirError):
        code, message, reason, metadata = _code(type(error)), error.message, error.reason, error.metadata
        details = [detail(error) for kind, detail in _DETAILS.items() if isinstance(error, kind)]
    else:
        code, message, reason = (
            StatusCode.INTERNAL,
            "a defect of Weir; the server's log tells more",
            "INTERNAL",
        )
        metadata, details = {}, list[Message]()
    info = error_details_pb2.ErrorInfo(
        reason=f"ERROR_REASON_{reason}",
        domain=DOMAIN,
        metadata={key: _cut(value) for key, value in metadata.items()} | {"request": request},
    )
    text = _cut(message, _MESSAGE_BYTES)
    return Answer(code, text, _pack(code, text, [info, *details]))


def _code(kind: type[WeirError]) -> StatusCode:
    return next(CODES[base] for base in kind.__mro__ if base in CODES)


def _pack(code: StatusCode, message: str, details: list[Message]) -> bytes:
    number: Any = code.value[0]
    status = status_pb2.Status(code=number, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status.SerializeToString()


def _bad_request(error: errors.InvalidArgument) -> Message:
    details, room = error_details_pb2.BadRequest(), _VIOLATIONS_BYTES
    for violation in error.violations:
        made = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field),
            description=_cut(violation.description),
            reason=f"ERROR_REASON_{error.reason}",
        )
        room -= made.ByteSize()
        if room < 0:
            break
        details.field_violations.append(made)
    return details


def _resource(error: errors.NotFound | errors.NameTaken) -> Message:
    return error_details_pb2.ResourceInfo(resource_type=error.kind, resource_name=_cut(error.name))


def _retry(error: errors.RateLimited | errors.DependencyDown) -> Message:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromTimedelta(error.retry_after)
    return info


def _quota(error: errors.QuotaExceeded) -> Message:
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=_cut(error.subject), description=_cut(error.description)
    )
    return error_details_pb2.QuotaFailure(violations=[violation])


def _precondition(error: WeirError) -> Message:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=f"ERROR_REASON_{error.reason}",
        subject=_cut(error.metadata.get("state") or error.metadata.get("by") or ""),
        description=_cut(error.message),
    )
    return error_details_pb2.PreconditionFailure(violations=[violation])


_DETAILS: Final[Mapping[type[WeirError], Callable[[Any], Message]]] = {
    errors.InvalidArgument: _bad_request,
    errors.NotFound: _resource,
    errors.NameTaken: _resource,
    errors.RateLimited: _retry,
    errors.DependencyDown: _retry,
    errors.QuotaExceeded: _quota,
    errors.StateConflict: _precondition,
    errors.InUse: _precondition,
}


def _cut(text: str, most: int = _VALUE_BYTES) -> str:
    # Lone surrogates, which a caller's text may hold, can't be sent.
    raw = text.encode(errors="replace")
    return raw.decode() if len(raw) <= most else raw[:most].decode(errors="ignore") + "…"

"""Failed calls: a class per status code, and below it one per reason that a program would act on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from weir.errors.roots import WeirError


@dataclass(frozen=True)
class Violation:
    """One field, quota or precondition that stands in the way."""

    field: str
    description: str


class CallError(WeirError):
    """A call failed. Branch on the class or on `reason`, never on the text."""

    code: ClassVar[str] = "UNKNOWN"
    default_help: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
        method: str = "",
        help_text: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.method = method
        self.help = help_text or self.default_help

    @property
    def request_id(self) -> str:
        """Finds the call in the server's log; empty when the server never saw it."""
        return self.metadata.get("request", "")

    def __str__(self) -> str:
        lines = [self.message or self.code]
        lines += [
            f"{violation.field}: {violation.description}"
            for violation in self.violations
            if violation.description not in self.message
        ]
        lines += [self.help] if self.help else []
        lines += [f"request {self.request_id}"] if self.request_id else []
        return "\n".join(lines)


class Cancelled(CallError):
    """The call was cancelled, by the server or because the client was closed."""

    code = "CANCELLED"


class Unknown(CallError):
    """Something between client and server failed in a way that has no name."""


class InvalidArgument(CallError):
    """The request breaks a rule; `violations` name the fields."""

    code = "INVALID_ARGUMENT"


class FieldInvalid(InvalidArgument):
    """A field breaks its rule in the contract."""


class SchemaMismatch(InvalidArgument):
    """An input or settings do not fit their JSON schema."""


class FilterInvalid(InvalidArgument):
    """The filter can't be read; `metadata["column"]` says where."""


class PageTokenInvalid(InvalidArgument):
    """The page token is foreign, altered or too old."""

    default_help = "Start the list again without a page token."


class DeadlineExceeded(CallError, TimeoutError):
    """No answer within the deadline; what was asked for may or may not have been done."""

    code = "DEADLINE_EXCEEDED"
    default_help = "Give the call more time with timeout=…, or see with `weir doctor` how the server is."


class NotFound(CallError):
    """It does not exist, or the caller may not see it."""

    code = "NOT_FOUND"


class AlreadyExists(CallError):
    """Something is there already."""

    code = "ALREADY_EXISTS"


class NameTaken(AlreadyExists):
    """The name is taken."""


class RequestIdReused(AlreadyExists):
    """The request id was used with other content."""

    default_help = "Use another request_id for other content."


class PermissionDenied(CallError):
    """The permission in `metadata["permission"]` is not held."""

    code = "PERMISSION_DENIED"


class ResourceExhausted(CallError):
    """A limit is reached, of the server or of gRPC."""

    code = "RESOURCE_EXHAUSTED"


class RateLimited(ResourceExhausted):
    """Too many calls; `retry_after` says how long to wait."""


class QuotaExceeded(ResourceExhausted):
    """A limit on what may be kept or run is reached."""


class FailedPrecondition(CallError):
    """Not possible as things stand."""

    code = "FAILED_PRECONDITION"


class StateConflict(FailedPrecondition):
    """Not in this state; `metadata` has `state` and `allowed`."""


class InUse(FailedPrecondition):
    """Something else refers to it or holds it; see `metadata["by"]`."""


class Aborted(CallError):
    """Two changes met; call again."""

    code = "ABORTED"


class EtagMismatch(Aborted):
    """It was changed since it was read; read it again and reapply the change."""


class OutOfRange(CallError):
    """The place asked for is not there."""

    code = "OUT_OF_RANGE"


class PositionExpired(OutOfRange):
    """The place to resume at is no longer kept; start anew."""


class Unimplemented(CallError):
    """The server has no such method."""

    code = "UNIMPLEMENTED"
    default_help = "Is the server older than this SDK, or another program's?"


class Internal(CallError):
    """A defect of the server; `request_id` finds it in the server's log."""

    code = "INTERNAL"


class Unavailable(CallError):
    """The server can't be reached, or can't work just now."""

    code = "UNAVAILABLE"
    default_help = "Is the server up at this address? `weir doctor` says."


class DependencyDown(Unavailable):
    """A part that the server needs is down; `metadata["part"]` says which."""


class Draining(Unavailable):
    """The server is about to stop; another one, or the next, takes the call."""


class DataLoss(CallError):
    """Content does not match its checksum."""

    code = "DATA_LOSS"


class Unauthenticated(CallError):
    """The server does not know who calls."""

    code = "UNAUTHENTICATED"


class CredentialsMissing(Unauthenticated):
    """No credentials came with the call."""

    default_help = "Give the client an api_key=…, or user=… and password=…."


class CredentialsInvalid(Unauthenticated):
    """Wrong credentials."""


class TokenExpired(Unauthenticated):
    """The access token ran out and could not be renewed."""


class TokenRevoked(Unauthenticated):
    """The session or key was ended; sign in again."""

    default_help = "Sign in again."

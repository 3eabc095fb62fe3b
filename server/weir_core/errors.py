"""The errors that a caller may see.

    WeirError
    ├── InvalidArgument        a field breaks its rule
    │   ├── SchemaMismatch     an input does not fit its JSON schema
    │   ├── FilterInvalid      `filter` can't be read
    │   └── PageTokenInvalid   a foreign, altered or old page token
    ├── Unauthenticated        no, wrong or ended credentials
    │   └── CredentialsMissing, TokenExpired, TokenRevoked
    ├── PermissionMissing      signed in, but not allowed
    ├── NotFound               absent, or not to be seen by the caller
    ├── NameTaken, RequestIdReused
    ├── StateConflict, InUse   not now, in this state
    ├── EtagMismatch           changed since it was read
    ├── Conflict               two changes met; the whole call may be repeated
    ├── RateLimited, QuotaExceeded
    ├── PositionExpired        the place to resume is not kept
    ├── ChecksumMismatch       stored content is damaged
    ├── DependencyDown, Draining
    └── DeadlineReached        the server's own limit for the call

A class carries a reason (a name of `weir.v1.ErrorReason`, without its prefix)
and data. It knows no status code: that table stands in the server.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks a rule: its path and what would be right."""

    field: str
    description: str


class WeirError(Exception):
    """Base of all errors whose text may reach a caller."""

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata


class InvalidArgument(WeirError):
    """A field breaks its rule."""

    reason: ClassVar[str] = "FIELD_INVALID"

    def __init__(self, *violations: Violation, **metadata: str) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations), **metadata)
        self.violations = violations

    @classmethod
    def at(cls, field: str, description: str, **metadata: str) -> "InvalidArgument":
        """An error about one field."""
        return cls(Violation(field, description), **metadata)


class SchemaMismatch(InvalidArgument):
    """An input does not fit its JSON schema."""

    reason: ClassVar[str] = "SCHEMA_MISMATCH"


class FilterInvalid(InvalidArgument):
    """A filter can't be read; metadata `column` says where, from 1."""

    reason: ClassVar[str] = "FILTER_INVALID"


class PageTokenInvalid(InvalidArgument):
    """A page token is foreign, altered or too old."""

    reason: ClassVar[str] = "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__(
            Violation(
                "page_token", "is of another list, altered, or older than 24 hours; start again without it"
            )
        )


class Unauthenticated(WeirError):
    """No, wrong or ended credentials."""

    reason: ClassVar[str] = "CREDENTIALS_INVALID"


class CredentialsMissing(Unauthenticated):
    """No credentials came with the call."""

    reason: ClassVar[str] = "CREDENTIALS_MISSING"


class TokenExpired(Unauthenticated):
    """The access token ran out."""

    reason: ClassVar[str] = "TOKEN_EXPIRED"


class TokenRevoked(Unauthenticated):
    """The session or key was ended."""

    reason: ClassVar[str] = "TOKEN_REVOKED"


class PermissionMissing(WeirError):
    """The caller does not hold the permission in the project (`*`: in all; empty: in any)."""

    reason: ClassVar[str] = "PERMISSION_MISSING"

    def __init__(self, permission: str, project: str = "*") -> None:
        where = {"*": "all projects", "": "a project"}.get(project, f"project {project!r}")
        super().__init__(
            f"permission {permission!r} is needed in {where}; ask an administrator for a role that has it",
            permission=permission,
            project=project,
        )


class NotFound(WeirError):
    """Absent, or not to be seen by the caller."""

    reason: ClassVar[str] = "NOT_FOUND"

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"{kind} {str(name)!r} does not exist, or you may not see it")
        self.kind = kind
        self.name = str(name)


class NameTaken(WeirError):
    """The name is in use by another resource of its kind."""

    reason: ClassVar[str] = "NAME_TAKEN"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is a {kind} named {name!r} already; choose another name")
        self.kind = kind
        self.name = name


class RequestIdReused(WeirError):
    """The request id was used with other content."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"request_id {request_id!r} was used before with other content; take a new one for a new request"
        )


class StateConflict(WeirError):
    """Not possible in the state that the resource is in."""

    reason: ClassVar[str] = "STATE_CONFLICT"


class EtagMismatch(WeirError):
    """It was changed by another call since it was read."""

    reason: ClassVar[str] = "ETAG_MISMATCH"

    def __init__(self, kind: str, name: object) -> None:
        super().__init__(f"{kind} {str(name)!r} was changed since it was read; read it again and reapply")


class InUse(WeirError):
    """Something else refers to it or holds it."""

    reason: ClassVar[str] = "IN_USE"


class Conflict(WeirError):
    """Two changes met; the same call may be repeated."""

    reason: ClassVar[str] = "CONFLICT"


class RateLimited(WeirError):
    """Too many calls; `retry_after` says when to come back."""

    reason: ClassVar[str] = "RATE_LIMITED"

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QuotaExceeded(WeirError):
    """A limit is reached."""

    reason: ClassVar[str] = "QUOTA_EXCEEDED"

    def __init__(self, subject: str, description: str) -> None:
        super().__init__(f"{subject}: {description}")
        self.subject = subject
        self.description = description


class PositionExpired(WeirError):
    """The place to resume is not kept, or no longer."""

    reason: ClassVar[str] = "POSITION_EXPIRED"


class ChecksumMismatch(WeirError):
    """Stored content does not match its checksum."""

    reason: ClassVar[str] = "CHECKSUM_MISMATCH"


class DependencyDown(WeirError):
    """A part that Weir needs does not answer."""

    reason: ClassVar[str] = "DEPENDENCY_DOWN"

    def __init__(self, part: str, retry_after: timedelta = timedelta(seconds=1), *, told: str = "") -> None:
        super().__init__(told or f"{part} does not answer; try again in a moment", part=part)
        self.part = part
        self.retry_after = retry_after


class Draining(WeirError):
    """The server drains; another one takes the call."""

    reason: ClassVar[str] = "DRAINING"


class DeadlineReached(WeirError):
    """The server's own limit for the call was reached."""

    reason: ClassVar[str] = "DEADLINE"

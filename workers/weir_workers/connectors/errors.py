"""What can go wrong at a source, and who has to act."""

from typing import Literal, TypeAlias

# Names of weir.v1.FailureKind that a source can cause.
SourceFailureKind: TypeAlias = Literal["INVALID_INPUT", "DEPENDENCY", "RATE_LIMITED", "RESOURCE"]


class BodyCut(ValueError):
    """A body is not whole, or not what it should be at all: a failed try."""


class SourceError(Exception):
    """A source could not be read. The message is for people and holds no secret."""

    def __init__(
        self,
        kind: SourceFailureKind,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        host: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: SourceFailureKind = kind
        self.message = message
        self.code = code
        """Short stable name, such as `http.503`."""
        self.status = status
        """HTTP status; 0 where there was no answer."""
        self.host = host
        self.retry_after = retry_after
        """Seconds that the source asked to wait; None if it did not."""

"""Ids: UUIDv7, so that they sort by creation."""

from datetime import UTC, datetime
from uuid import UUID

from uuid6 import uuid7

from weir_core.errors import InvalidArgument


def new_id() -> UUID:
    """A fresh id, later than all that this process made before."""
    return UUID(int=uuid7().int)


def first_id(instant: datetime) -> UUID:
    """The smallest id that can have been made at an instant."""
    return UUID(int=max(0, int(instant.timestamp() * 1000)) << 80)


def instant_of(made: UUID) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)


def parse_id(field: str, text: str) -> UUID:
    """The id in a request's field."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidArgument.at(field, f"must be a UUID, not {text!r}") from None

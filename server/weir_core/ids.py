"""Ids: UUIDv7, so that they sort by creation."""

from uuid import UUID

from uuid6 import uuid7

from weir_core.errors import InvalidArgument


def new_id() -> UUID:
    """A fresh id, later than all that this process made before."""
    return UUID(int=uuid7().int)


def parse_id(field: str, text: str) -> UUID:
    """The id in a request's field."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidArgument.at(field, f"must be a UUID, not {text!r}") from None

"""Ids: UUIDv7, so that they sort by creation."""

import secrets
import threading
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from weir_core.errors import InvalidArgument

_COUNTER_BITS: Final = 42
_lock = threading.Lock()
_last = [0, 0]


def new_id() -> UUID:
    """A fresh id, later than all that this process made before.

    As `uuid.uuid7` of newer Pythons: a counter within the millisecond, so that the ids of a burst do not
    run ahead of the clock, and what another process makes afterwards is later.
    """
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last[0]:
            _last[:] = now, secrets.randbits(_COUNTER_BITS - 1)
        else:
            _last[1] += 1
            if _last[1] >> _COUNTER_BITS:
                _last[:] = _last[0] + 1, secrets.randbits(_COUNTER_BITS - 1)
        millis, counter = _last
    high = (millis & (1 << 48) - 1) << 80 | 7 << 76 | (counter >> 30) << 64
    low = 2 << 62 | (counter & (1 << 30) - 1) << 32 | secrets.randbits(32)
    return UUID(int=high | low)


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

"""How often all files of a store are walked through: many of them less often."""

from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Final

# Of the time that a walk takes, so much passes before the next one.
_IDLE: Final = 20


class Walks:
    """Walks through the same files, again and again."""

    def __init__(self) -> None:
        self._next = -inf

    async def walk(self, delete: Callable[[], Awaitable[int]]) -> int:
        """Walk if it is time to; what `delete` says that it has deleted on its way."""
        if (began := monotonic()) < self._next:
            return 0
        deleted = await delete()
        self._next = monotonic() + _IDLE * (monotonic() - began)
        return deleted

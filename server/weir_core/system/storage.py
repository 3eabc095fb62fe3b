"""Whether a store in a bucket takes and gives content: asked seldom while it does, since each time costs."""

import asyncio
import time
from typing import Final

from weir_core.errors import DependencyDown
from weir_core.stores.contract import ObjectStore, try_out
from weir_core.stores.threads import in_thread

_EVERY: Final = 30.0
_AGAIN: Final = 2.0
_PATIENCE: Final = 1.5


class StoreProbe:
    """Tries a store, one time after the other however often it is looked at."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._trying: asyncio.Task[None] | None = None
        self._next = 0.0
        self._fault = ""

    async def fault(self) -> str:
        """What is wrong with the store, as the newest try found it; empty: nothing."""
        if self._trying is None:
            if time.monotonic() < self._next:
                return self._fault
            self._trying = asyncio.create_task(in_thread(try_out, self._store))
        done, _ = await asyncio.wait({self._trying}, timeout=_PATIENCE)
        if not done:
            return f"the store {self._store.place} gave no answer yet"
        self._fault = _told(self._trying.exception())
        self._trying = None
        self._next = time.monotonic() + (_AGAIN if self._fault else _EVERY)
        return self._fault


def _told(error: BaseException | None) -> str:
    match error:
        case None:
            return ""
        case DependencyDown():
            return error.message
        case OSError(strerror=str(said)):
            return said
        case _:
            raise error

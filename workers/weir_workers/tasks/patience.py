"""Waiting for database and store: a run outlives an outage of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeVar

from weir.task import TaskFailure
from weir_core.datasets.segments import Put
from weir_core.errors import Conflict, DependencyDown
from weir_core.stores.contract import ObjectStore
from weir_core.stores.threads import in_thread

T = TypeVar("T")

_SECONDS: Final = 120.0
_PAUSE: Final = 0.5


async def patiently(
    call: Callable[[], Awaitable[T]],
    *,
    seconds: float = _SECONDS,
    pause: float = _PAUSE,
    tell: Callable[[str], None] | None = None,
) -> T:
    """What a repeatable call answers, once that does which it asks; after that long the task's retry waits.

    `tell` is told once what is waited for.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except (DependencyDown, Conflict) as error:
            if time.monotonic() + pause > until:
                code = error.part if isinstance(error, DependencyDown) else "db"
                raise TaskFailure("DEPENDENCY", error.message, code=code) from error
            if tell is not None and isinstance(error, DependencyDown):
                tell(f"waiting: {error.message}")
                tell = None
        await asyncio.sleep(pause)


@contextmanager
def refusals_told() -> Generator[None]:
    """Says of a store that is full, or takes nothing from this machine, that the run lacks a resource."""
    try:
        yield
    except OSError as error:
        raise TaskFailure(
            "RESOURCE", f"a segment can't be written: {error.strerror}", code="storage"
        ) from error


def putting(store: ObjectStore, tell: Callable[[str], None] | None = None) -> Put:
    """What stores content once the store answers; OSError where it refuses."""

    async def put(name: str, content: memoryview) -> None:
        await patiently(lambda: in_thread(store.put, name, content), tell=tell)

    return put

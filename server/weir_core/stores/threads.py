"""The threads in which stores are asked: a store that hangs holds up nothing else.

In the event loop's own threads it would: names of hosts are looked up there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

THREADS: Final = ThreadPoolExecutor(thread_name_prefix="store")


async def in_thread(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What the call gives; who is cancelled meanwhile leaves it to its end."""
    run = partial(copy_context().run, call, *args, **named)
    return await asyncio.get_running_loop().run_in_executor(THREADS, run)

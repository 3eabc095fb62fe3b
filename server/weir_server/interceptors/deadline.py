"""The server's own limit for a call, whatever its caller allows."""

import asyncio
from typing import Final

from weir_core.errors import DeadlineReached
from weir_server.interceptors.call import Call, Proceed

SECONDS: Final = 30.0


async def deadline(call: Call, proceed: Proceed) -> bytes | None:
    """Ends a unary call that takes too long, and a stream when it is broken off."""
    limit = call.limit = asyncio.timeout(None if call.streams else SECONDS)
    try:
        async with limit:
            return await proceed(call)
    except TimeoutError:
        if not limit.expired():
            raise
        raise call.ended or DeadlineReached(f"the call took longer than {SECONDS:.0f} s") from None


async def allow_wait(call: Call, proceed: Proceed) -> bytes | None:
    """A `wait` in the request, which was checked by now, adds to the limit."""
    message = call.message
    field = message and message.DESCRIPTOR.fields_by_name.get("wait")
    if field and message and message.HasField("wait") and call.limit and (end := call.limit.when()):
        call.limit.reschedule(end + message.wait.ToTimedelta().total_seconds())  # type: ignore[attr-defined]
    return await proceed(call)

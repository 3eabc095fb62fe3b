"""One log line a call: which method, who, how it ended, how long it took. Never what it said."""

import asyncio
import logging
import time
from typing import Final

import grpc

from weir_server.interceptors.call import Call, Proceed

_log = logging.getLogger("weir.access")
_QUIET: Final = ("/grpc.health.", "/grpc.reflection.")


async def access_log(call: Call, proceed: Proceed) -> bytes | None:
    """Writes the line when the call has ended."""
    started = time.monotonic()
    try:
        return await proceed(call)
    except asyncio.CancelledError:
        call.code = grpc.StatusCode.CANCELLED
        raise
    finally:
        principal = call.caller and call.caller.principal
        _log.log(
            logging.DEBUG if call.method.startswith(_QUIET) else logging.INFO,
            "%s %s",
            call.method[:200],
            call.code.name,
            extra={
                "milliseconds": round((time.monotonic() - started) * 1000, 1),
                "caller": principal.name if principal else "",
                "peer": call.context.peer(),
            },
        )

"""Gives every call an id: in each of its log lines, in its errors, in its trailing metadata."""

import re
from typing import Final
from uuid import uuid4

from weir_core import logs
from weir_server.interceptors.call import Call, Proceed

METADATA: Final = "x-request-id"
_TAKEN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def request_id(call: Call, proceed: Proceed) -> bytes | None:
    """Takes the caller's id where it brings a plain one, else makes one."""
    brought = call.metadata.get(METADATA, "")
    chosen = brought if _TAKEN.fullmatch(brought) else uuid4().hex
    logs.request_id.set(chosen)
    call.context.set_trailing_metadata(((METADATA, chosen),))
    return await proceed(call)

"""Open streams: what they may give is looked at again while they run, and a drain ends them.

A stream's access token may run out; its session, key or rights may not end.
"""

import asyncio
import logging
from typing import Final

from weir_core.errors import Draining, PermissionMissing, Unauthenticated, WeirError
from weir_core.users.authentication import Authenticator
from weir_server.interceptors.call import Call, Proceed
from weir_server.interceptors.permission import Permission

# Every 2 s at the latest, with the age of what the authenticator remembers.
_SECONDS: Final = 0.5

_log = logging.getLogger(__name__)


class OpenStreams:
    """The streams of this server that somebody was let in for."""

    def __init__(self, authenticator: Authenticator, permission: Permission) -> None:
        self._authenticator = authenticator
        self._permission = permission
        self._open: set[Call] = set()

    async def track(self, call: Call, proceed: Proceed) -> bytes | None:
        """Keeps an eye on a stream until it ends."""
        if not call.streams:
            return await proceed(call)
        self._open.add(call)
        try:
            return await proceed(call)
        finally:
            self._open.discard(call)

    def drain(self) -> None:
        """End all streams; their watchers resume elsewhere."""
        for call in self._open:
            call.end(Draining("this server shuts down; resume on another one"))

    async def watch(self) -> None:
        """Look at all open streams again and again."""
        while True:
            await asyncio.sleep(_SECONDS)
            for call in list(self._open):
                await self._look(call)

    async def _look(self, call: Call) -> None:
        if call.caller is None:
            return
        try:
            call.caller = await self._authenticator.again(call.caller, call.metadata.get("authorization", ""))
            self._permission.recheck(call, call.caller)
        except (Unauthenticated, PermissionMissing) as error:
            call.end(error)
        except WeirError as error:
            # A database that is away says nothing about rights; the stream has its own ways to fail.
            _log.debug("an open stream could not be looked at: %s", error)

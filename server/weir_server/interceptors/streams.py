"""Open streams: what they may give is looked at again while they run, and a drain ends them.

A stream's access token may run out; its session, key or rights may not end.
"""

import asyncio
import logging
from typing import Final
from uuid import UUID

from weir_core.errors import Draining, PermissionMissing, Unauthenticated, WeirError
from weir_core.principals import Caller
from weir_core.users.authentication import Authenticator
from weir_server.interceptors.call import Call, Proceed
from weir_server.interceptors.permission import Permission

# Every 2 s at the latest, with the age of what the authenticator remembers.
_SECONDS: Final = 0.5
_AT_A_TIME: Final = 200

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
            found: dict[UUID | str, Caller | WeirError] = {}
            for number, call in enumerate(list(self._open)):
                if call.caller is not None:
                    await self._look(call, call.caller, found)
                if number % _AT_A_TIME == 0:
                    # Thousands in one go would hold all other calls up.
                    await asyncio.sleep(0)

    async def _look(self, call: Call, caller: Caller, found: dict[UUID | str, Caller | WeirError]) -> None:
        """Look at one; who calls by the same session or key is looked up once a round."""
        authorization = call.metadata.get("authorization", "")
        place = caller.session_id or authorization
        try:
            if place not in found:
                found[place] = await self._again(caller, authorization)
            now = found[place]
            if isinstance(now, WeirError):
                raise now
            call.caller = now
            self._permission.recheck(call, now)
        except (Unauthenticated, PermissionMissing) as error:
            call.end(error)
        except WeirError as error:
            # A database that is away says nothing about rights; the stream has its own ways to fail.
            _log.debug("an open stream could not be looked at: %s", error)

    async def _again(self, caller: Caller, authorization: str) -> Caller | WeirError:
        try:
            return await self._authenticator.again(caller, authorization)
        except WeirError as error:
            return error

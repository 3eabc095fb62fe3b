"""Bounds the calls that run at a time, streams apart from the rest; a draining server takes none."""

from datetime import timedelta
from typing import Final

from weir_core.errors import Draining, RateLimited
from weir_server.interceptors.call import Call, Proceed

UNARY_CALLS: Final = 400
STREAMS: Final = 8000


class Admission:
    """Lets calls in, or sends them away with a time to come back."""

    def __init__(self, unary_calls: int = UNARY_CALLS, streams: int = STREAMS) -> None:
        self._limits = {False: unary_calls, True: streams}
        self._running = {False: 0, True: 0}
        self._draining = False

    def close(self) -> None:
        """Take no more calls."""
        self._draining = True

    async def admit(self, call: Call, proceed: Proceed) -> bytes | None:
        """A place for the call, or an error."""
        if self._draining:
            raise Draining("this server shuts down; another one takes the call")
        if self._running[call.streams] >= self._limits[call.streams]:
            raise RateLimited("this server has too many calls; try again in a moment", timedelta(seconds=1))
        self._running[call.streams] += 1
        try:
            return await proceed(call)
        finally:
            self._running[call.streams] -= 1

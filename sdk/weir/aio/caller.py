"""One call from its first try to its last: deadline, token, retries."""

from weir import errors
from weir.aio import io
from weir.aio.auth import AsyncCredentials
from weir.aio.channels import AsyncChannels
from weir.aio.stream import AsyncStream
from weir.deadline import Deadline, Timeout, in_seconds
from weir.method import Method, Req, Resp
from weir.retry import Backoff, repeats
from weir.times import DurationLike, seconds_of


class AsyncCaller:
    """What all generated clients call through."""

    def __init__(
        self, channels: AsyncChannels, credentials: AsyncCredentials, timeout: float | None = None
    ) -> None:
        self._channels = channels
        self._credentials = credentials
        self._timeout = timeout

    async def unary(
        self, method: Method[Req, Resp], request: Req, timeout: Timeout = None, wait: DurationLike = None
    ) -> Resp:
        """Calls until it is answered or not worth repeating, within one deadline; `wait` adds to it."""
        deadline = Deadline(self._limit(method, timeout, seconds_of(wait)))
        backoff = Backoff()
        while True:
            try:
                return await self._signed_in(method, request, deadline)
            except errors.CallError as error:
                if not repeats(method, error):
                    raise
                delay = backoff.next(error.retry_after)
                if delay >= deadline.remaining():
                    raise
            await io.sleep(delay)

    def stream(self, method: Method[Req, Resp], request: Req) -> AsyncStream[Resp]:
        """A server stream, opened at its first read, on a channel for streams."""
        return AsyncStream(self._channels, self, method, request)

    async def token(self, method: Method[Req, Resp], timeout: float) -> str | None:
        """The token to send with the method, if any."""
        return None if method.anonymous else await self._credentials.token(self, timeout)

    async def renewed(self, rejected: str, timeout: float) -> str | None:
        """Another token than the one that was rejected as expired; None where there is no other."""
        return await self._credentials.renewed(self, rejected, timeout)

    async def _signed_in(self, method: Method[Req, Resp], request: Req, deadline: Deadline) -> Resp:
        token = await self.token(method, deadline.remaining())
        try:
            return await self._once(method, request, token, deadline)
        except errors.TokenExpired:
            other = await self.renewed(token or "", deadline.remaining())
            if other is None:
                raise
            return await self._once(method, request, other, deadline)

    async def _once(
        self, method: Method[Req, Resp], request: Req, token: str | None, deadline: Deadline
    ) -> Resp:
        channel = self._channels.for_call()
        return await io.send(channel, method, request, token, deadline.remaining())

    def _limit(self, method: Method[Req, Resp], timeout: Timeout, wait: float) -> float | None:
        for seconds in (in_seconds(timeout), self._timeout, method.timeout):
            if seconds is not None:
                return seconds + wait
        return None

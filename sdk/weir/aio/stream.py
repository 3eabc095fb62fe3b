"""A server stream as it comes, and one that is opened again where it broke."""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, Self

from weir import errors
from weir.aio import io
from weir.aio.channels import AsyncChannels
from weir.deadline import SIGN_IN, Deadline
from weir.method import Method, Req, Resp
from weir.retry import Backoff, resumes

SILENCE = 60.0


class AsyncTokens(Protocol):
    """Where a stream gets its token from."""

    async def token(self, method: Method[Req, Resp], timeout: float) -> str | None: ...
    async def renewed(self, rejected: str, timeout: float) -> str | None: ...


class AsyncStream(Generic[Resp]):
    """The messages of one call, in order. It ends with an error when the connection breaks."""

    def __init__(
        self, channels: AsyncChannels, tokens: AsyncTokens, method: Method[Req, Resp], request: Req
    ) -> None:
        self._channels = channels
        self._tokens = tokens
        self._start: Callable[[io.Channel, str | None], io.Reading[Resp]] = partial(
            io.Reading, method=method, request=request
        )
        self._ask_token = partial(tokens.token, method, SIGN_IN)
        self._reading: io.Reading[Resp] | None = None
        self._give_back: Callable[[], object] = _nothing
        self._token: str | None = None
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Resp:
        message = await self.read()
        if message is None:
            raise StopAsyncIteration
        return message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def read(self, silence: float = SILENCE) -> Resp | None:
        """The next message; None at the end."""
        if self._ended:
            return None
        try:
            message = await self._read(silence)
        except BaseException:
            self.close()
            raise
        if message is None:
            self.close()
        return message

    def close(self) -> None:
        """Ends the call and gives its place on the channel back."""
        self._ended = True
        self._drop()

    async def _read(self, silence: float) -> Resp | None:
        if self._reading is not None:
            return await self._reading.read(silence)
        self._token = await self._ask_token()
        try:
            return await self._open().read(silence)
        except errors.TokenExpired:
            other = await self._tokens.renewed(self._token or "", SIGN_IN)
            if other is None:
                raise
            self._drop()
            self._token = other
            return await self._open().read(silence)

    def _open(self) -> io.Reading[Resp]:
        lease = self._channels.lease()
        self._give_back = weakref.finalize(self, self._channels.release, lease)
        self._reading = self._start(lease.channel, self._token)
        return self._reading

    def _drop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._give_back()


class AsyncResuming(Generic[Resp]):
    """Messages of as many calls as it takes: `open_at` starts each where the reader stands by then.

    Until the first message, trouble is borne for `patience` seconds; after that as long as `lasting` says,
    counted from the last message.
    """

    def __init__(
        self,
        open_at: Callable[[], AsyncStream[Resp]],
        *,
        silence: float,
        patience: float,
        lasting: float | None,
    ) -> None:
        self._open_at = open_at
        self._silence = silence
        self._lasting = lasting
        self._stream: AsyncStream[Resp] | None = None
        self._backoff = Backoff()
        self._bearable = Deadline(patience)

    async def next(self) -> Resp | None:
        """The next message; None when a call came to its regular end."""
        while True:
            self._stream = self._stream or self._open_at()
            try:
                message = await self._stream.read(self._silence)
            except errors.CallError as error:
                await self._bear(error)
                continue
            self._bearable = Deadline(self._lasting)
            if message is not None:
                self._backoff.reset()
            return message

    async def reopen(self) -> None:
        """Leaves the present call, and goes on with another one after a pause."""
        self.close()
        await io.sleep(self._backoff.next())

    def close(self) -> None:
        """Ends the present call."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _bear(self, error: errors.CallError) -> None:
        self.close()
        delay = self._backoff.next(error.retry_after)
        if not resumes(error) or delay >= self._bearable.remaining():
            raise error
        await io.sleep(delay)


def _nothing() -> None:
    """Given back already."""

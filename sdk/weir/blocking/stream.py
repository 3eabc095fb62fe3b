"""A server stream as it comes, and one that is opened again where it broke."""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, Self

from weir import errors
from weir.blocking import io
from weir.blocking.channels import Channels
from weir.deadline import SIGN_IN, Deadline
from weir.method import Method, Req, Resp
from weir.retry import Backoff, resumes

SILENCE = 60.0


class Tokens(Protocol):
    """Where a stream gets its token from."""

    def token(self, method: Method[Req, Resp], timeout: float) -> str | None: ...
    def renewed(self, rejected: str, timeout: float) -> str | None: ...


class Stream(Generic[Resp]):
    """The messages of one call, in order. It ends with an error when the connection breaks."""

    def __init__(self, channels: Channels, tokens: Tokens, method: Method[Req, Resp], request: Req) -> None:
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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Resp:
        message = self.read()
        if message is None:
            raise StopIteration
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, silence: float = SILENCE) -> Resp | None:
        """The next message; None at the end."""
        if self._ended:
            return None
        try:
            message = self._read(silence)
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

    def _read(self, silence: float) -> Resp | None:
        if self._reading is not None:
            return self._reading.read(silence)
        self._token = self._ask_token()
        try:
            return self._open().read(silence)
        except errors.TokenExpired:
            other = self._tokens.renewed(self._token or "", SIGN_IN)
            if other is None:
                raise
            self._drop()
            self._token = other
            return self._open().read(silence)

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


class Resuming(Generic[Resp]):
    """Messages of as many calls as it takes: `open_at` starts each where the reader stands by then.

    Until the first message, trouble is borne for `patience` seconds; after that as long as `lasting` says,
    counted from the last message.
    """

    def __init__(
        self,
        open_at: Callable[[], Stream[Resp]],
        *,
        silence: float,
        patience: float,
        lasting: float | None,
    ) -> None:
        self._open_at = open_at
        self._silence = silence
        self._lasting = lasting
        self._stream: Stream[Resp] | None = None
        self._backoff = Backoff()
        self._bearable = Deadline(patience)

    def next(self) -> Resp | None:
        """The next message; None when a call came to its regular end."""
        while True:
            self._stream = self._stream or self._open_at()
            try:
                message = self._stream.read(self._silence)
            except errors.CallError as error:
                self._bear(error)
                continue
            self._bearable = Deadline(self._lasting)
            if message is not None:
                self._backoff.reset()
            return message

    def reopen(self) -> None:
        """Leaves the present call, and goes on with another one after a pause."""
        self.close()
        io.sleep(self._backoff.next())

    def close(self) -> None:
        """Ends the present call."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _bear(self, error: errors.CallError) -> None:
        self.close()
        delay = self._backoff.next(error.retry_after)
        if not resumes(error) or delay >= self._bearable.remaining():
            raise error
        io.sleep(delay)


def _nothing() -> None:
    """Given back already."""

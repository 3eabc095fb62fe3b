"""What the two clients do differently: channels, reading, waiting. Its twin is `weir.aio.io`."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Annotated, Generic, ParamSpec, TypeVar

import grpc

from weir import __version__, errors
from weir.address import Endpoint
from weir.deadline import SIGN_IN, Deadline
from weir.errors.reading import call_error
from weir.method import Method, Req, Resp

_LOOK_EVERY = 1.0

T = TypeVar("T")
P = ParamSpec("P")
Channel = grpc.Channel
Iterating = Iterator
Answer = Annotated[T, "as it is"]
TokenSource = Callable[[], str]

sleep = time.sleep


def run(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What blocks, here."""
    return work(*given, **named)


def open_channel(endpoint: Endpoint) -> Channel:
    """A channel that connects at its first call."""
    options = endpoint.options(__version__)
    if endpoint.credentials is None:
        return grpc.insecure_channel(endpoint.target, options)
    return grpc.secure_channel(endpoint.target, endpoint.credentials, options)


def place() -> tuple[int, object]:
    """Where a channel belongs: it works in no other process."""
    return os.getpid(), None


def ask(source: TokenSource, timeout: float) -> str:  # noqa: ARG001  it can't be interrupted
    """A token from the caller's own function."""
    return source()


def send(
    channel: Channel, method: Method[Req, Resp], request: Req, token: str | None, timeout: float
) -> Resp:
    """One unary call, with no second try."""
    call = channel.unary_unary(method.path, method.serialize, method.parse)
    with _own_errors(method.path):
        return call(request, timeout=timeout, metadata=_metadata(token))


class Reading(Generic[Resp]):
    """One open server stream."""

    def __init__(
        self, channel: Channel, token: str | None, *, method: Method[Req, Resp], request: Req
    ) -> None:
        call = channel.unary_stream(method.path, method.serialize, method.parse)
        self._path = method.path
        with _own_errors(self._path):
            self._call = call(request, metadata=_metadata(token))
        self._watchdog = _Watchdog(self._call.cancel)
        self._end = weakref.finalize(self, _end, self._call.cancel, self._watchdog.stop)
        self._end.atexit = False

    def read(self, silence: float) -> Resp | None:
        """The next message; None at the end. Nothing at all for so long counts as a broken stream."""
        try:
            with self._watchdog.over(silence), _own_errors(self._path):
                return next(self._call, None)
        except errors.Cancelled:
            if self._watchdog.bit:
                raise errors.Unavailable(f"no sign of life for {silence:g} s", method=self._path) from None
            raise

    def cancel(self) -> None:
        self._end()


def _end(cancel: Callable[[], object], stop: Callable[[], None]) -> None:
    """Also for a stream that its reader forgot: the watchdog would keep it open."""
    cancel()
    stop()


class _Watchdog:
    """Cancels a read that waits too long; the blocking iterator knows no time limit of its own."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        self._changed = threading.Condition()
        self._due: float | None = None
        self._stopped = False
        self._thread: threading.Thread | None = None
        self.bit = False

    @contextmanager
    def over(self, silence: float) -> Generator[None]:
        self._due = time.monotonic() + silence
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="weir-silence", daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            self._due = None

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                due = self._due
                if due is not None and due <= time.monotonic():
                    self.bit = True
                    self._cancel()
                    return
                self._changed.wait(_LOOK_EVERY if due is None else min(due - time.monotonic(), _LOOK_EVERY))


class SingleFlight(Generic[T]):
    """Lets one caller at a time do what many ask for; the work itself sees that it is done already."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def run(self, work: Callable[[Deadline], T], timeout: float) -> T:
        deadline = Deadline(min(timeout, SIGN_IN))
        if not self._lock.acquire(timeout=deadline.seconds):
            raise errors.DeadlineExceeded(f"signing in took longer than {timeout:g} s")
        try:
            return work(deadline)
        finally:
            self._lock.release()


def _metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    return () if token is None else (("authorization", f"Bearer {token}"),)


@contextmanager
def _own_errors(path: str) -> Generator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise call_error(error, path) from None
    except ValueError as error:
        raise errors.Cancelled(str(error), method=path) from None

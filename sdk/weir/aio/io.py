"""What the two clients do differently: channels, reading, waiting. Its twin is `weir.blocking.io`."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Generic, ParamSpec, TypeVar, cast

import grpc
import grpc.aio

from weir import __version__, errors
from weir.address import Endpoint
from weir.deadline import SIGN_IN, Deadline
from weir.errors.reading import call_error
from weir.method import Method, Req, Resp

T = TypeVar("T")
P = ParamSpec("P")
Channel = grpc.aio.Channel
Iterating = AsyncIterator
Answer = Awaitable
TokenSource = Callable[[], str | Awaitable[str]]

sleep = asyncio.sleep


async def run(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """What blocks, in a thread."""
    return await asyncio.to_thread(work, *given, **named)


def open_channel(endpoint: Endpoint) -> Channel:
    """A channel that connects at its first call."""
    options = endpoint.options(__version__)
    if endpoint.credentials is None:
        return grpc.aio.insecure_channel(endpoint.target, options)
    return grpc.aio.secure_channel(endpoint.target, endpoint.credentials, options)


def place() -> tuple[int, object]:
    """Where a channel belongs: it works in no other process and in no other event loop."""
    return os.getpid(), asyncio.get_running_loop()


async def ask(source: TokenSource, timeout: float) -> str:
    """A token from the caller's own function."""
    token = source()
    if not isawaitable(token):
        return token
    try:
        async with asyncio.timeout(timeout):
            return await token
    except TimeoutError:
        raise errors.DeadlineExceeded(f"token=… gave none within {timeout:g} s") from None


async def send(
    channel: Channel, method: Method[Req, Resp], request: Req, token: str | None, timeout: float
) -> Resp:
    """One unary call, with no second try."""
    call = channel.unary_unary(method.path, method.serialize, method.parse)
    with _own_errors(method.path):
        return await call(request, timeout=timeout, metadata=_metadata(token))


class Reading(Generic[Resp]):
    """One open server stream."""

    def __init__(
        self, channel: Channel, token: str | None, *, method: Method[Req, Resp], request: Req
    ) -> None:
        call = channel.unary_stream(method.path, method.serialize, method.parse)
        self._call = call(request, metadata=_metadata(token))
        self._path = method.path

    async def read(self, silence: float) -> Resp | None:
        """The next message; None at the end. Nothing at all for so long counts as a broken stream."""
        try:
            async with asyncio.timeout(silence):
                with _own_errors(self._path):
                    message = await self._call.read()
        except TimeoutError as error:
            if isinstance(error, errors.CallError):
                raise
            raise errors.Unavailable(f"no sign of life for {silence:g} s", method=self._path) from None
        return None if message is grpc.aio.EOF else cast("Resp", message)

    def cancel(self) -> None:
        self._call.cancel()


class SingleFlight(Generic[T]):
    """Lets one caller do what many ask for at once; a caller that goes away does not stop it."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    async def run(self, work: Callable[[Deadline], Awaitable[T]], timeout: float) -> T:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(_done(work))
            self._task.add_done_callback(_look_at_failure)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(self._task)
        except TimeoutError as error:
            if isinstance(error, errors.CallError):
                raise
            raise errors.DeadlineExceeded(f"signing in took longer than {timeout:g} s") from None


async def _done(work: Callable[[Deadline], Awaitable[T]]) -> T:
    """Under a deadline of its own, since others may join who have more time than the first."""
    return await work(Deadline(SIGN_IN))


def _look_at_failure(task: asyncio.Task[T]) -> None:
    if not task.cancelled():
        task.exception()


def _metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    return () if token is None else (("authorization", f"Bearer {token}"),)


@contextmanager
def _own_errors(path: str) -> Generator[None]:
    """Turns gRPC's failures into ours.

    grpc.aio raises CancelledError for a status CANCELLED too, which would end the caller's task without
    anybody having cancelled it.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise call_error(error, path) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise errors.Cancelled("the call was cancelled by the server or by close()", method=path) from None
    except grpc.aio.UsageError as error:
        raise errors.ClientError(str(error)) from None

"""Puts the interceptors around all four kinds of call, in one place.

gRPC hands over bytes and takes bytes: reading the request and writing the
response happen inside the interceptors, so that what goes wrong there is an
error like any other. An interceptor is a function around the rest of the call;
the first of the list is the outermost.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, TypeAlias, cast

import grpc

from weir_core.errors import WeirError
from weir_server.interceptors.call import Call, Proceed, Step, Steps

_LARGEST_RESPONSE: Final = 3 * 1024 * 1024 + 64 * 1024

_log = logging.getLogger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class MethodUnknown(WeirError):
    """No such method, or not offered by this installation."""

    reason = "METHOD_UNKNOWN"


class Wrap(grpc.aio.ServerInterceptor):
    """Runs every call through the steps, those of unknown methods included."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return self._unknown(method)
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        decode = handler.request_deserializer or bytes
        encode = _checked(method, handler.response_serializer or bytes)
        run = _behaviour(handler)

        async def respond(call: Call) -> bytes:
            return encode(await run(_request(call), call.context))

        async def write(call: Call) -> None:
            async with aclosing(run(_request(call), call.context)) as responses:
                async for response in responses:
                    # Not `yield`: a caller that is gone must end this coroutine at once, in its own task.
                    await call.context.write(encode(response))

        one, many = self._around(respond), self._around(write)

        async def answer(request: Any, context: Any) -> bytes | None:
            return await one(_call(method, context, decode, request, streams=False))

        async def stream(request: Any, context: Any) -> None:
            await many(_call(method, context, decode, request, streams=True))

        return _handler(handler, answer, stream)

    def _unknown(self, method: str) -> Handler:
        async def refuse(_call: Call) -> None:
            raise MethodUnknown(f"there is no method {method[:200]!r}; reflection lists those there are")

        refused = self._around(refuse)

        async def stream(_requests: Any, context: Any) -> None:
            call = _call(method, context, bytes, None, streams=True)
            call.known = False
            await refused(call)

        # A stream of requests fits whatever the caller sends.
        return grpc.stream_stream_rpc_method_handler(cast("Any", stream))

    def _around(self, inner: Proceed) -> Proceed:
        """The handler with all steps around it."""
        for step in reversed(self._steps):
            inner = _outside(step, inner)
        return inner


def _outside(step: Step, inner: Proceed) -> Proceed:
    return lambda call: step(call, inner)


def _call(method: str, context: Any, decode: Callable[[bytes], Any], request: Any, *, streams: bool) -> Call:
    metadata = {
        str(key): value for key, value in context.invocation_metadata() or () if isinstance(value, str)
    }
    call = Call(method, context, decode, None, streams, metadata=metadata)
    if isinstance(request, bytes):
        call.raw = request
    else:
        call.requests = request
    return call


def _request(call: Call) -> Any:
    return call.message if call.requests is None else _messages(call, call.requests)


async def _messages(call: Call, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for raw in requests:
        yield call.read(raw)


def _checked(method: str, encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def checked(response: Any) -> bytes:
        raw = encode(response)
        if len(raw) > _LARGEST_RESPONSE:
            raise RuntimeError(f"a response of {method} has {len(raw)} bytes, beyond {_LARGEST_RESPONSE}")
        return raw

    return checked


def _behaviour(handler: Handler) -> Callable[[Any, Any], Any]:
    kinds = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
    return next(cast("Callable[[Any, Any], Any]", kind) for kind in kinds if kind is not None)


def _handler(handler: Handler, answer: Any, stream: Any) -> Handler:
    match bool(handler.request_streaming), bool(handler.response_streaming):
        case False, False:
            return grpc.unary_unary_rpc_method_handler(answer)
        case False, True:
            return grpc.unary_stream_rpc_method_handler(stream)
        case True, False:
            return grpc.stream_unary_rpc_method_handler(answer)
        case _:
            return grpc.stream_stream_rpc_method_handler(stream)

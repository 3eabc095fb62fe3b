"""A gRPC server that answers by script, for what a real one does too seldom: fail, repeat, fall silent."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Never

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from weir import methods
from weir.method import Method

METHODS: dict[str, Method[Any, Any]] = {
    each.path: each for each in vars(methods).values() if isinstance(each, Method)
}
STREAMS = {
    each.path
    for each in (
        methods.WATCH_TASK,
        methods.WATCH_TASKS,
        methods.READ_RECORDS,
        methods.READ_ARROW,
        methods.DOWNLOAD_FILE,
    )
}


@dataclass(frozen=True)
class Fail:
    """An answer with a status; a bare one without a reason."""

    code: str
    reason: str = ""
    message: str = "no"
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    details: Sequence[Message] = ()


class Silence:
    """As an item of a stream: nothing more comes, and the stream stays open."""


@dataclass(frozen=True)
class Call:
    """What the server was asked."""

    path: str
    request: Any
    token: str
    remaining: float


Answer = Message | Fail | Silence | Callable[[Any], Any]
Step = Answer | Sequence[Answer]


class FakeServer:
    """Each call of a method takes the next step of its script; the last step is for all further calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.silent = threading.Event()
        self.ended = threading.Event()
        self._called = threading.Event()
        self._scripts: dict[str, list[Any]] = defaultdict(list)
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=32)
        self._server = grpc.server(self._pool)
        self._server.add_generic_rpc_handlers([_Handlers(self)])
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def script(self, method: Method[Any, Any], *steps: Step) -> None:
        """A step is an answer, a Fail, a function of the request, or a list of these for a stream."""
        self._scripts[method.path] = list(steps)

    def requests(self, method: Method[Any, Any]) -> list[Any]:
        return [call.request for call in self.calls if call.path == method.path]

    async def called(self) -> None:
        """Until the first call is here."""
        assert await asyncio.to_thread(self._called.wait, 10)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.stop(None).wait(10)
        self._pool.shutdown()

    def unary(self, path: str, request: Any, context: grpc.ServicerContext) -> Any:
        return self._answer(self._step(path, request, context), request, context)

    def stream(self, path: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(self.ended.set)
        step = self._step(path, request, context)
        items: Any = step(request) if callable(step) else step
        for item in items:
            if isinstance(item, Silence):
                self.silent.set()
                while context.is_active() and not self._stopping.wait(0.02):
                    pass
                return
            yield self._answer(item, request, context)

    def _step(self, path: str, request: Any, context: grpc.ServicerContext) -> Any:
        pairs: Any = context.invocation_metadata()
        token = str(dict(pairs).get("authorization", "")).removeprefix("Bearer ")
        with self._guard:
            self.calls.append(Call(path, request, token, context.time_remaining() or 0.0))
            self._called.set()
            steps = self._scripts[path]
            if not steps:
                _abort(context, Fail("UNIMPLEMENTED", "METHOD_UNKNOWN"))
            return steps.pop(0) if len(steps) > 1 else steps[0]

    def _answer(self, step: Any, request: Any, context: grpc.ServicerContext) -> Any:
        answer = step(request) if callable(step) else step
        if isinstance(answer, Fail):
            _abort(context, answer)
        return answer


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def service(self, handler_call_details: Any) -> Any:
        path: str = handler_call_details.method
        method = METHODS.get(path)
        if method is None:
            return None
        serialize = method.response.SerializeToString
        if path in STREAMS:
            return grpc.unary_stream_rpc_method_handler(
                partial(self._server.stream, path), method.request.FromString, serialize
            )
        return grpc.unary_unary_rpc_method_handler(
            partial(self._server.unary, path), method.request.FromString, serialize
        )


def retry_info(seconds: float) -> Message:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(int(seconds * 1000))
    return info


def _abort(context: grpc.ServicerContext, failure: Fail) -> Never:
    if not failure.reason and not failure.details:
        context.abort(getattr(grpc.StatusCode, failure.code), failure.message)
    status = status_pb2.Status(code=code_pb2.Code.Value(failure.code), message=failure.message)
    info = error_details_pb2.ErrorInfo(
        reason=failure.reason, domain="weir", metadata={"request": "req-1", **failure.metadata}
    )
    for detail in (info, *failure.details):
        packed = Packed()
        packed.Pack(detail)
        status.details.append(packed)
    context.abort_with_status(rpc_status.to_status(status))

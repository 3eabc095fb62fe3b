"""What is around every call, tried on handlers that misbehave, in all four kinds of call."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
import pytest

from tests.fixtures.server import Refusal, refused
from weir_core.errors import Draining, NotFound, RateLimited
from weir_server.interceptors import deadline as deadline_module
from weir_server.interceptors.access_log import access_log
from weir_server.interceptors.admission import Admission
from weir_server.interceptors.call import Call, Proceed
from weir_server.interceptors.deadline import deadline
from weir_server.interceptors.errors import errors
from weir_server.interceptors.metrics import Metrics
from weir_server.interceptors.request_id import request_id
from weir_server.interceptors.wrap import Wrap

CODE = grpc.StatusCode
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
SECRET = "mysql://weir:s3cr3t@db"


class Panic(BaseException):
    """As native code raises it."""


class Broken(Exception):
    """An error whose text must not leave the server."""


def text(raw: bytes) -> str:
    return raw.decode("ascii")


def encode(value: Any) -> bytes:
    return value.encode("ascii")


@dataclass
class Behaviour:
    """What the handlers of the server under test do."""

    answer: Callable[[Any], Any] = lambda request: request
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    wait: asyncio.Event | None = None

    async def run(self, request: Any) -> Any:
        self.entered.set()
        try:
            if self.wait is not None:
                await self.wait.wait()
            return self.answer(request)
        finally:
            self.left.set()

    def handlers(self) -> grpc.GenericRpcHandler:
        async def first(requests: AsyncIterator[Any]) -> Any:
            return await anext(aiter(requests))

        async def unary_unary(request: Any, _: Any) -> Any:
            return await self.run(request)

        async def unary_stream(request: Any, _: Any) -> AsyncGenerator[Any]:
            yield "first"
            yield await self.run(request)

        async def stream_unary(requests: Any, _: Any) -> Any:
            return await self.run(await first(requests))

        async def stream_stream(requests: Any, _: Any) -> AsyncGenerator[Any]:
            yield await self.run(await first(requests))

        made = {
            "unary_unary": grpc.unary_unary_rpc_method_handler(unary_unary, text, encode),
            "unary_stream": grpc.unary_stream_rpc_method_handler(unary_stream, text, encode),
            "stream_unary": grpc.stream_unary_rpc_method_handler(stream_unary, text, encode),
            "stream_stream": grpc.stream_stream_rpc_method_handler(stream_stream, text, encode),
        }
        return grpc.method_handlers_generic_handler("t.Test", made)


@dataclass
class Bench:
    """A small server with the outer interceptors, and a way to call it."""

    channel: grpc.aio.Channel
    does: Behaviour
    metrics: Metrics
    admission: Admission
    calls: list[Call]

    def call(self, kind: str, raw: bytes = b"hello", method: str = "", **options: Any) -> Any:
        target = f"/t.Test/{method or kind}"
        request = raw if kind.startswith("unary") else iter([raw])
        return getattr(self.channel, kind)(target)(request, timeout=10, **options)

    async def refused(self, kind: str, raw: bytes = b"hello", method: str = "") -> Refusal:
        return await refused(self.call(kind, raw, method))


@asynccontextmanager
async def made_bench(admission: Admission) -> AsyncGenerator[Bench]:
    does, metrics, calls = Behaviour(), Metrics(), list[Call]()

    async def remember(call: Call, proceed: Proceed) -> bytes | None:
        calls.append(call)
        return await proceed(call)

    steps = (request_id, access_log, metrics.count, errors, admission.admit, deadline, remember)
    server = grpc.aio.server(interceptors=[Wrap(steps)])
    server.add_generic_rpc_handlers((does.handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Bench(channel, does, metrics, admission, calls)
    await server.stop(0)


@pytest.fixture
async def bench() -> AsyncGenerator[Bench]:
    async with made_bench(Admission(2, 2)) as made:
        yield made


def raising(error: BaseException) -> Callable[[Any], Any]:
    def answer(_: Any) -> Any:
        raise error

    return answer


async def answers(call: Any) -> list[bytes]:
    return [each async for each in call] if hasattr(call, "__aiter__") else [await call]


@pytest.mark.parametrize("kind", KINDS)
class TestWrap:
    async def test_a_good_call_is_answered(self, bench: Bench, kind: str):
        assert (await answers(bench.call(kind)))[-1] == b"hello"

    @pytest.mark.parametrize(
        "error", [Broken(SECRET), Panic(SECRET), MemoryError(SECRET), TimeoutError(SECRET)]
    )
    async def test_a_defect_tells_nothing_and_is_logged(
        self, bench: Bench, kind: str, error: BaseException, caplog: pytest.LogCaptureFixture
    ):
        bench.does.answer = raising(error)
        refusal = await bench.refused(kind)
        assert (refusal.code, refusal.reason) == (CODE.INTERNAL, "INTERNAL")
        assert SECRET not in f"{refusal.message}{refusal.details}"
        assert SECRET in caplog.text

    async def test_an_error_of_weir_becomes_its_status(self, bench: Bench, kind: str):
        bench.does.answer = raising(NotFound("task", "x"))
        refusal = await bench.refused(kind)
        assert (refusal.code, refusal.reason) == (CODE.NOT_FOUND, "NOT_FOUND")

    @pytest.mark.parametrize("answer", [None, 5, "ä"])
    async def test_an_answer_that_cannot_be_written_is_a_defect(self, bench: Bench, kind: str, answer: Any):
        bench.does.answer = lambda _: answer
        refusal = await bench.refused(kind)
        assert (refusal.code, refusal.reason) == (CODE.INTERNAL, "INTERNAL")

    async def test_an_answer_beyond_the_limit_is_a_defect(self, bench: Bench, kind: str):
        bench.does.answer = lambda _: "x" * (4 * 1024 * 1024)
        assert (await bench.refused(kind)).code == CODE.INTERNAL

    async def test_bytes_that_are_no_request_are_the_callers_fault(self, bench: Bench, kind: str):
        refusal = await bench.refused(kind, b"\xff\xfe")
        assert (refusal.code, refusal.reason) == (CODE.INVALID_ARGUMENT, "FIELD_INVALID")
        assert list(refusal.fields) == ["request"]
        assert not bench.does.entered.is_set()

    async def test_a_request_beyond_the_limit_is_refused(self, bench: Bench, kind: str):
        refusal = await bench.refused(kind, b"x" * 300_000)
        assert (refusal.code, refusal.reason) == (CODE.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")

    async def test_an_unknown_method_says_so_with_details(self, bench: Bench, kind: str):
        refusal = await bench.refused(kind, method="Nope")
        assert (refusal.code, refusal.reason) == (CODE.UNIMPLEMENTED, "METHOD_UNKNOWN")

    async def test_a_caller_that_hangs_up_ends_the_handler(self, bench: Bench, kind: str):
        bench.does.wait = asyncio.Event()
        call = bench.call(kind)
        reading = asyncio.create_task(answers(call))
        async with asyncio.timeout(5):
            await bench.does.entered.wait()
            call.cancel()
            await bench.does.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await reading


class TestRequestId:
    async def test_it_is_in_the_error_the_metadata_and_the_log(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ):
        bench.does.answer = raising(NotFound("task", "x"))
        caplog.set_level(logging.INFO)
        refusal = await refused(bench.call("unary_unary", metadata=(("x-request-id", "mine-1"),)))
        assert refusal.metadata["request"] == "mine-1"

    @pytest.mark.parametrize("brought", ["a b", "x" * 65, "a;b", "'"])
    async def test_one_that_could_harm_a_log_is_replaced(self, bench: Bench, brought: str):
        call = bench.call("unary_unary", metadata=(("x-request-id", brought),))
        await call
        given = dict(await call.trailing_metadata())["x-request-id"]
        assert given != brought
        assert len(given) == 32


class TestAccessLog:
    async def test_a_call_leaves_one_line_without_its_content(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ):
        caplog.set_level(logging.INFO)
        await bench.call("unary_unary", b"my password")
        lines = [record.getMessage() for record in caplog.records if record.name == "weir.access"]
        assert lines == ["/t.Test/unary_unary OK"]
        assert "my password" not in caplog.text


class TestMetrics:
    async def test_calls_are_counted_by_method_and_code(self, bench: Bench):
        await bench.call("unary_unary")
        for method in ("a", "b"):
            await bench.refused("unary_unary", method=method)
        sample = bench.metrics.registry.get_sample_value
        assert sample("weir_calls_total", {"method": "/t.Test/unary_unary", "code": "OK"}) == 1
        # Names that callers make up don't fill the memory.
        assert sample("weir_calls_total", {"method": "unknown", "code": "UNIMPLEMENTED"}) == 2
        assert sample("weir_open_calls", {"kind": "unary"}) == 0


class TestAdmission:
    async def test_calls_beyond_the_limit_are_told_when_to_come_back(self, bench: Bench):
        bench.does.wait = asyncio.Event()
        running = [bench.call("unary_unary") for _ in range(2)]
        async with asyncio.timeout(5):
            while len(bench.calls) < 2:
                await asyncio.sleep(0.01)
        refusal = await bench.refused("unary_unary")
        assert (refusal.code, refusal.reason) == (CODE.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        # Streams are counted apart.
        stream = bench.call("unary_stream")
        assert await stream.read() == b"first"
        bench.does.wait.set()
        assert [await call for call in running] == [b"hello"] * 2
        assert await bench.call("unary_unary") == b"hello"

    async def test_a_closed_one_takes_no_call(self, bench: Bench):
        bench.admission.close()
        refusal = await bench.refused("unary_unary")
        assert (refusal.code, refusal.reason) == (CODE.UNAVAILABLE, "DRAINING")


class TestDeadline:
    async def test_a_call_that_takes_too_long_is_ended(self, bench: Bench, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(deadline_module, "SECONDS", 0.05)
        bench.does.wait = asyncio.Event()
        refusal = await bench.refused("unary_unary")
        assert (refusal.code, refusal.reason) == (CODE.DEADLINE_EXCEEDED, "DEADLINE")
        assert bench.does.left.is_set()

    async def test_a_stream_has_none_but_can_be_broken_off(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(deadline_module, "SECONDS", 0.05)
        bench.does.wait = asyncio.Event()
        stream = aiter(bench.call("unary_stream"))
        assert await anext(stream) == b"first"
        await bench.does.entered.wait()
        bench.calls[0].end(Draining("bye"))
        bench.calls[0].end(RateLimited("too late to matter", timedelta(seconds=1)))
        refusal = await refused(stream)
        assert (refusal.code, refusal.reason) == (CODE.UNAVAILABLE, "DRAINING")
        assert bench.does.left.is_set()

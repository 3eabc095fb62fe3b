"""References in a process of their own: what the same parts take with nothing of Weir around them.

    python -m tests.bench.bare serve                 a gRPC server: says `ready PORT`
    python -m tests.bench.bare source PAGES ROWS     a web API of JSON pages: says `ready PORT`
    python -m tests.bench.bare collect URL PAGES DIR reads them into Parquet: says seconds and CPU seconds

The servers end when their standard input does.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import orjson
import uvloop
from aiohttp import web

from tests.bench import rows


class _Methods(grpc.GenericRpcHandler):
    """Echo, a tick each second, and many bytes."""

    def service(self, handler_call_details: Any) -> Any:
        match handler_call_details.method:
            case "/bare/Echo":
                return grpc.unary_unary_rpc_method_handler(_echo)
            case "/bare/Ticks":
                return grpc.unary_stream_rpc_method_handler(_ticks)
            case "/bare/Bytes":
                return grpc.unary_stream_rpc_method_handler(_bytes)
            case _:
                return None


async def _echo(request: bytes, _context: Any) -> bytes:
    return request


async def _ticks(request: bytes, _context: Any) -> AsyncIterator[bytes]:
    asked = orjson.loads(request)
    yield b""
    await asyncio.sleep(asked["after"])
    for _ in range(asked["count"]):
        yield repr(time.time()).encode()
        await asyncio.sleep(1)


async def _bytes(request: bytes, _context: Any) -> AsyncIterator[bytes]:
    for size in orjson.loads(request):
        yield bytes(size)


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_send_message_length", 1 << 26)])
    server.add_generic_rpc_handlers((_Methods(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await _until_told(port)
    await server.stop(None)


async def _source(pages: int, per_page: int) -> None:
    bodies = [rows.page(number, pages, per_page) for number in range(1, pages + 1)]

    async def answer(request: web.Request) -> web.Response:
        number = int(request.query["page"])
        body = bodies[number - 1] if number <= pages else rows.page(number, pages, 0)
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_get("/rows", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await _until_told(runner.addresses[0][1])
    await runner.cleanup()


async def _until_told(port: int) -> None:
    print(f"ready {port}", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    """Run one of them."""
    match sys.argv[1:]:
        case ["serve"]:
            uvloop.run(_serve())
        case ["source", pages, per_page]:
            uvloop.run(_source(int(pages), int(per_page)))
        case ["collect", url, pages, folder]:
            seconds, cpu = rows.collect(url, int(pages), folder)
            print(seconds, cpu, flush=True)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()

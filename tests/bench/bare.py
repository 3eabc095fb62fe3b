"""References in a process of their own: what the same parts take with nothing of Weir around them.

    python -m tests.bench.bare serve                 a gRPC server: says `ready PORT`
    python -m tests.bench.bare source PAGES ROWS     a web API of JSON pages: says `ready PORT`
    python -m tests.bench.bare collect URL PAGES DIR reads them into Parquet: says seconds and CPU seconds
    python -m tests.bench.bare copy URL DIR          reads a table into Parquet: says seconds and CPU seconds
    python -m tests.bench.bare filter                for each line that it reads: says seconds and rows

The servers end when their standard input does, and so does `filter`.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import grpc
import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import uvloop
from aiohttp import web

from tests.bench import optimum, rows

# Pages beyond these have the records of the first ones again, or the API would outgrow the machine.
_MOST_PAGES: Final = 500


class _Methods(grpc.GenericRpcHandler):
    """Echo, a tick each second, and the record batches of Parquet files."""

    def service(self, handler_call_details: Any) -> Any:
        match handler_call_details.method:
            case "/bare/Echo":
                return grpc.unary_unary_rpc_method_handler(_echo)
            case "/bare/Ticks":
                return grpc.unary_stream_rpc_method_handler(_ticks)
            case "/bare/Batches":
                return grpc.unary_stream_rpc_method_handler(_batches)
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


async def _batches(request: bytes, _context: Any) -> AsyncIterator[bytes]:
    """Read in a thread, one batch ahead of what is sent."""
    asked = orjson.loads(request)
    messages = _messages(asked["files"], asked["rows"])
    with ThreadPoolExecutor(1) as thread:
        loop = asyncio.get_running_loop()
        coming = loop.run_in_executor(thread, next, messages, None)
        while (message := await coming) is not None:
            coming = loop.run_in_executor(thread, next, messages, None)
            yield message


def _messages(files: list[str], count: int) -> Iterator[bytes]:
    for number, path in enumerate(files):
        with pq.ParquetFile(path) as file:
            if number == 0:
                yield file.schema_arrow.remove_metadata().serialize().to_pybytes()
            for batch in file.iter_batches(count):
                yield batch.serialize().to_pybytes()


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_send_message_length", 1 << 26)])
    server.add_generic_rpc_handlers((_Methods(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await _until_told(port)
    await server.stop(None)


async def _source(pages: int, per_page: int) -> None:
    kept = range(1, min(pages, _MOST_PAGES) + 1)
    pools = {bad: [rows.records(number, per_page, bad=bad) for number in kept] for bad in (False, True)}
    first = 0.0

    async def answer(request: web.Request) -> web.Response:
        nonlocal first
        first = first or time.time()
        number = int(request.query.get("page", "1"))
        pool = pools[request.path == "/bad"]
        records = pool[(number - 1) % len(pool)] if number <= pages else b"[]"
        following = f'"{request.path}?page={number + 1}"' if number < pages else "null"
        head = f'{{"total":{pages * per_page},"next":{following},"results":'.encode()
        return web.Response(body=b"".join((head, records, b"}")), content_type="application/json")

    async def tell_first(_request: web.Request) -> web.Response:
        nonlocal first
        told, first = first, 0.0
        return web.json_response(told)

    application = web.Application()
    application.router.add_get("/rows", answer)
    application.router.add_get("/bad", answer)
    application.router.add_post("/first", tell_first)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await _until_told(runner.addresses[0][1])
    await runner.cleanup()


async def _until_told(port: int) -> None:
    print(f"ready {port}", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


def _filter() -> None:
    for line in sys.stdin:
        asked = orjson.loads(line)
        print(*optimum.look_up(asked["files"], _condition(asked)), flush=True)


def _condition(asked: dict[str, Any]) -> ds.Expression:
    if "id" in asked:
        return ds.field("id") == asked["id"]
    since, until = (
        pa.scalar(datetime.fromisoformat(asked[name]), pa.timestamp("us", "UTC"))
        for name in ("since", "until")
    )
    return (ds.field("created_at") >= since) & (ds.field("created_at") < until)


def main() -> None:
    """Run one of them."""
    match sys.argv[1:]:
        case ["serve"]:
            uvloop.run(_serve())
        case ["source", pages, per_page]:
            uvloop.run(_source(int(pages), int(per_page)))
        case ["collect", url, pages, folder]:
            print(*optimum.collect(url, int(pages), Path(folder)), flush=True)
        case ["copy", url, folder]:
            print(*optimum.copy_table(url, Path(folder)), flush=True)
        case ["filter"]:
            _filter()
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()

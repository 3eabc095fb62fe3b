"""A small web API that serves the flights of 2013 and misbehaves now and then.

`python -m demo.api` prints `ready PORT` and ends when its standard input does, so it outlives nobody. It
keeps a record of every request, which `/__record` gives.
"""

import argparse
import asyncio
import sys
from collections import Counter
from http import HTTPStatus

from aiohttp import web

from demo import weather
from demo.faults import SEED, Fault, Plan, plan
from demo.flights import read_lines
from demo.pages import MOST_ROWS, Pages

PATH = "/flights"
RECORD_PATH = "/__record"
_SLOW_SECONDS = 0.7
_RETRY_AFTER = "1"


class FlightsApi:
    """Serves pages of flights, faults included, and remembers who asked for what."""

    def __init__(self, lines: list[str], page_size: int, seed: int = SEED) -> None:
        self._pages = Pages(lines)
        self._page_size = page_size
        self._plan: Plan = plan(self._pages.count(page_size), seed)
        self._tries: Counter[int] = Counter()
        self._record: list[tuple[int, str]] = []
        self._hours = weather.Hours()

    def application(self) -> web.Application:
        """What aiohttp serves."""
        served = web.Application()
        served.router.add_get(PATH, self._flights)
        served.router.add_get(RECORD_PATH, self._told)
        served.router.add_get(weather.PATH, self._weather)
        served.router.add_get(weather.CLOCK_PATH, self._clock)
        return served

    async def _flights(self, request: web.Request) -> web.StreamResponse:
        number, size = _whole(request, "page", 1), _whole(request, "per_page", self._page_size)
        if number < 1 or not 1 <= size <= MOST_ROWS:
            raise web.HTTPBadRequest(text=f"page must be at least 1, per_page 1 to {MOST_ROWS}\n")
        fault = self._next_fault(number)
        self._record.append((number, fault.value if fault else "ok"))
        match fault:
            case Fault.BUSY:
                return web.Response(
                    status=HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": _RETRY_AFTER}
                )
            case Fault.ERROR:
                return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR, text="something went wrong\n")
            case _:
                return await _answer(request, self._pages.body(number, size), fault)

    async def _weather(self, request: web.Request) -> web.Response:
        since, until = request.query.get("since", ""), request.query.get("until", "")
        number, size = _whole(request, "page", 1), _whole(request, "per_page", self._page_size)
        body = self._hours.body(since, until, number, size)
        return web.Response(body=body, content_type="application/json")

    async def _clock(self, request: web.Request) -> web.Response:
        self._hours.set_clock(request.query["now"], is_corrected="corrected" in request.query)
        return web.Response()

    async def _told(self, request: web.Request) -> web.Response:
        planned = Counter(fault.value for tries in self._plan.values() for fault in tries)
        return web.json_response({"requests": self._record, "planned": planned})

    def _next_fault(self, number: int) -> Fault | None:
        """A page that was told to misbehave does so at its first tries, and never again."""
        tries = self._plan.get(number, ())
        self._tries[number] += 1
        return tries[self._tries[number] - 1] if self._tries[number] <= len(tries) else None


async def _answer(request: web.Request, body: bytes, fault: Fault | None) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    answer.content_length = len(body)
    await answer.prepare(request)
    half = len(body) // 2
    await answer.write(body[:half])
    if fault is Fault.CUT and request.transport is not None:
        request.transport.close()
        return answer
    if fault is Fault.SLOW:
        await asyncio.sleep(_SLOW_SECONDS)
    await answer.write(body[half:])
    await answer.write_eof()
    return answer


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal():
        raise web.HTTPBadRequest(text=f"{name} must be a whole number, not {text!r}\n")
    return int(text)


async def serve(api: FlightsApi) -> None:
    """Serve on a free port of this machine until standard input ends."""
    runner = web.AppRunner(api.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(f"ready {runner.addresses[0][1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the flights, then serve them."""
    parser = argparse.ArgumentParser(description="Serves the flights of 2013.")
    parser.add_argument("--page-size", type=int, default=2_000)
    parser.add_argument("--flights", type=int, default=None, help="only so many; all by default")
    given = parser.parse_args()
    asyncio.run(serve(FlightsApi(read_lines(given.flights), given.page_size)))


if __name__ == "__main__":
    main()

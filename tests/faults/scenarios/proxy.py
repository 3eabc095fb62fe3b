"""Every way between processes goes over a proxy, which does each harm to each of them under load."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from sqlalchemy import make_url

from tests.faults.judging import Asked, judge
from tests.faults.load import Load, Plan
from tests.faults.report import Report
from tests.faults.site import SHORT, Site, Size, opened
from tests.fixtures.proxy import Proxy, dial_database, proxied_port

_SIZE: Final = Size(servers=2, workers=2, schedulers=1)
_PLAN: Final = Plan(tasks=300, rate=5, longest=3, watchers=15, stay=1.5)
_HARMS: Final[Mapping[str, Callable[[Proxy], None]]] = {
    "cut": Proxy.cut,
    "reset": Proxy.reset,
    "freeze": Proxy.freeze,
    "swallow": Proxy.swallow,
    "slow": lambda way: way.slow(0.1),
}
_HARMED: Final = (0.5, 2.0)
_WHOLE: Final = 0.5


async def proxy(asked: Asked) -> list[Report]:
    """The ways to the database, to Redis and to servers: cut, reset, frozen, swallowed, slowed."""
    report = Report("proxy")
    ways: dict[str, Proxy] = {}
    detour = partial(_detoured, ways=ways)
    async with opened(asked.folder, SHORT, asked.seed, _SIZE, detour=detour) as site:
        began = time.time()
        load = Load(site, _PLAN)
        async with load.going():
            await asyncio.gather(load.submit_all(), _harm(site, ways))
        await judge(site, report, began)
    report.numbers["ways"] = f"{len(ways)}: {', '.join(ways)}"
    return [report]


async def _harm(site: Site, ways: Mapping[str, Proxy]) -> None:
    """Each harm to each way, in an order that chance chooses."""
    deeds = [(harm, name) for harm in _HARMS for name in ways]
    site.chance.shuffle(deeds)
    for harm, name in deeds:
        site.history.did(harm, name)
        _HARMS[harm](ways[name])
        await asyncio.sleep(site.chance.uniform(*_HARMED))
        ways[name].heal()
        await asyncio.sleep(_WHOLE)


@asynccontextmanager
async def _detoured(site: Site, ways: dict[str, Proxy]) -> AsyncGenerator[None]:
    """Put a proxy between each kind of process and each service, and before each server."""
    database, redis = site.environment["WEIR_DATABASE_URL"], site.environment["WEIR_REDIS_URL"]
    path = redis.removeprefix("unix://")
    async with AsyncExitStack() as stack:

        async def way(name: str, dial: Any) -> int:
            ways[name] = await stack.enter_async_context(proxied_port(dial))
            return ways[name].port

        for command in ("server", "worker", "scheduler"):
            to_database = await way(f"{command} to database", dial_database(database))
            to_redis = await way(f"{command} to Redis", partial(asyncio.open_unix_connection, path))
            site.detours[command] = {
                "WEIR_DATABASE_URL": _over_tcp(database, to_database),
                "WEIR_REDIS_URL": f"redis://127.0.0.1:{to_redis}/0",
            }
        site.doors = [
            f"127.0.0.1:{await way(f'client to server {number}', _dial(address))}"
            for number, address in enumerate(site.addresses)
        ]
        yield


def _dial(address: str) -> Any:
    host, _, port = address.rpartition(":")
    return partial(asyncio.open_connection, host, int(port), family=socket.AF_INET)


def _over_tcp(url: str, port: int) -> str:
    """The database of a URL, reached over a port of this machine."""
    parsed = make_url(url).difference_update_query(["unix_socket"]).set(host="127.0.0.1", port=port)
    return parsed.render_as_string(hide_password=False)

"""A Redis that hangs up is an error that its callers look for, on the loop that Weir's processes run on."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from redis.exceptions import RedisError

from tests.fixtures.proxy import hanging_up
from weir_core.ids import new_id
from weir_core.queue import Hint, Queue
from weir_core.redis import connect

TRIES = 200


async def ping(url: str) -> None:
    client = connect(url)
    try:
        await client.ping()
    finally:
        await client.aclose()


async def read_hints(url: str) -> None:
    queue = Queue(url, "weir:")
    reader = queue.reader(["default"], ["builtin"])
    try:
        await reader.read(1)
    finally:
        await reader.close()
        await queue.close()


@pytest.mark.parametrize("call", [ping, read_hints])
async def test_a_reset_connection_raises_what_is_looked_for(call: Callable[[str], Awaitable[None]]):
    async def many(url: str) -> int:
        failed = 0
        for _ in range(TRIES):
            try:
                await call(url)
            except (RedisError, OSError):
                failed += 1
        return failed

    with hanging_up() as address:
        assert await asyncio.to_thread(uvloop.run, many(f"redis://{address}")) == TRIES


async def test_a_hint_that_is_not_taken_is_told_by_false():
    async def many(url: str) -> set[bool]:
        queue = Queue(url, "weir:")
        taken = {await queue.hint([Hint(new_id(), 0, "default", "builtin")]) for _ in range(TRIES)}
        await queue.close()
        return taken

    with hanging_up() as address:
        assert await asyncio.to_thread(uvloop.run, many(f"redis://{address}")) == {False}

"""The way to Redis: connections that fail with RedisError or OSError, and with nothing else."""

import asyncio
from collections.abc import Iterable

from redis.asyncio import Redis, from_url
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as ConnectionLost


def connect(url: str) -> "Redis":
    """A client whose connections are opened when they are first used."""
    client: Redis = from_url(url, protocol=2, socket_timeout=5, socket_connect_timeout=5)
    make_plain(client.connection_pool)
    return client


def make_plain(pool: ConnectionPool) -> None:
    """Let the connections of a pool raise what their callers look for."""
    pool.connection_class = type("PlainConnection", (_Plain, pool.connection_class), {})


class _Plain(AbstractConnection):
    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002  redis-py's
    ) -> None:
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            # uvloop's word for a socket that the other side has closed; redis-py takes it for a defect.
            raise ConnectionLost(f"the connection to Redis was closed: {error}") from error
        if task and task.cancelling() > cancels:
            # redis-py sends by wait_for, which in Python 3.11 drops a cancel that comes with the result.
            await self.disconnect(nowait=True)
            raise asyncio.CancelledError

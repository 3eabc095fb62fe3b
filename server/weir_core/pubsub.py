"""Listens to one Redis channel."""

from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis

from weir_core.cancelling import heed_cancel


async def messages(redis: "Redis", channel: str) -> AsyncGenerator[bytes]:
    """What is published from now on; raises RedisError or OSError where the connection is lost."""
    client: Any = redis
    async with client.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(channel)
        while True:
            message = await listener.get_message(timeout=1.0)
            heed_cancel()
            if message is not None:
                yield message["data"]

"""Listens to one Redis channel."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from redis.asyncio import Redis


async def messages(redis: "Redis", channel: str) -> AsyncGenerator[bytes]:
    """What is published from now on; raises RedisError or OSError where the connection is lost."""
    client: Any = redis
    task = asyncio.current_task()
    async with client.pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe(channel)
        while True:
            message = await listener.get_message(timeout=1.0)
            # The client can take a cancel for its own time-out.
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
            if message is not None:
                yield message["data"]

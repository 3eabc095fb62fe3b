"""Signals to one worker: a wake-up to look in the database now."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from weir_core.pubsub import messages


class Signals:
    """Sent over Redis; a lost one costs a heartbeat's interval."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        self._redis: Any = redis
        self._prefix = prefix

    async def wake_worker(self, worker_id: UUID) -> bool:
        """Tell a worker that a cancel was asked for; False where that could not be sent."""
        try:
            await self._redis.publish(self._channel(worker_id), b"1")
        except (RedisError, OSError):
            return False
        return True

    async def received(self, worker_id: UUID) -> AsyncGenerator[None]:
        """Yields once for each signal; raises RedisError, OSError."""
        async for _ in messages(self._redis, self._channel(worker_id)):
            yield

    def _channel(self, worker_id: UUID) -> str:
        return f"{self._prefix}worker:{worker_id}"

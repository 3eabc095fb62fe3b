"""Who can reach the database, as told in Redis by those who may take leases away.

A worker that can't renew asks here: while some sweeper lately could have lost it,
it is cut off alone, and others may run what it holds. Where none could, the
database is away for all, and nothing of its is taken.
"""

from datetime import timedelta
from typing import Any, Final

from redis.asyncio import Redis

_MILLISECOND: Final = timedelta(milliseconds=1)


class Witness:
    """A word in Redis that goes by itself."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        self._redis: Any = redis
        self._key = f"{prefix}leases-are-taken"

    async def testify(self, life: timedelta) -> None:
        """A sweeper reaches the database now; raises RedisError, OSError."""
        await self._redis.set(self._key, b"1", px=life // _MILLISECOND)

    async def heard(self) -> bool:
        """True where a sweeper reached it a short while ago; raises RedisError, OSError."""
        return bool(await self._redis.exists(self._key))

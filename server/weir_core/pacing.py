"""How many requests a minute may begin, over all processes: turns that Redis hands out.

A pace is a place in time that moves on by one interval with each turn, and is
never behind now: requests are spread evenly, without a burst. Without Redis
each process keeps the pace by itself.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import RedisError

_log = logging.getLogger(__name__)

# Microseconds since 1970 are more than %.14g keeps.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local after = at + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000) + 1000)
return string.format('%.0f', at - now)
"""

# Who had no answer asks no sooner: a Redis that hangs would hold up each request.
_AWAY_SECONDS: Final = 10.0

Turn: TypeAlias = Callable[[], Awaitable[float]]
"""Takes the next turn; gives the seconds until it comes."""


class Pacing:
    """Hands out turns by name."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        self._take: Any = redis.register_script(_TAKE)
        self._prefix = f"{prefix}pace:"

    def of(self, name: str, per_minute: int) -> Turn | None:
        """The turns of what may be asked so often; None where there is no limit."""
        if not per_minute:
            return None
        key, interval = f"{self._prefix}{name}", 60.0 / per_minute
        alone, away_until = local_pace(per_minute), 0.0

        async def turn() -> float:
            nonlocal away_until
            # Taken even if Redis answers: what has begun here counts when it goes away.
            by_itself = await alone()
            if time.monotonic() < away_until:
                return by_itself
            try:
                return float(await self._take(keys=[key], args=[round(interval * 1e6)])) / 1e6
            except (RedisError, OSError) as error:
                away_until = time.monotonic() + _AWAY_SECONDS
                _log.warning("Redis is away, so %s is asked at the pace of this process: %s", name, error)
                return by_itself

        return turn


def local_pace(per_minute: int) -> Turn:
    """The turns of this process alone."""
    interval, following = 60.0 / per_minute, 0.0

    async def turn() -> float:
        nonlocal following
        now = time.monotonic()
        at = max(now, following)
        following = at + interval
        return at - now

    return turn

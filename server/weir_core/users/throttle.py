"""Limits on tries: buckets that fill up with time, one for each who tries.

What succeeds gives its token back, so only failures wear a bucket down. The
buckets are bounded in number; the one longest unused goes first.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from typing import Final

from weir_core.errors import RateLimited, Unauthenticated

_BUCKETS: Final = 20_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    time: float


class Throttle:
    """Token buckets of one size: `burst` tries at once, then one every `every`."""

    def __init__(self, burst: int, every: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._every = every.total_seconds()
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def take(self, key: Hashable) -> None:
        """Use one try; RateLimited where none is left."""
        bucket = self._filled(key)
        if bucket.tokens < 1:
            wait = ceil(round((1 - bucket.tokens) * self._every, 3))
            raise RateLimited(
                f"too many tries with wrong credentials; try again in {wait} s", timedelta(seconds=wait)
            )
        bucket.tokens -= 1

    def give_back(self, key: Hashable) -> None:
        """Take a try for not done."""
        bucket = self._filled(key)
        bucket.tokens = min(bucket.tokens + 1, self._burst)

    def _filled(self, key: Hashable) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(self._burst, now))
        bucket.tokens = min(bucket.tokens + (now - bucket.time) / self._every, self._burst)
        bucket.time = now
        self._buckets.move_to_end(key)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
        return bucket


class SignInThrottle:
    """Limits on sign-ins, by address, and by name and address, so that nobody locks another out."""

    def __init__(self) -> None:
        self._addresses = Throttle(40, timedelta(seconds=1))
        self._accounts = Throttle(8, timedelta(seconds=5))

    @contextmanager
    def attempt(self, address: str, name: str) -> Generator[None]:
        """One try; it counts where the credentials are wrong, or the caller hangs up on the answer."""
        place = _network(address)
        self._addresses.take(place)
        self._accounts.take((place, name))
        try:
            yield
        except Unauthenticated:
            raise
        except Exception:
            self._give_back(place, name)
            raise
        self._give_back(place, name)

    def _give_back(self, place: str, name: str) -> None:
        self._addresses.give_back(place)
        self._accounts.give_back((place, name))


def _network(address: str) -> str:
    # One customer has a whole /64 of IPv6 addresses.
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)

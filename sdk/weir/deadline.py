"""One deadline for a whole call: connecting, signing in and every retry included."""

import time
from datetime import timedelta

Timeout = float | timedelta | None

FOREVER = 10 * 365 * 86_400.0
"""Stands for no deadline; gRPC and locks take no larger numbers."""


SIGN_IN = 10.0
"""Seconds for a sign-in or a refresh that many calls may wait for."""


class Deadline:
    """A point in time, by the clock that nobody sets."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = FOREVER if seconds is None else seconds
        self._end = time.monotonic() + self.seconds

    def remaining(self) -> float:
        return max(0.0, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.remaining() <= 0


def in_seconds(timeout: Timeout) -> float | None:
    """The timeout as a number; None stays None."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout

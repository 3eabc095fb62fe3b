"""When a failed call is made again: the only place that decides it."""

import random

from weir import errors
from weir.method import Method, Req, Resp

FIRST_DELAY = 0.1
GROWTH = 1.5
LONGEST_DELAY = 5.0
JITTER = 0.25

_MAY_PASS = (errors.Unavailable, errors.DeadlineExceeded, errors.Aborted, errors.Cancelled)
_TRANSPORT = (errors.Internal, errors.Unknown)


class Backoff:
    """Delays that grow from one failure to the next, spread so that clients do not march in step."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    def next(self, asked_for: float | None = None) -> float:
        """The next delay; never shorter than what the server asked for."""
        delay = self._delay * random.uniform(1 - JITTER, 1 + JITTER)
        self._delay = min(self._delay * GROWTH, LONGEST_DELAY)
        return max(delay, asked_for or 0.0)

    def reset(self) -> None:
        self._delay = FIRST_DELAY


def repeats(method: Method[Req, Resp], error: errors.CallError) -> bool:
    """Whether a call may be made again: nothing was done, or doing it twice does it once."""
    if not method.repeatable:
        return False
    if isinstance(error, errors.ResourceExhausted):
        return error.retry_after is not None
    return isinstance(error, errors.Unavailable)


def resumes(error: errors.CallError) -> bool:
    """Whether a stream is worth opening again: no answer of the server's that would stay the same.

    A broken connection may also show as INTERNAL or UNKNOWN, then without a reason of the server's.
    """
    if isinstance(error, errors.ResourceExhausted):
        return error.retry_after is not None
    if isinstance(error, _TRANSPORT):
        return not error.reason
    return isinstance(error, _MAY_PASS)

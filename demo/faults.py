"""Which page misbehaves how, and at which try: the same in every run, for the plan follows from a seed."""

import random
from collections.abc import Mapping
from enum import StrEnum

SEED = 2013
# Tries of a page that may go wrong; a later one never does.
MOST_TRIES = 2


class Fault(StrEnum):
    """What real sources do now and then."""

    SLOW = "slow"
    """The whole answer comes, but it takes its time."""
    BUSY = "429"
    """Too many requests, with a Retry-After."""
    ERROR = "500"
    """An internal error."""
    CUT = "cut"
    """Half of the body, then the connection breaks."""


# Of a hundred pages, so many begin with this fault.
_SHARE = {Fault.SLOW: 5, Fault.BUSY: 2, Fault.ERROR: 4, Fault.CUT: 4}
_TWICE = (Fault.ERROR, Fault.CUT)
_TWICE_ONE_IN = 3

Plan = Mapping[int, tuple[Fault, ...]]


def plan(pages: int, seed: int = SEED) -> Plan:
    """Faults of each page by its tries, at least one of each kind where there are pages for it."""
    choice = random.Random(seed)
    wanted = [fault for fault, share in _SHARE.items() for _ in range(max(1, pages * share // 100))]
    # The first page always answers: a demo that begins with a wait explains itself badly.
    numbers = choice.sample(range(2, pages + 1), min(len(wanted), max(0, pages - 1)))
    return {number: _tries(fault, choice) for number, fault in zip(numbers, wanted, strict=False)}


def _tries(first: Fault, choice: random.Random) -> tuple[Fault, ...]:
    if first in _TWICE and choice.randrange(_TWICE_ONE_IN) == 0:
        return first, choice.choice(_TWICE)
    return (first,)

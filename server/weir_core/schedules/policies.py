"""Which of the fire times that have come are fired, and which are dropped. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from weir_core.schedules.models import MissedPolicy

# Another scheduler takes over within a second, from one that froze in a transaction once the database has
# ended that: what is later than this was missed.
PUNCTUAL: Final = timedelta(seconds=15)
MOST_MISSED: Final = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """A fire time, and when it was to be acted on."""

    fire: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class Choice:
    """What to drop, and what to fire then; both oldest first."""

    dropped: list[datetime]
    fired: list[datetime]


def choose(come: list[Due], now: datetime, missed: MissedPolicy, max_catch_up: int, *, more: bool) -> Choice:
    """Choose among the fire times that have come, oldest first; `more`: there are others after them."""
    times = [each.fire for each in come]
    if more:
        # Whatever the policy is, these are too old for it; the others wait for the next look.
        return Choice(times[:-MOST_MISSED], [])
    if not come or now - come[0].due <= PUNCTUAL:
        return Choice([], times)
    kept = _kept(missed, max_catch_up, punctual=now - come[-1].due <= PUNCTUAL)
    split = max(0, len(times) - kept)
    return Choice(times[:split], times[split:])


def _kept(missed: MissedPolicy, max_catch_up: int, *, punctual: bool) -> int:
    match missed:
        case MissedPolicy.SKIP:
            return int(punctual)
        case MissedPolicy.LAST:
            return 1
        case MissedPolicy.ALL:
            return max_catch_up

"""When a schedule fires: cron, interval, once; time zones and clock changes; jitter. Pure.

A fire time is an instant, always in UTC. A cron rule names times of the clock on
a zone's wall. Where that clock is changed, a rule whose hour field has `*` or a
step follows elapsed time: it fires at every minute whose clock it names, in both
passes of a repeated hour, and not for times that are skipped. A fixed hour fires
once, in the first pass; a time that is skipped fires at the first instant after
the gap.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from weir_core.columns import MICROSECOND, micros
from weir_core.schedules.cron import Cron

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Timing:
    """One of cron, interval and once, with its bounds."""

    cron: str = ""
    interval: timedelta | None = None
    once: datetime | None = None
    time_zone: str = ""
    start_time: datetime | None = None
    end_time: datetime | None = None
    jitter: timedelta = timedelta(0)

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose clock is meant."""
        return ZoneInfo(self.time_zone or "UTC")


def fire_times(timing: Timing, after: datetime, created: datetime) -> Iterator[datetime]:
    """The fire times later than an instant, in order; an interval without a start counts from creation."""
    if timing.start_time is not None:
        after = max(after, timing.start_time - MICROSECOND)
    for fire in _unbounded(timing, after, created):
        if timing.end_time is not None and fire >= timing.end_time:
            return
        yield fire


def next_fire(timing: Timing, after: datetime, created: datetime) -> datetime | None:
    """The first fire time later than an instant; None: there is none."""
    return next(fire_times(timing, after, created), None)


def due_time(timing: Timing, schedule_id: UUID, fire: datetime, following: datetime | None) -> datetime:
    """When to act on a fire time: with jitter later, but before the following fire time."""
    limit = timing.jitter if following is None else min(timing.jitter, following - fire)
    if limit < MICROSECOND:
        return fire
    digest = hashlib.sha256(schedule_id.bytes + micros(fire).to_bytes(8, "big", signed=True)).digest()
    return fire + int.from_bytes(digest[:8], "big") % (limit // MICROSECOND) * MICROSECOND


@lru_cache(maxsize=1)
def known_zones() -> frozenset[str]:
    """The names of the IANA database."""
    return frozenset(available_timezones())


def offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    """How far the zone's clock is ahead of UTC at an instant."""
    found = instant.astimezone(zone).utcoffset()
    assert found is not None
    return found


def wall_clock(zone: ZoneInfo, instant: datetime) -> datetime:
    """What the zone's clock shows at an instant, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


def next_change(zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The first instant of (after, until] at which the zone's clock was changed; None: there is none."""
    before = offset(zone, after)
    low = after
    while low < until:
        high = until if until - low < _DAY else low + _DAY
        if offset(zone, high) != before:
            return _bisect(zone, low.replace(microsecond=0), high, before)
        low = high
    return None


def _bisect(zone: ZoneInfo, low: datetime, high: datetime, before: timedelta) -> datetime:
    # Clocks change at whole seconds.
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _unbounded(timing: Timing, after: datetime, created: datetime) -> Iterator[datetime]:
    if timing.interval is not None:
        first = timing.start_time or created.replace(microsecond=0) + timing.interval
        return _interval(first, timing.interval, after)
    if timing.once is not None:
        return iter([timing.once] if timing.once > after else [])
    cron = Cron.parse(timing.cron)
    follow = _elapsed if cron.follows_elapsed_time else _fixed
    return follow(cron, timing.zone, after)


def _interval(first: datetime, interval: timedelta, after: datetime) -> Iterator[datetime]:
    try:
        fire = first if first > after else first + ((after - first) // interval + 1) * interval
        while True:
            yield fire
            fire += interval
    except OverflowError:
        return


def _fixed(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    last = after
    for wall in cron.after(wall_clock(zone, after)):
        fire = first_instant(zone, wall)
        if fire > last:
            yield fire
            last = fire


def _elapsed(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    at, wall = after, wall_clock(zone, after)
    while True:
        ahead = offset(zone, at)
        for moment in cron.after(wall):
            fire = (moment - ahead).replace(tzinfo=UTC)
            if (change := next_change(zone, at, fire)) is not None:
                # Goes on with the changed clock, the instant of the change included.
                at, wall = change, wall_clock(zone, change) - MICROSECOND
                break
            yield fire
            at = fire
        else:
            return


def first_instant(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first instant at which the zone's clock shows a time, or has passed over it."""
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if wall_clock(zone, early) == wall:
        return early
    # In a gap the first reading has the offset of before it, and so lies after it.
    change = next_change(zone, late, early)
    assert change is not None
    return change

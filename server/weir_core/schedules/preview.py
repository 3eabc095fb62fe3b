"""When a timing would fire, and what may surprise about it. Pure."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from weir_core.schedules.cron import Cron
from weir_core.schedules.times import Timing, fire_times, next_change, offset, wall_clock

_MOST_CHANGES: Final = 5
_SHORTEST_MONTH: Final = 28
_LONGEST_SHIFT: Final = timedelta(hours=2)
_MICROSECOND: Final = timedelta(microseconds=1)


def preview(timing: Timing, start: datetime, count: int) -> tuple[list[datetime], list[str]]:
    """The first fire times from an instant on, without jitter, and warnings."""
    times = list(islice(fire_times(timing, start - _MICROSECOND, start), count))
    if not times:
        return [], ["it never fires from then on"]
    warnings: list[str] = []
    if timing.jitter:
        warnings.append(f"each fire comes up to {timing.jitter} later than shown, by chance")
    if timing.interval is not None and timing.time_zone:
        warnings.append("an interval counts elapsed time; the time zone changes nothing")
    if timing.cron:
        warnings += _about_days(timing.cron)
        warnings += _about_clocks(Cron.parse(timing.cron), timing.zone, start, times[-1])
    return times, warnings


def _about_days(text: str) -> list[str]:
    cron = Cron.parse(text)
    if cron.either_day:
        return ["day of month and day of week are both restricted; either is enough"]
    if min(cron.days) > _SHORTEST_MONTH:
        return [f"months without a day {min(cron.days)} are left out"]
    return []


def _about_clocks(cron: Cron, zone: ZoneInfo, start: datetime, end: datetime) -> list[str]:
    warnings: list[str] = []
    # The last fire may come in the first pass of an hour that is repeated soon.
    until = end + _LONGEST_SHIFT
    change = next_change(zone, start, until)
    while change is not None and len(warnings) < _MOST_CHANGES:
        warnings += _about_change(cron, zone, change, end)
        change = next_change(zone, change, until)
    return warnings


def _about_change(cron: Cron, zone: ZoneInfo, change: datetime, end: datetime) -> list[str]:
    """What a change of the clock does to the rule, where it skips or repeats a time of it until the end."""
    to = wall_clock(zone, change)
    came = to - offset(zone, change) + offset(zone, change - _MICROSECOND)
    named = next(cron.after(min(came, to) - _MICROSECOND), None)
    if named is None or named >= max(came, to) or (change > end and named > wall_clock(zone, end)):
        return []
    moved = f"on {came:%Y-%m-%d} clocks in {zone.key} go from {came:%H:%M} to {to:%H:%M}"
    if to > came:
        skipped = "left out" if cron.follows_elapsed_time else f"made up for at {to:%H:%M}"
        return [f"{moved}: {named:%H:%M} is skipped, and {skipped}"]
    times = "fires both times" if cron.follows_elapsed_time else "fires the first time only"
    return [f"{moved}: {named:%H:%M} comes twice, and {times}"]

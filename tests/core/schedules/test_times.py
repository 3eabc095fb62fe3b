"""Fire times against the rule that stands in schedule.proto, at the changes of real clocks."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.schedules.test_cron import EXPRESSIONS
from weir_core.schedules.cron import Cron
from weir_core.schedules.times import Timing, due_time, fire_times, next_change, next_fire, wall_clock

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(timing: Timing, start: str, count: int) -> list[datetime]:
    return list(islice(fire_times(timing, utc(start), utc(start)), count))


def clock(cron: str, zone: str, start: str, count: int) -> list[str]:
    """Fire times as the zone's clock shows them, with the hours from UTC."""
    found = fires(Timing(cron=cron, time_zone=zone), start, count)
    return [f"{time.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for time in found]


class TestClocksGoForward:
    # Berlin 2026-03-29 02:00 → 03:00 (01:00Z); New York 2026-03-08 02:00 → 03:00 (07:00Z);
    # Lord Howe 2026-10-04 02:00 → 02:30 (15:30Z on the 3rd).
    @pytest.mark.parametrize(
        "cron,zone,start,expected",
        [
            (
                "30 2 * * *",
                BERLIN,
                "2026-03-27T12:00",
                ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"],
            ),
            (
                "30 2 * * *",
                NEW_YORK,
                "2026-03-06T12:00",
                ["07 02:30 -0500", "08 03:00 -0400", "09 02:30 -0400"],
            ),
            (
                "15 2 * * *",
                LORD_HOWE,
                "2026-10-02T12:00",
                ["03 02:15 +1030", "04 02:30 +1100", "05 02:15 +1100"],
            ),
            # Several skipped times fire once, and one that is there fires as ever.
            (
                "0,30 2,3 * * *",
                BERLIN,
                "2026-03-28T12:00",
                ["29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200"],
            ),
            (
                "*/5 2 * * *",
                BERLIN,
                "2026-03-28T12:00",
                ["29 03:00 +0200", "30 02:00 +0200", "30 02:05 +0200"],
            ),
            # By elapsed time nothing is made up for.
            (
                "*/5 * * * *",
                BERLIN,
                "2026-03-29T00:50",
                ["29 01:55 +0100", "29 03:00 +0200", "29 03:05 +0200"],
            ),
            (
                "30 */2 * * *",
                BERLIN,
                "2026-03-28T23:00",
                ["29 00:30 +0100", "29 04:30 +0200", "29 06:30 +0200"],
            ),
            (
                "30 1-5/1 * * *",
                BERLIN,
                "2026-03-28T23:00",
                ["29 01:30 +0100", "29 03:30 +0200", "29 04:30 +0200"],
            ),
            (
                "*/15 * * * *",
                LORD_HOWE,
                "2026-10-03T15:10",
                ["04 01:45 +1030", "04 02:30 +1100", "04 02:45 +1100"],
            ),
        ],
    )
    def test_at_the_gap(self, cron: str, zone: str, start: str, expected: list[str]):
        assert clock(cron, zone, start, 3) == expected


class TestClocksGoBack:
    # Berlin 2026-10-25 03:00 → 02:00 (01:00Z); New York 2026-11-01 02:00 → 01:00 (06:00Z);
    # Lord Howe 2026-04-05 02:00 → 01:30 (15:00Z on the 4th).
    @pytest.mark.parametrize(
        "cron,zone,start,expected",
        [
            (
                "30 2 * * *",
                BERLIN,
                "2026-10-23T12:00",
                ["24 02:30 +0200", "25 02:30 +0200", "26 02:30 +0100"],
            ),
            (
                "30 1 * * *",
                NEW_YORK,
                "2026-10-30T12:00",
                ["31 01:30 -0400", "01 01:30 -0400", "02 01:30 -0500"],
            ),
            (
                "45 1 * * *",
                LORD_HOWE,
                "2026-04-03T12:00",
                ["04 01:45 +1100", "05 01:45 +1100", "06 01:45 +1030"],
            ),
            (
                "*/30 2 * * *",
                BERLIN,
                "2026-10-24T12:00",
                ["25 02:00 +0200", "25 02:30 +0200", "26 02:00 +0100"],
            ),
            # From within the second pass on, the first one is over.
            (
                "30 2 * * *",
                BERLIN,
                "2026-10-25T01:10",
                ["26 02:30 +0100", "27 02:30 +0100", "28 02:30 +0100"],
            ),
            (
                "30 * * * *",
                BERLIN,
                "2026-10-25T00:00",
                ["25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"],
            ),
            (
                "30 2/1 * * *",
                BERLIN,
                "2026-10-25T00:00",
                ["25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"],
            ),
            (
                "45 * * * *",
                LORD_HOWE,
                "2026-04-04T14:00",
                ["05 01:45 +1100", "05 01:45 +1030", "05 02:45 +1030"],
            ),
        ],
    )
    def test_at_the_repeated_hour(self, cron: str, zone: str, start: str, expected: list[str]):
        assert clock(cron, zone, start, 3) == expected

    @pytest.mark.parametrize(
        "zone,start",
        [(BERLIN, "2026-10-24T22:00"), (NEW_YORK, "2026-11-01T04:00"), (LORD_HOWE, "2026-04-04T13:00")],
    )
    def test_every_five_minutes_are_five_minutes(self, zone: str, start: str):
        found = fires(Timing(cron="*/5 * * * *", time_zone=zone), start, 60)
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=5)}


class TestOtherRules:
    def test_an_interval_counts_elapsed_time_over_a_change_of_clocks(self):
        timing = Timing(interval=timedelta(hours=1), time_zone=BERLIN, start_time=utc("2026-10-24T00:30"))
        found = fires(timing, "2026-10-24T23:00", 5)
        assert found == [utc("2026-10-24T23:30") + n * timedelta(hours=1) for n in range(5)]

    def test_an_interval_begins_at_its_start_and_else_one_interval_after_creation(self):
        interval, created = timedelta(seconds=90), utc("2026-01-01T00:00:10.750")
        assert next_fire(Timing(interval=interval), created, created) == utc("2026-01-01T00:01:40")
        start = utc("2026-01-02T00:00")
        assert next_fire(Timing(interval=interval, start_time=start), created, created) == start

    def test_once_is_once_and_bounds_hold(self):
        time, start = utc("2026-06-01T12:00"), utc("2026-01-01T00:00")
        assert fires(Timing(once=time), "2026-01-01T00:00", 9) == [time]
        assert next_fire(Timing(once=time), time, start) is None
        assert next_fire(Timing(once=time, end_time=time), start, start) is None
        assert next_fire(Timing(once=time, start_time=time + MINUTE), start, start) is None
        hours = Timing(cron="0 * * * *", start_time=utc("2026-01-01T05:00"), end_time=utc("2026-01-01T07:00"))
        assert fires(hours, "2026-01-01T00:00", 9) == [utc("2026-01-01T05:00"), utc("2026-01-01T06:00")]

    def test_the_end_of_time_ends_it(self):
        late = "9999-12-31T23:58:30"
        assert fires(Timing(cron="* * * * *"), late, 9) == [utc("9999-12-31T23:59")]
        assert len(fires(Timing(interval=timedelta(seconds=80)), late, 9)) == 1

    def test_a_midnight_that_is_skipped_fires_right_after(self):
        # Beirut, 2026-03-29: 00:00 → 01:00.
        assert clock("0 0 * * *", "Asia/Beirut", "2026-03-28T00:00", 2) == [
            "29 01:00 +0300",
            "30 00:00 +0300",
        ]


class TestDueTime:
    def test_jitter_is_the_same_everywhere_and_stays_before_the_next_fire(self):
        schedule_id, fire = uuid4(), utc("2026-01-01T00:00")
        timing = Timing(interval=timedelta(seconds=30), jitter=timedelta(hours=1))
        following = fire + timedelta(seconds=30)
        due = due_time(timing, schedule_id, fire, following)
        assert fire <= due < following
        assert due == due_time(timing, UUID(str(schedule_id)), fire, following)
        assert len({due_time(timing, uuid4(), fire, following) for _ in range(20)}) > 10

    def test_without_jitter_it_is_the_fire_time(self):
        fire = utc("2026-01-01T00:00")
        assert due_time(Timing(cron="@daily"), uuid4(), fire, None) == fire


ZONES = st.sampled_from(
    [BERLIN, NEW_YORK, LORD_HOWE, "UTC", "Asia/Kathmandu", "Africa/Casablanca", "America/Havana"]
)
INSTANTS = st.integers(0, 5 * 365 * 86_400).map(lambda after: utc("2025-01-01") + timedelta(seconds=after))


def expected(cron: Cron, zone: ZoneInfo, start: datetime, until: datetime) -> list[datetime]:
    """The rule of schedule.proto, minute by minute."""
    found: list[datetime] = []
    seen: set[datetime] = set()
    minute = start.replace(second=0, microsecond=0) - timedelta(days=1)
    previous = wall_clock(zone, minute - MINUTE)
    while minute < until:
        wall = wall_clock(zone, minute)
        if cron.follows_elapsed_time:
            named = names(cron, wall)
        else:
            # What the clock has jumped over counts for this minute; what it showed before counts no more.
            jumped = int((wall - previous) / MINUTE) - 1
            new = [wall - step * MINUTE for step in range(max(jumped, 0) + 1)]
            named = any(names(cron, each) and each not in seen for each in new)
            seen.update(new)
        if named and minute > start:
            found.append(minute)
        previous = wall
        minute += MINUTE
    return found


def names(cron: Cron, wall: datetime) -> bool:
    of_month, of_week = wall.day in cron.days, wall.isoweekday() % 7 in cron.weekdays
    day = of_month or of_week if cron.either_day else of_month and of_week
    return day and wall.month in cron.months and wall.hour in cron.hours and wall.minute in cron.minutes


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, ZONES, INSTANTS, st.booleans())
def test_any_rule_in_any_zone_fires_as_the_rule_says(text: str, zone: str, start: datetime, near: bool):
    if near and (change := next_change(ZoneInfo(zone), start, start + timedelta(days=366))):
        # Most instants are far from a change of clocks.
        start = change - timedelta(hours=7, seconds=11)
    until = start.replace(second=0, microsecond=0) + timedelta(days=1)
    timing = Timing(cron=text, time_zone=zone, end_time=until)
    assert list(fire_times(timing, start, start)) == expected(Cron.parse(text), ZoneInfo(zone), start, until)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, ZONES, INSTANTS)
def test_going_on_from_any_fire_gives_the_same_times(text: str, zone: str, start: datetime):
    timing = Timing(cron=text, time_zone=zone)
    whole = list(islice(fire_times(timing, start, start), 6))
    assert whole == sorted(set(whole))
    for earlier, later in pairwise(whole):
        assert next_fire(timing, earlier, start) == later

import re
from datetime import datetime, timedelta
from itertools import islice

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from weir_core.schedules.cron import Cron

# Clocks on the wall have no zone.
START = datetime.fromisoformat("2026-01-30T23:58")


def walls(text: str, count: int = 3, start: datetime = START) -> list[str]:
    return [f"{wall:%Y-%m-%d %H:%M}" for wall in islice(Cron.parse(text).after(start), count)]


class TestParse:
    @pytest.mark.parametrize(
        "text,first",
        [
            ("* * * * *", ["2026-01-30 23:59", "2026-01-31 00:00", "2026-01-31 00:01"]),
            ("*/20 3 * * *", ["2026-01-31 03:00", "2026-01-31 03:20", "2026-01-31 03:40"]),
            ("5/20 3-4 * * *", ["2026-01-31 03:05", "2026-01-31 03:25", "2026-01-31 03:45"]),
            ("10-40/15,59 3 * * *", ["2026-01-31 03:10", "2026-01-31 03:25", "2026-01-31 03:40"]),
            ("0 0 31 * *", ["2026-01-31 00:00", "2026-03-31 00:00", "2026-05-31 00:00"]),
            ("0 0 29 feb *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
            ("0 9 * * Mon-Wed", ["2026-02-02 09:00", "2026-02-03 09:00", "2026-02-04 09:00"]),
            ("0 9 * * 7", ["2026-02-01 09:00", "2026-02-08 09:00", "2026-02-15 09:00"]),
            ("0 9 * * 6-7", ["2026-01-31 09:00", "2026-02-01 09:00", "2026-02-07 09:00"]),
            # Both days restricted: either is enough. A field that begins with a star restricts nothing.
            ("0 9 1 * fri", ["2026-02-01 09:00", "2026-02-06 09:00", "2026-02-13 09:00"]),
            ("0 9 */2 * sun", ["2026-02-01 09:00", "2026-02-15 09:00", "2026-03-01 09:00"]),
            ("@Hourly", ["2026-01-31 00:00", "2026-01-31 01:00", "2026-01-31 02:00"]),
            ("@daily", ["2026-01-31 00:00", "2026-02-01 00:00", "2026-02-02 00:00"]),
            ("@weekly", ["2026-02-01 00:00", "2026-02-08 00:00", "2026-02-15 00:00"]),
            ("@monthly", ["2026-02-01 00:00", "2026-03-01 00:00", "2026-04-01 00:00"]),
            ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00", "2029-01-01 00:00"]),
        ],
    )
    def test_reads_what_cron_reads(self, text: str, first: list[str]):
        assert walls(text) == first

    @pytest.mark.parametrize(
        "text,said",
        [
            ("", "five fields"),
            ("* * * *", "five fields"),
            ("* * * * * *", "five fields"),
            ("@reboot", "@daily"),
            ("60 * * * *", "minute must be * or 0 to 59, not '60'"),
            ("* 24 * * *", "hour must be * or 0 to 23"),
            ("* * 0 * *", "day of month must be * or 1 to 31"),
            ("* * * 13 *", "month must be * or 1 to 12, or JAN to DEC"),
            ("* * * * 8", "day of week must be * or 0 to 7, or SUN to SAT"),
            ("* * * * fr", "not 'fr'"),
            ("30-10 * * * *", "'30-10' of minute ends before it begins"),
            ("*/0 * * * *", "step '0' of minute must be a number from 1 on"),
            ("*/ * * * *", "step"),
            ("1,,2 * * * *", "not ''"),
            ("-5 * * * *", "not ''"),
            ("² * * * *", "not '²'"),
            ("9" * 200 + " * * * *", "minute must be"),
        ],
    )
    def test_says_what_would_be_right(self, text: str, said: str):
        with pytest.raises(ValueError, match=re.escape(said)):
            Cron.parse(text)

    def test_what_never_comes_ends(self):
        assert walls("0 0 30 2 *") == []
        assert walls("* * * * *", 3, datetime.fromisoformat("9999-12-31T23:58")) == ["9999-12-31 23:59"]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    # The other library takes 5-5 for all around.
    pair = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    span = pair.map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.tuples(span, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    term = st.one_of(number.map(str), span, stepped)
    return st.one_of(st.just("*"), st.lists(term, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)
MOMENTS = st.integers(0, 20 * 365 * 1440).map(lambda after: START + timedelta(minutes=after))


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, MOMENTS)
def test_it_means_the_same_as_another_library_says(text: str, start: datetime):
    other = croniter(text, start)
    theirs = [other.get_next(datetime).replace(tzinfo=None) for _ in range(5)]
    assert list(islice(Cron.parse(text).after(start), 5)) == theirs


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, MOMENTS)
def test_no_minute_is_left_out(text: str, start: datetime):
    cron, found = Cron.parse(text), set(islice(Cron.parse(text).after(start), 20))
    last = max(found)
    minute = max(start.replace(second=0, microsecond=0), last - timedelta(days=2))
    while (minute := minute + timedelta(minutes=1)) <= last:
        named = minute.minute in cron.minutes and minute.hour in cron.hours and minute.month in cron.months
        days = minute.day in cron.days, minute.isoweekday() % 7 in cron.weekdays
        assert (minute in found) == (named and (any(days) if cron.either_day else all(days))) or len(
            found
        ) < 20

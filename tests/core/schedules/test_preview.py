from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from weir_core.schedules.preview import preview
from weir_core.schedules.times import Timing

NIGHTLY = Timing(cron="30 2 * * *", time_zone="Europe/Berlin")
HOURLY = Timing(cron="30 * * * *", time_zone="Europe/Berlin")
EVERY_HOUR = Timing(interval=timedelta(hours=1))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_next_times_with_what_may_surprise():
    fires, warnings = preview(NIGHTLY, at("2026-10-23T12:00"), 3)
    assert fires == [at("2026-10-24T00:30"), at("2026-10-25T00:30"), at("2026-10-26T01:30")]
    (warning,) = warnings
    assert warning == (
        "on 2026-10-25 clocks in Europe/Berlin go from 03:00 to 02:00: "
        "02:30 comes twice, and fires the first time only"
    )


@pytest.mark.parametrize(
    "timing,start,said",
    [
        (NIGHTLY, "2026-03-28T12:00", "02:30 is skipped, and made up for at 03:00"),
        (HOURLY, "2026-03-28T23:00", "02:30 is skipped, and left out"),
        (HOURLY, "2026-10-24T20:00", "02:30 comes twice, and fires both times"),
        (Timing(cron="0 0 30 2 *"), "2026-01-01T00:00", "never fires"),
        (Timing(cron="0 0 1 * 1"), "2026-01-01T00:00", "either is enough"),
        (Timing(cron="0 0 31 * *"), "2026-01-01T00:00", "months without a day 31 are left out"),
        (replace(EVERY_HOUR, jitter=timedelta(minutes=5)), "2026-01-01T00:00", "up to 0:05:00 later"),
        (replace(EVERY_HOUR, time_zone="Europe/Berlin"), "2026-01-01T00:00", "elapsed time"),
    ],
)
def test_each_surprise_is_told(timing: Timing, start: str, said: str):
    _, warnings = preview(timing, at(start), 10)
    assert len(warnings) == 1
    assert said in warnings[0]


def test_the_first_pass_of_a_repeated_hour_is_told_as_the_last_of_the_list_too():
    assert "comes twice" in preview(NIGHTLY, at("2026-10-24T12:00"), 1)[1][0]
    assert preview(NIGHTLY, at("2026-10-23T12:00"), 1)[1] == []
    assert preview(HOURLY, at("2026-10-24T23:20"), 1)[1] == []


def test_a_change_of_clocks_that_meets_no_time_is_not_told():
    assert preview(replace(NIGHTLY, cron="30 5 * * *"), at("2026-10-20T12:00"), 10)[1] == []


def test_a_time_that_is_there_is_included():
    start = at("2026-01-01T00:00")
    assert preview(Timing(cron="@daily"), start, 1) == ([start], [])

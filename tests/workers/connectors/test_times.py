"""Times in requests: what is written is what is meant, or a little more, never less."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_workers.connectors.times import UNITS, TimeFormat, moment, rounded, told, written

moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given one
forms = st.sampled_from(list(UNITS))


class TestWritten:
    @given(moments, forms, st.booleans())
    def test_rounding_goes_the_way_it_is_told(self, at: datetime, form: TimeFormat, up: bool) -> None:
        exact = moment(at.isoformat())
        found = rounded(exact, form, up=up)
        assert 0 <= (found - exact if up else exact - found) < max(UNITS[form], 1_000_000)
        assert told(written(found, form), form) == found

    @pytest.mark.parametrize(
        "text,form,said",
        [
            ("2024-01-31T10:00:00.5+01:00", "iso", "2024-01-31T09:00:00.5Z"),
            ("2024-01-31", "iso", "2024-01-31T00:00:00Z"),
            ("2024-01-31 10:00:00", "date", "2024-01-31"),
            ("2024-01-31T10:00:00Z", "epoch_seconds", 1706695200),
            ("2024-01-31T10:00:00.123456Z", "epoch_ms", 1706695200123),
            ("1969-12-31T23:59:59.5Z", "epoch_seconds", -1),
        ],
    )
    def test_forms(self, text: str, form: TimeFormat, said: str | int) -> None:
        assert written(moment(text), form) == said


class TestMoment:
    @pytest.mark.parametrize("text", ["", "soon", "2024-13-01", "12", "2024-01-01T25:00:00Z"])
    def test_what_is_no_time_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is no time, such as"):
            moment(text)

    @pytest.mark.parametrize(
        "text,finer",
        [
            ("2024-01-31T10:00:00Z", False),
            ("2024-01-31T10:00:00.123456Z", False),
            ("2024-01-31T10:00:00.123456000Z", False),
            ("2024-01-31T10:00:00.123456001Z", True),
            ("2024-01-31T10:00:00.1234567+01:00", True),
        ],
    )
    def test_less_than_a_microsecond_is_noticed(self, text: str, finer: bool) -> None:
        assert told(text, "iso", up=True) - told(text, "iso") == finer

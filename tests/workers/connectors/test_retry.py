from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_workers.connectors.retry import RetryPolicy, retry_after

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


class TestRetryAfter:
    @pytest.mark.parametrize(
        "header,seconds",
        [
            (None, None),
            ("", None),
            ("0", None),
            ("7", 7.0),
            (" 7 ", 7.0),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 01 Nov 2026 12:00:30 GMT", 30.0),
            ("Sun, 01 Nov 2026 11:00:00 GMT", None),
            ("Sun, 99 Nov 2026 11:00:00 GMT", None),
            ("²", None),
        ],
    )
    def test_is_seconds_or_nothing(self, header: str | None, seconds: float | None) -> None:
        assert retry_after(header, NOW) == seconds

    @given(st.text(max_size=60))
    def test_never_raises(self, header: str) -> None:
        found = retry_after(header, NOW)
        assert found is None or found > 0


class TestWait:
    @given(st.integers(1, 10_000), st.none() | st.floats(0, 1000))
    def test_is_bounded_and_honours_the_hint(self, failures: int, hint: float | None) -> None:
        wait = RetryPolicy(first=0.5, most=20).wait(failures, hint)
        assert 0.25 <= wait <= max(20, hint or 0)
        assert hint is None or wait >= hint

from datetime import UTC, datetime, timedelta

import pytest

from weir_core.schedules.models import MissedPolicy
from weir_core.schedules.policies import MOST_MISSED, PUNCTUAL, Due, choose

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SKIP, LAST, ALL = MissedPolicy


def late(*seconds: float) -> list[Due]:
    """Fire times that came so many seconds ago."""
    return [Due(NOW - timedelta(seconds=each), NOW - timedelta(seconds=each)) for each in seconds]


@pytest.mark.parametrize(
    "policy,come,dropped,fired",
    [
        # What is a little late was not missed: each is fired.
        (SKIP, (9, 5, 0), 0, 3),
        (LAST, (9, 5, 0), 0, 3),
        (ALL, (9, 5, 0), 0, 3),
        (SKIP, (600, 300, 60), 3, 0),
        (SKIP, (600, 300, 1), 2, 1),
        (LAST, (600, 300, 60), 2, 1),
        (LAST, (600, 300, 1), 2, 1),
        (LAST, (60,), 0, 1),
        (SKIP, (60,), 1, 0),
        (ALL, (600, 300, 60), 0, 3),
        (ALL, (900, 800, 700, 600, 300, 60), 2, 4),
        (ALL, (), 0, 0),
    ],
)
def test_the_oldest_are_dropped(policy: MissedPolicy, come: tuple[float, ...], dropped: int, fired: int):
    times = [each.fire for each in late(*come)]
    choice = choose(late(*come), NOW, policy, 4, more=False)
    assert (choice.dropped, choice.fired) == (times[:dropped], times[dropped:])
    assert len(choice.fired) == fired


def test_a_delay_of_its_own_makes_nothing_late():
    fire = NOW - timedelta(hours=1)
    assert choose([Due(fire, NOW - PUNCTUAL)], NOW, SKIP, 1, more=False).fired == [fire]


@pytest.mark.parametrize("policy", MissedPolicy)
def test_of_too_many_only_what_any_policy_drops_is_dropped(policy: MissedPolicy):
    come = late(*range(MOST_MISSED + 500, 0, -1))
    choice = choose(come, NOW, policy, MOST_MISSED, more=True)
    assert (len(choice.dropped), choice.fired) == (500, [])

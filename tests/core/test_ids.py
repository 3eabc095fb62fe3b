import time
from datetime import UTC, datetime, timedelta

from weir_core.ids import first_id, instant_of, new_id


def test_ids_of_a_burst_are_in_order_and_do_not_run_ahead_of_the_clock():
    made = [new_id() for _ in range(20_000)]
    after = datetime.now(UTC)
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert instant_of(made[-1]) <= after
    assert (made[0].version, made[0].variant) == (7, "specified in RFC 4122")


def test_what_is_made_afterwards_is_later_whoever_makes_it():
    last = [new_id() for _ in range(5_000)][-1]
    time.sleep(0.002)
    assert last < first_id(datetime.now(UTC) + timedelta(milliseconds=1))

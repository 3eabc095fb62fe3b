"""Limits on tries."""

from datetime import timedelta

import pytest

from weir_core.errors import DependencyDown, RateLimited, Unauthenticated
from weir_core.users.throttle import SignInThrottle, Throttle

HOUR = timedelta(hours=1)


def fail(throttle: SignInThrottle, address: str, name: str) -> None:
    with pytest.raises(Unauthenticated), throttle.attempt(address, name):
        raise Unauthenticated("wrong")


def exhaust(throttle: SignInThrottle, address: str, name: str) -> None:
    for _ in range(8):
        fail(throttle, address, name)
    with pytest.raises(RateLimited), throttle.attempt(address, name):
        pass


class TestThrottle:
    def test_a_burst_is_allowed_and_no_more(self):
        throttle = Throttle(3, HOUR)
        for _ in range(3):
            throttle.take("a")
        with pytest.raises(RateLimited) as caught:
            throttle.take("a")
        assert timedelta(minutes=59) < caught.value.retry_after <= HOUR
        throttle.take("b")

    def test_tokens_come_back_with_time(self):
        now = [0.0]
        throttle = Throttle(2, HOUR, lambda: now[0])
        throttle.take("a")
        throttle.take("a")
        now[0] = 3599
        with pytest.raises(RateLimited) as caught:
            throttle.take("a")
        assert caught.value.retry_after == timedelta(seconds=1)
        now[0] = 3600
        throttle.take("a")

    def test_what_is_given_back_never_exceeds_the_burst(self):
        throttle = Throttle(1, HOUR)
        throttle.give_back("a")
        throttle.take("a")
        with pytest.raises(RateLimited):
            throttle.take("a")


class TestSignInThrottle:
    def test_an_outsider_locks_nobody_out(self):
        throttle = SignInThrottle()
        exhaust(throttle, "198.51.100.7", "ann")
        with throttle.attempt("203.0.113.9", "ann"):
            pass

    def test_an_address_that_tries_many_names_is_stopped(self):
        throttle = SignInThrottle()
        for number in range(40):
            fail(throttle, "198.51.100.7", f"name{number}")
        with pytest.raises(RateLimited), throttle.attempt("198.51.100.7", "another"):
            pass

    def test_a_whole_ipv6_network_is_one_address(self):
        throttle = SignInThrottle()
        exhaust(throttle, "2001:db8::1", "ann")
        with pytest.raises(RateLimited), throttle.attempt("2001:db8::ffff:2", "ann"):
            pass
        with throttle.attempt("2001:db8:0:1::1", "ann"):
            pass

    def test_what_was_nobodys_fault_is_not_counted(self):
        throttle = SignInThrottle()
        for _ in range(50):
            with pytest.raises(DependencyDown), throttle.attempt("198.51.100.7", "ann"):
                raise DependencyDown("db")

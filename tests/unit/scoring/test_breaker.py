"""A breaker opens after failures in a row and tries one call after each pause."""

from shared.scoring.breaker import Breaker
from tests.unit.clocks import ManualClock


def test_a_breaker_opens_after_failures_in_a_row_only(clock: ManualClock) -> None:
    breaker = Breaker(3, 5.0, clock)
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()


def test_an_open_breaker_lets_one_call_through_after_each_pause(clock: ManualClock) -> None:
    breaker = Breaker(1, 5.0, clock)
    breaker.failed()
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.2
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.failed()
    clock.now += 4.9
    assert not breaker.allows()
    clock.now += 0.2
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_lost_trial_call_does_not_keep_the_breaker_open(clock: ManualClock) -> None:
    breaker = Breaker(1, 5.0, clock)
    breaker.failed()
    clock.now += 5.0
    assert breaker.allows()
    clock.now += 5.0
    assert breaker.allows()

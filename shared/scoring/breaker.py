"""A circuit breaker (M. Nygard, Release It!, 2018): a service that is dead does not cost its time-out every time."""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Say whether a call is worth making.

    After `failures` in a row calls are held off for `pause` seconds. Then one call at a time goes through to see;
    the first that succeeds lets all through again.

    >>> time = iter([0.0, 1.0, 6.0, 6.0]).__next__
    >>> breaker = Breaker(1, 5.0, time)
    >>> breaker.failed()
    >>> breaker.allows(), breaker.allows(), breaker.allows()
    (False, True, False)
    """

    def __init__(self, failures: int, pause: float, clock: Callable[[], float]) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._in_a_row = 0
        self._next_try = 0.0

    def allows(self) -> bool:
        """Return whether to make this call; who makes it says how it went."""
        if self._in_a_row < self._limit:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + self._pause  # nobody else until this one is back, or is lost
        return True

    def succeeded(self) -> None:
        """Let all calls through."""
        self._in_a_row = 0

    def failed(self) -> None:
        """Count a failure; enough of them hold calls off."""
        self._in_a_row += 1
        self._next_try = self._clock() + self._pause

"""A circuit breaker (M. Nygard, Release It!, 2018), which spares calls to a dead service their time-out."""

from __future__ import annotations

from collections.abc import Callable


class Breaker:
    """Decide whether to call a service.

    After `failures` in a row, calls are skipped for `pause` seconds. Then one trial call in each pause is allowed;
    the first success allows all calls again.

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
        """Return whether to make this call; the caller reports its outcome by `succeeded` or `failed`."""
        if self._in_a_row < self._limit:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + self._pause  # one trial a pause, as its outcome may never come
        return True

    def succeeded(self) -> None:
        """Allow all calls."""
        self._in_a_row = 0

    def failed(self) -> None:
        """Count a failure; `failures` of them in a row start a pause."""
        self._in_a_row += 1
        self._next_try = self._clock() + self._pause

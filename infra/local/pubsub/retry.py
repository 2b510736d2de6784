"""Delays before an unacknowledged message is delivered again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that doubles with each failed attempt, from `minimum` to `maximum` seconds.

    >>> [Backoff(0.5, 3.0).delay(attempts) for attempts in (1, 2, 3, 4)]
    [0.5, 1.0, 2.0, 3.0]
    """

    minimum: float
    maximum: float

    def delay(self, attempts: int) -> float:
        """Return the delay after a number of failed attempts (1 or more), in seconds."""
        # The exponent is bounded, as 2.0 to a large power overflows.
        return min(self.maximum, self.minimum * 2.0 ** min(attempts - 1, 64))


IMMEDIATELY = Backoff(0.0, 0.0)
# Production's push back-off without a retry policy: https://cloud.google.com/pubsub/docs/push#push_backoff
PUSH_DEFAULT = Backoff(0.1, 60.0)

"""Something that goes wrong for a while: a line when it begins and a line when it is over, not one for each batch."""

from __future__ import annotations

import logging
from collections.abc import Callable

QUIET_SECONDS = 5.0
"""What comes back sooner is the same incident; otherwise one that comes and goes would fill the log."""


class Incident:
    """Say once that `message` begins, and how often it happened once it has not for QUIET_SECONDS.

    Where nobody calls `over`, the next time says so first.
    """

    def __init__(self, log: logging.Logger, message: str, clock: Callable[[], float]) -> None:
        self._log = log
        self._message = message
        self._clock = clock
        self._began: float | None = None
        self._latest = 0.0
        self._times = 0

    def happened(self, times: int = 1, error: BaseException | None = None, **fields: object) -> None:
        """Count it; the first time says so, with `fields` and the stack of `error`."""
        self.over()
        self._latest = self._clock()
        self._times += times
        if self._began is None:
            self._began = self._latest
            self._log.error(self._message, extra={"fields": fields}, exc_info=error)

    def over(self) -> None:
        """Say that it is over, if it was on and has been quiet for long enough; cheap where nothing was wrong."""
        if self._began is None or self._clock() - self._latest < QUIET_SECONDS:
            return
        fields = {"times": self._times, "seconds": round(self._latest - self._began, 1)}
        self._log.warning(f"{self._message}: over", extra={"fields": fields})
        self._began, self._times = None, 0

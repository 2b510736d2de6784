"""Incidents: one line in the log when a failure begins and one when it is over, instead of one for each batch."""

from __future__ import annotations

import logging
from collections.abc import Callable

QUIET_SECONDS = 5.0
"""Time without a failure after which an incident is over; without it, an intermittent failure would flood the log."""


class Incident:
    """Log `message` when it begins to happen, and its count once it has not happened for QUIET_SECONDS.

    If `resolve` is never called, the next `trigger` after that time closes the incident and opens another.
    """

    def __init__(self, log: logging.Logger, message: str, clock: Callable[[], float]) -> None:
        self._log = log
        self._message = message
        self._clock = clock
        self._began: float | None = None
        self._latest = 0.0
        self._times = 0

    def trigger(self, times: int = 1, error: BaseException | None = None, **fields: object) -> None:
        """Count a failure; the first of an incident is logged, with `fields` and the stack of `error`."""
        self.resolve()
        self._latest = self._clock()
        self._times += times
        if self._began is None:
            self._began = self._latest
            self._log.error(self._message, extra={"fields": fields}, exc_info=error)

    def resolve(self) -> None:
        """End the incident, if there is one and its quiet time has passed; cheap otherwise."""
        if self._began is None or self._clock() - self._latest < QUIET_SECONDS:
            return
        fields = {"times": self._times, "seconds": round(self._latest - self._began, 1)}
        self._log.warning(f"{self._message}: over", extra={"fields": fields})
        self._began, self._times = None, 0

"""History behind a circuit breaker, so that a store that is away does not slow every batch down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from shared.contract.event import Event
from shared.errors import Unavailable
from shared.ports import UNCOUNTED, Claim, History, Observations
from shared.scoring.breaker import Breaker
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import HISTORY, Metrics

log = logging.getLogger(__name__)

FAILURES = 4
"""In a row: as many as batches are in flight, which one slow moment fails together."""


class GuardedHistory:
    """`shared.ports.History` over another that may be away; after FAILURES it is left alone for `pause` seconds."""

    def __init__(self, history: History, pause: float, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._history = history
        self._breaker = Breaker(FAILURES, pause, clock)
        self._metrics = metrics
        self._incident = Incident(log, "history unavailable", clock)
        self._emptied = Incident(log, "history empty", clock)

    async def observe(self, events: Sequence[Event], claim: Claim) -> Observations:
        """Read and count, or raise Unavailable, at once while the store is known to be away."""
        if not self._breaker.allows():
            self._away("skipped", len(events), "the store was away a moment ago")
            raise Unavailable("the store of history was away a moment ago")
        try:
            seen = await self._history.observe(events, claim)
        except Unavailable as error:
            self._breaker.failed()
            self._away("failed", len(events), str(error))
            raise
        self._breaker.succeeded()
        self._incident.resolve()
        self._note(int(np.count_nonzero(seen.sequence == UNCOUNTED)))
        return seen

    def _note(self, uncounted: int) -> None:
        """Tell of a store that answers and knows nothing, which lasts until somebody fills it."""
        if uncounted:
            self._emptied.trigger(uncounted, reason="fill it: python -m jobs.replay tables --state")
        else:
            self._emptied.resolve()
        self._metrics.add(HISTORY, 1, "empty" if uncounted else "answered")

    def _away(self, outcome: str, transactions: int, reason: str) -> None:
        self._metrics.add(HISTORY, 1, outcome)
        self._incident.trigger(transactions, reason=reason)

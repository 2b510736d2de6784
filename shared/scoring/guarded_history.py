"""History behind a circuit breaker, so that an unavailable store does not slow down every batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from shared.errors import Unavailable
from shared.features.columns import Events
from shared.features.life import UNCOUNTED
from shared.ports.history import Answer, Changed, Changes, ChangingHistory, Claim, History, Observations
from shared.scoring.breaker import Breaker
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import HISTORY, Metrics

log = logging.getLogger(__name__)

Returned = TypeVar("Returned")

FAILURES = 4
"""Failures in a row, as many as there are batches in flight: one slow moment of the store fails them together."""


class ScoringHistory(History, ChangingHistory, Protocol):
    """The history of the score function, which also writes decisions into lives."""


class GuardedHistory:
    """A `ScoringHistory` that skips another one for `pause` seconds after FAILURES in a row."""

    def __init__(self, history: ScoringHistory, pause: float, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._history = history
        self._breaker = Breaker(FAILURES, pause, clock)
        self._metrics = metrics
        self._incident = Incident(log, "history unavailable", clock)
        self._emptied = Incident(log, "history empty", clock)

    async def observe(self, events: Events, claim: Claim) -> Observations:
        """Read and count. Raises Unavailable, without a call during a pause of the breaker."""
        seen = await self._guarded(self._history.observe(events, claim), len(events))
        self._note(int(np.count_nonzero(seen.sequence == UNCOUNTED)))
        return seen

    def stored(self, rows: Iterable[tuple[str, str]]) -> None:
        """Note that rows are stored."""
        self._history.stored(rows)

    async def answer(self, answers: Sequence[Answer]) -> None:
        """Keep first decisions. Raises Unavailable, without a call during a pause of the breaker."""
        await self._guarded(self._history.answer(answers), len(answers))

    async def prolong(self, end_to_end_ids: Sequence[str]) -> None:
        """Keep lives of Pix. Raises Unavailable, without a call during a pause of the breaker."""
        await self._guarded(self._history.prolong(end_to_end_ids), len(end_to_end_ids))

    async def keep_reads(self) -> None:
        """Wait until reads are kept that decisions rest on. Raises Unavailable."""
        await self._history.keep_reads()

    async def settle(self) -> None:
        """Wait until the rows that are stored are noted. Raises Unavailable."""
        await self._history.settle()

    async def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return stored values. Raises Unavailable, without a call during a pause of the breaker."""
        return await self._guarded(self._history.find(keys), len(keys))

    async def visited(self, changes: Sequence[tuple[str, int]]) -> list[tuple[int, ...]]:
        """Return places on other shards. Raises Unavailable, without a call during a pause of the breaker."""
        return await self._guarded(self._history.visited(changes), len(changes))

    async def change(self, changes: Changes) -> Changed:
        """Change stored values. Raises Unavailable, without a call during a pause of the breaker."""
        return await self._guarded(self._history.change(changes), len(changes.keys))

    async def _guarded(self, call: Coroutine[Any, Any, Returned], transactions: int) -> Returned:
        if not self._breaker.allows():
            call.close()
            self._away("skipped", transactions, "the store was away a moment ago")
            raise Unavailable("the store of history was away a moment ago")
        try:
            answer = await call
        except Unavailable as error:
            self._breaker.failed()
            self._away("failed", transactions, str(error))
            raise
        self._breaker.succeeded()
        self._incident.resolve()
        return answer

    def _note(self, uncounted: int) -> None:
        """Report a store that answers but is empty, until an operator fills it."""
        if uncounted:
            self._emptied.trigger(uncounted, reason="jobs.repair fills it")
        else:
            self._emptied.resolve()
        self._metrics.add(HISTORY, 1, "empty" if uncounted else "answered")

    def _away(self, outcome: str, transactions: int, reason: str) -> None:
        self._metrics.add(HISTORY, 1, outcome)
        self._incident.trigger(transactions, reason=reason)

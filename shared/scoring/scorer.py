"""Score a batch: history, features, model, decision, row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import ScoreRow
from shared.errors import Malformed, PixError, Unavailable
from shared.features.columns import Events
from shared.features.history import READ_WIDTH
from shared.features.vector import feature_matrix
from shared.ports import STORED, UNCOUNTED, Claim, History
from shared.scoring.bundle import Bundle
from shared.scoring.champion import Champion
from shared.scoring.policy import Decisions, decide
from shared.scoring.rules import Rules
from shared.telemetry.metrics import DECISIONS, LATE, SCORED, STAGE, Metrics

NO_HISTORY = "NO_HISTORY"
NO_MODEL = "NO_MODEL"


class Delivery(NamedTuple):
    """An event and the time at which Pub/Sub received its message (microseconds)."""

    event: Event
    published_at: int | None


class Scorer:
    """Turn deliveries into rows of `pix.score_events`; a redelivery gives the same row again.

    It always returns a decision; missing inputs are recorded in the row, which is then `degraded`:

    full        history and model
    no history  reason NO_HISTORY: rules and model decide on the message alone. A model trained with history then
                raises too few alerts rather than too many: in the simulated world a twentieth of its usual alerts,
                86 % of them right against 50 %, among them frauds that no rule finds.
    rules only  reason NO_MODEL, with NO_HISTORY if that is missing too: score and model_version are NULL.

    Two kinds of deliveries have no row: another message under a taken id (Malformed), and one that was decided by a
    model that is not available at the moment (Unavailable), as another model might decide differently.
    """

    def __init__(
        self,
        history: History,
        champion: Champion,
        rules: Rules,
        now: Callable[[], int],
        deadline_seconds: float,
        hmac_key_version: int,
        metrics: Metrics,
    ) -> None:
        self._history = history
        self._champion = champion
        self._rules = rules
        self._now = now
        self._deadline = deadline_seconds * 1e6
        self._hmac_key_version = hmac_key_version
        self._metrics = metrics

    async def score(self, deliveries: Sequence[Delivery]) -> list[ScoreRow | PixError | None]:
        """Return the row of each delivery, or the error that prevents it; None if its row is stored already."""
        self._champion.look_if_due()
        bundle = self._champion.current
        own = Claim(bundle.version if bundle else None, self._now(), self._hmac_key_version)
        events = Events(delivery.event for delivery in deliveries)
        times = [perf_counter()]
        seen = await self._observe(events, own)
        times.append(perf_counter())
        features = feature_matrix(events.columns, seen.reads)
        times.append(perf_counter())
        outcome, errors = self._decide(features, seen, own, bundle)
        errors |= {int(i): Malformed("end_to_end_id_taken", "end_to_end_id") for i in np.flatnonzero(seen.taken)}
        rows = [errors.get(i, row) for i, row in enumerate(self._rows(deliveries, features, outcome, seen))]
        times.append(perf_counter())
        self._count([row for row in rows if isinstance(row, ScoreRow)], times)
        return rows

    async def _observe(self, events: Events, own: Claim) -> _Seen:
        """Return the reads of history, all missing if the store is unavailable."""
        try:
            seen = await self._history.observe(events, own)
        except Unavailable:
            reads = np.full((len(events), READ_WIDTH), np.nan, dtype=np.float32)
            return _Seen(reads, [own] * len(events), [None] * len(events), np.zeros(len(events), dtype=bool))
        sequence = [None if n == UNCOUNTED else n for n in seen.sequence.tolist()]
        return _Seen(seen.reads, seen.claims, sequence, seen.taken)

    def _decide(
        self, features: NDArray[np.float32], seen: _Seen, own: Claim, bundle: Bundle | None
    ) -> tuple[Decisions, dict[int, PixError]]:
        """Decide each transaction by the model of its first claim; return errors by index where it is unavailable."""
        versions = [claim.model_version for claim in seen.claims]
        if all(version == own.model_version for version in versions):
            return decide(features, self._rules, bundle), {}
        merged = Decisions([None] * len(versions), [""] * len(versions), [[] for _ in versions])
        errors: dict[int, PixError] = {}
        for version in set(versions):
            rows = [i for i, v in enumerate(versions) if v == version]
            try:
                model = bundle if version == own.model_version else self._version(version)
            except Unavailable as error:
                errors |= dict.fromkeys(rows, error)
                continue
            part = decide(features[rows], self._rules, model)
            for k, i in enumerate(rows):
                merged.scores[i], merged.decisions[i], merged.reasons[i] = (
                    part.scores[k],
                    part.decisions[k],
                    part.reasons[k],
                )
        return merged, errors

    def _version(self, name: str | None) -> Bundle | None:
        return None if name is None else self._champion.version(name)

    def _rows(
        self, deliveries: Sequence[Delivery], features: NDArray[np.float32], outcome: Decisions, seen: _Seen
    ) -> list[ScoreRow | None]:
        rows: list[ScoreRow | None] = []
        for i, (event, published_at) in enumerate(deliveries):
            score, reasons, claim, sequence = outcome.scores[i], outcome.reasons[i], seen.claims[i], seen.sequence[i]
            if sequence == STORED:
                rows.append(None)
                continue
            if sequence is None:
                reasons.append(NO_HISTORY)
            if score is None:
                reasons.append(NO_MODEL)
            rows.append(
                ScoreRow(
                    event=event,
                    scored_at=claim.scored_at,
                    score=score,
                    decision=outcome.decisions[i],
                    reasons=reasons,
                    model_version=claim.model_version if score is not None else None,
                    late=claim.scored_at - event.initiated_at > self._deadline,
                    degraded=score is None or sequence is None,
                    hmac_key_version=self._hmac_key_version,
                    history_sequence=sequence,
                    published_at=published_at,
                    features=features[i],
                )
            )
        return rows

    def _count(self, rows: Sequence[ScoreRow], times: Sequence[float]) -> None:
        metrics = self._metrics
        for stage, began, ended in zip(("state", "features", "model"), times, times[1:], strict=False):
            metrics.record(STAGE, ended - began, stage)
        for step, n in Counter(map(_step, rows)).items():
            metrics.add(SCORED, n, step)
        for decision, n in Counter([row.decision for row in rows]).items():
            metrics.add(DECISIONS, n, decision)
        if late := sum(row.late for row in rows):
            metrics.add(LATE, late)


class _Seen(NamedTuple):
    """Answers of history about n transactions: reads [n, READ_WIDTH], the first claims, the sequence numbers (None:
    not counted), and flags of taken ids [n].
    """

    reads: NDArray[np.float32]
    claims: list[Claim]
    sequence: list[int | None]
    taken: NDArray[np.bool_]


def _step(row: ScoreRow) -> str:
    if row.score is None:
        return "rules_only"
    return "full" if row.history_sequence is not None else "no_history"

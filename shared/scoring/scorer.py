"""Score a batch: history, features, model, decision, row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import ScoreRow
from shared.errors import Unavailable
from shared.features.columns import Columns
from shared.features.history import READ_WIDTH
from shared.features.vector import feature_matrix
from shared.ports import Claim, History, Observations
from shared.scoring.bundle import Bundle
from shared.scoring.champion import Champion
from shared.scoring.policy import Outcome, decide
from shared.scoring.rules import Rules

log = logging.getLogger(__name__)

NO_HISTORY = "NO_HISTORY"
NO_MODEL = "NO_MODEL"


class Delivery(NamedTuple):
    """An event and when Pub/Sub took its message (microseconds)."""

    event: Event
    published_at: int | None


class Scorer:
    """Turn deliveries into rows of `pix.score_events`; a delivery seen before gives the same row again."""

    def __init__(
        self,
        history: History,
        champion: Champion,
        rules: Rules,
        now: Callable[[], int],
        deadline_seconds: float,
        hmac_key_version: int,
    ) -> None:
        self._history = history
        self._champion = champion
        self._rules = rules
        self._now = now
        self._deadline = deadline_seconds * 1e6
        self._hmac_key_version = hmac_key_version

    async def score(self, deliveries: Sequence[Delivery]) -> list[ScoreRow]:
        """Return one row for each delivery. It does not fail for want of model or history: rules decide alone."""
        self._champion.look_if_due()
        bundle = self._champion.current
        own = Claim(bundle.version if bundle else None, self._now())
        events = [delivery.event for delivery in deliveries]
        try:
            seen = await self._history.observe(events, own)
        except Unavailable as error:
            log.error("history unavailable", extra={"fields": {"reason": str(error), "transactions": len(events)}})
            return self._without_history(deliveries, own)
        features = feature_matrix(Columns.of(events), seen.reads)
        outcome = await self._decide(features, seen, own, bundle)
        return self._rows(deliveries, features, outcome, seen.claims, seen.sequence.tolist())

    async def _decide(
        self, features: NDArray[np.float32], seen: Observations, own: Claim, bundle: Bundle | None
    ) -> Outcome:
        """Decide each transaction by the model that claimed it first."""
        versions = [claim.model_version for claim in seen.claims]
        if all(version == own.model_version for version in versions):
            return decide(features, self._rules, bundle)
        merged = Outcome([None] * len(versions), [""] * len(versions), [[] for _ in versions])
        for version in set(versions):
            places = [i for i, v in enumerate(versions) if v == version]
            part = decide(features[places], self._rules, await self._champion.version(version) if version else None)
            for k, i in enumerate(places):
                merged.scores[i], merged.decisions[i], merged.reasons[i] = (
                    part.scores[k],
                    part.decisions[k],
                    part.reasons[k],
                )
        return merged

    def _without_history(self, deliveries: Sequence[Delivery], own: Claim) -> list[ScoreRow]:
        """Decide by rules on the message alone."""
        reads = np.full((len(deliveries), READ_WIDTH), np.nan, dtype=np.float32)
        features = feature_matrix(Columns.of([d.event for d in deliveries]), reads)
        outcome = decide(features, self._rules, bundle=None)
        for reasons in outcome.reasons:
            reasons.append(NO_HISTORY)
        claims = [Claim(None, own.scored_at)] * len(deliveries)
        return self._rows(deliveries, features, outcome, claims, [None] * len(deliveries))

    def _rows(
        self,
        deliveries: Sequence[Delivery],
        features: NDArray[np.float32],
        outcome: Outcome,
        claims: Sequence[Claim],
        sequence: Sequence[int | None],
    ) -> list[ScoreRow]:
        rows = []
        for i, (event, published_at) in enumerate(deliveries):
            score, claim = outcome.scores[i], claims[i]
            if score is None and sequence[i] is not None:
                outcome.reasons[i].append(NO_MODEL)
            rows.append(
                ScoreRow(
                    event=event,
                    scored_at=claim.scored_at,
                    score=score,
                    decision=outcome.decisions[i],
                    reasons=outcome.reasons[i],
                    model_version=claim.model_version if score is not None else None,
                    late=claim.scored_at - event.initiated_at > self._deadline,
                    degraded=score is None,
                    hmac_key_version=self._hmac_key_version,
                    history_sequence=sequence[i],
                    published_at=published_at,
                    features=features[i],
                )
            )
        return rows

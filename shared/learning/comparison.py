"""Measure challenger and incumbent on the same untouched last period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.costs import losses
from shared.learning.dataset import Dataset
from shared.learning.evaluate import Evaluation, evaluate
from shared.learning.gate import Contender
from shared.learning.policy import decisions
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Rules

TRAINED_UNTIL = "trained_until"  # metric of a manifest: time of the last training example, seconds since the epoch
RULES_ALONE = "the rules alone"
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class TestPeriod:
    """The last period: served vectors [n, F], labels and amounts [n], what rules decide [n], costs [n, 3]."""

    features: NDArray[np.float32]
    fraud: NDArray[np.bool_]
    amount: NDArray[np.float64]
    by_rule: NDArray[np.int8]
    losses: NDArray[np.float64]
    alert_share: float

    @classmethod
    def of(cls, data: Dataset, period: slice, rules: Rules, config: Config) -> TestPeriod:
        """Return a period of the data set with what rules and costs say of it."""
        features = np.ascontiguousarray(data.features[period])
        fraud, amount = data.fraud[period], data.amount[period]
        by_rule, _ = rules.apply(features)
        return cls(features, fraud, amount, by_rule, losses(fraud, amount, config.costs), config.alert_share)

    def scores(self, bundle: Bundle) -> NDArray[np.float64]:
        """Return the served scores [n]."""
        starts = range(0, len(self.features), _CHUNK)
        return np.concatenate([bundle.score(self.features[start : start + _CHUNK]) for start in starts])

    def model(self, bundle: Bundle) -> Contender:
        """Return a bundle's figures, its decisions being taken with the rules as they are when it serves."""
        scores = self.scores(bundle)
        figures = self._evaluate(scores, decisions(scores, bundle.thresholds, self.by_rule))
        return Contender(bundle.version, figures, bundle.manifest.metrics.get(TRAINED_UNTIL))

    def rules(self) -> Contender:
        """Return the figures of rules without a model; their severity serves as the score."""
        return Contender(RULES_ALONE, self._evaluate(self.by_rule / 2.0, self.by_rule), None)

    def _evaluate(self, scores: NDArray[np.float64], decided: NDArray[np.int8]) -> Evaluation:
        return evaluate(scores, decided, self.fraud, self.amount, self.losses, self.alert_share)

"""The candidate models and features: chosen on the validation folds, then fitted on the test folds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.split import DAY
from shared.learning.specs.search import LEAVES_MAX
from shared.learning.training.train import LabelledRows, drawn_rows, fit, raw_scores
from tests.benchmarks.handbook.protocol import Figures, Fold, Rows, Stream, figures, fold, mean

HABIT = (
    *("amount", "amount_to_payer_mean_30d", "payer_mean_30d", "payer_mean_rise_7d", "payer_square_rise_7d"),
    *("payee_frauds_known", "payee_fraud_age", "payee_since_fraud", "payee_since_cleared"),
    *("payee_cleared_before_frauds", "payee_cleared_before_last_fraud", "payee_fraud_share_7d"),
)
"""The amount relative to the payer's habit, and the verdicts on the payee."""
WIDER = (
    *HABIT,
    *("amount_z_30d", "amount_z_7d", "amount_to_payer_mean_7d", "payer_mean_rise_1d", "payer_square_rise_1d"),
    *("payee_fraud_share_1d", "payee_fraud_share_30d", "payee_frauds_1d", "payee_frauds_7d", "payee_frauds_30d"),
)
AMOUNTS = (
    *WIDER,
    *("amount_log", "amount_to_payer_mean_1h", "amount_to_payer_mean_1d", "amount_z_1h", "amount_z_1d"),
    *("amount_log_z", "amount_to_largest", "payer_mean_7d", "payer_amount_burst", "payer_sent_amount_1d"),
    *("payer_sent_amount_30d", "amount_to_payee_mean_7d", "amount_to_payee_mean_30d", "amount_payee_z_7d"),
    *("amount_payee_z_30d", "amount_to_pair_mean"),
)
"""The amount relative to all that payer, payee and both have paid, too."""
# Without the payer's mean: over months it nearly identifies the payer, and defrauded payers are not tested.
RATIOS = (*(name for name in HABIT if name != "payer_mean_30d"), "amount_z_30d", "amount_to_payer_mean_7d")


class Candidate(NamedTuple):
    """Features and parameters for the product's gradient boosting."""

    name: str
    features: tuple[str, ...]
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Regime:
    """A choice of training rows, and the candidates to try on them."""

    name: str
    since: int | None
    """First day of training, since FIRST_DAY; None: that of the book."""
    per_fraud: float
    """Legitimate rows drawn for each fraud, of its week."""
    candidates: tuple[Candidate, ...]

    def rows(self, stream: Stream, period: Fold) -> Rows:
        """Return the training rows [m] of a fold."""
        at = stream.day[period.train] * np.int64(DAY)
        return period.train[drawn_rows(at, stream.fraud[period.train], self.per_fraud, seed=0).rows]


_WARM_UP = 21  # days until history has habits and verdicts


def _boosting(trees: int, leaves: int, fewest: int, share: float, **more: float) -> dict[str, Any]:
    return {
        "max_iter": trees,
        "max_leaf_nodes": leaves,
        "min_samples_leaf": fewest,
        "max_features": share,
        "learning_rate": 0.05,
        "l2_regularization": 5.0,
        **more,
    }


WEEK_ONLY = Regime(
    "same 7 days as the book",
    None,
    math.inf,
    (
        Candidate("habit, 8 leaves", HABIT, _boosting(150, 8, 30, 0.5)),
        Candidate("habit, 4 leaves", HABIT, _boosting(250, 4, 30, 0.5)),
        Candidate("habit, 15 leaves", HABIT, _boosting(150, 15, 30, 0.5)),
        Candidate("wider, 8 leaves", WIDER, _boosting(150, 8, 30, 0.4)),
        Candidate("amounts, 8 leaves", AMOUNTS, _boosting(150, 8, 30, 0.2)),
    ),
)
ALL_HISTORY = Regime(
    "all days, drawn as the product draws",
    _WARM_UP,
    20.0,
    (
        Candidate("habit", HABIT, _boosting(300, LEAVES_MAX, 40, 0.5)),
        Candidate("ratios, smooth", RATIOS, _boosting(300, LEAVES_MAX, 200, 0.5, l2_regularization=30.0)),
        Candidate(
            "ratios, slow",
            RATIOS,
            _boosting(250, LEAVES_MAX, 200, 0.3, l2_regularization=30.0, learning_rate=0.03),
        ),
    ),
)


class Outcome(NamedTuple):
    """Figures of one candidate for each fold, and the total seconds of fitting."""

    folds: tuple[Figures, ...]
    fitting: float

    @property
    def mean(self) -> Figures:
        """Return the mean over folds."""
        return mean(list(self.folds))


@dataclass(frozen=True, slots=True)
class Bench:
    """The stream with its feature vectors [n, F]; `fitted` is called after each model."""

    stream: Stream
    features: NDArray[np.float32]
    fitted: Callable[[], None]

    def run(self, regime: Regime, candidate: Candidate, starts: Sequence[date]) -> Outcome:
        """Fit and test a candidate on the folds whose training weeks begin on `starts`."""
        columns = np.array([FEATURE_NAMES.index(name) for name in candidate.features])
        results, seconds = [], 0.0
        for start in starts:
            period = fold(self.stream, start, regime.since)
            rows = regime.rows(self.stream, period)
            train = LabelledRows(self.features[rows[:, None], columns], self.stream.fraud[rows])
            began = time.perf_counter()
            model = fit("hist_gradient_boosting", candidate.params, train, seed=0)
            seconds += time.perf_counter() - began
            scores = raw_scores(model, self.features[period.test[:, None], columns])
            results.append(figures(self.stream, period.test, scores))
            self.fitted()
        return Outcome(tuple(results), seconds)

    def choose(self, regime: Regime, starts: Sequence[date]) -> tuple[Candidate, dict[str, Outcome]]:
        """Return the candidate with the largest sum of the three figures, and the outcomes of all by name."""
        tried = {candidate.name: self.run(regime, candidate, starts) for candidate in regime.candidates}
        best = max(regime.candidates, key=lambda candidate: sum(tried[candidate.name].mean))
        return best, tried

"""Choose the probabilities from which a Pix is held or rejected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import CostSpec
from shared.learning.data.split import DAY
from shared.learning.training.costs import with_rules
from shared.scoring.bundle import Thresholds
from shared.scoring.rules import Decision

NEVER = 2.0  # a probability that no score reaches
_STEPS = 400
_LEAST = 1e-9


def holds_max(weight: NDArray[np.float64], initiated_at: NDArray[np.int64], spec: CostSpec) -> float:
    """Return how many Pix of a period may be held: a share of all, and no more than reviewers can do in its days.

    >>> spec = CostSpec(0.1, 0.8, 5, 1, friction_reject=20, review_share_max=0.01, reviews_per_day_max=9)
    >>> holds_max(np.full(1000, 2.0), np.linspace(0, 2 * DAY, 1000).astype(np.int64), spec)
    18.0
    """
    return min(spec.review_share_max * float(weight.sum()), spec.reviews_per_day_max * days(initiated_at))


def days(initiated_at: NDArray[np.int64]) -> float:
    """Return how many days the rows span, at times [n] in microseconds."""
    return float(np.ptp(initiated_at)) / DAY


def choose_thresholds(
    scores: NDArray[np.float64],
    losses: NDArray[np.float64],
    by_rule: NDArray[np.int8],
    weight: NDArray[np.float64],
    holds: float,
) -> Thresholds:
    """Return the thresholds of least total cost with which no more than `holds` Pix are held.

    `scores` [n] are calibrated, `losses` [n, 3] the costs of APPROVE, HOLD, REJECT, `by_rule` [n] what rules ask for.
    What rules hold counts, too; if that alone is more than `holds`, the model may hold as many and no more. Cost and
    number of holds separate into functions of either threshold, so all pairs of up to 400 candidates are compared at
    once.
    """
    order = np.argsort(-scores, kind="stable")
    grid, counts = _candidates(scores[order])
    held = with_rules(np.tile([0.0, 1.0, 0.0], (len(scores), 1)), by_rule)
    cost = _totals(with_rules(losses, by_rule)[order], weight[order], counts)
    number = _totals(held[order], weight[order], counts)
    most = max(holds, number[0, 0]) * (1 + 1e-12)  # sums in another order differ in the last digits
    cost[(number > most) | (counts[:, None] < counts[None, :])] = np.inf
    hold, reject = np.unravel_index(np.argmin(cost), cost.shape)
    return Thresholds(hold=float(grid[hold]), reject=float(grid[reject]))


def decisions(scores: NDArray[np.float64], thresholds: Thresholds, by_rule: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the severer of what model and rules ask for: 0 approve, 1 hold, 2 reject, int8 [n]."""
    by_model = (scores >= thresholds.hold).astype(np.int8) + (scores >= thresholds.reject)
    return np.maximum(by_model, by_rule).astype(np.int8)


def _totals(table: NDArray[np.float64], weight: NDArray[np.float64], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the weighted total over all rows for each pair of thresholds, float64 [hold, reject].

    `table` [n, 3] has the value of each decision, rows by falling score; `counts` says how many reach a threshold.
    """
    weighted = table * weight[:, None]
    sums = np.vstack([np.zeros(3), np.cumsum(weighted, axis=0)])[counts]
    held_rather_than_approved = sums[:, Decision.HOLD] - sums[:, Decision.APPROVE]
    rejected_rather_than_held = sums[:, Decision.REJECT] - sums[:, Decision.HOLD]
    return np.asarray(
        weighted[:, Decision.APPROVE].sum() + held_rather_than_approved[:, None] + rejected_rather_than_held[None, :]
    )


def _candidates(descending: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return thresholds, dense where scores are high, and how many scores reach each."""
    ranks = np.unique(np.geomspace(1, len(descending), _STEPS).astype(np.intp)) - 1
    grid = np.unique(descending[ranks])[::-1]
    grid = np.concatenate([[NEVER], grid[grid > _LEAST]])
    return grid, np.searchsorted(-descending, -grid, side="right")

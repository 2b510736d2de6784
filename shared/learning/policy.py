"""Choose the probabilities from which a Pix is held or rejected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.scoring.bundle import Thresholds

NEVER = 2.0  # a probability that no score reaches
_STEPS = 400
_LEAST = 1e-9


def choose_thresholds(
    scores: NDArray[np.float64], losses: NDArray[np.float64], review_share_max: float
) -> Thresholds:
    """Return the thresholds of least total cost that hold no more than `review_share_max` of all Pix.

    `scores` [n] are calibrated, `losses` [n, 3] the costs of APPROVE, HOLD, REJECT. Cost separates into a function of
    either threshold, so all pairs of up to 400 candidates are compared at once.
    """
    order = np.argsort(-scores, kind="stable")
    grid, counts = _candidates(scores[order])
    sums = np.vstack([np.zeros(3), np.cumsum(losses[order], axis=0)])[counts]
    held_rather_than_approved = sums[:, 1] - sums[:, 0]
    rejected_rather_than_held = sums[:, 2] - sums[:, 1]
    total = held_rather_than_approved[:, None] + rejected_rather_than_held[None, :]
    held = counts[:, None] - counts[None, :]
    total[(held < 0) | (held > review_share_max * len(scores))] = np.inf
    hold, reject = np.unravel_index(np.argmin(total), total.shape)
    return Thresholds(hold=float(grid[hold]), reject=float(grid[reject]))


def decisions(scores: NDArray[np.float64], thresholds: Thresholds, by_rule: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the severer of what model and rules ask for: 0 approve, 1 hold, 2 reject, int8 [n]."""
    by_model = (scores >= thresholds.hold).astype(np.int8) + (scores >= thresholds.reject)
    return np.maximum(by_model, by_rule).astype(np.int8)


def _candidates(descending: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return thresholds, dense where scores are high, and how many scores reach each."""
    ranks = np.unique(np.geomspace(1, len(descending), _STEPS).astype(np.intp)) - 1
    grid = np.unique(descending[ranks])[::-1]
    grid = np.concatenate([[NEVER], grid[grid > _LEAST]])
    return grid, np.searchsorted(-descending, -grid, side="right")

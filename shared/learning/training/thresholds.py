"""Choose the probabilities of fraud from which a Pix is held or rejected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.data.label_chance import effective
from shared.learning.data.split import DAY
from shared.learning.specs.gate import CostSpec, SideCosts
from shared.learning.training.costs import decision_costs, with_rules
from shared.scoring.rules import Decision
from shared.scoring.thresholds import OFF, SideThresholds, Thresholds

_STEPS = 400  # most candidates for either threshold
_THRESHOLD_MIN = 1e-9  # a threshold of 0 would stop every Pix
_SHOWN = 3  # frauds that show a rate; an interval of the rate of fewer reaches down to almost none
_HEADROOM = 0.7  # of the ceilings on rejects, as the period of the gate and traffic differ from this one


class ThresholdRows(NamedTuple):
    """Rows to choose thresholds on, each [n].

    `scores` are calibrated, `amount` is in BRL, `initiated_at` in microseconds, `weight` the Pix that a row stands
    for; `by_rule` are the decisions of the rules, `payees` is true on the payee's side.
    """

    scores: NDArray[np.float64]
    fraud: NDArray[np.bool_]
    amount: NDArray[np.float64]
    initiated_at: NDArray[np.int64]
    weight: NDArray[np.float64]
    by_rule: NDArray[np.int8]
    payees: NDArray[np.bool_]

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> ThresholdRows:
        """Return some of the rows, by a mask or by their indexes."""
        return ThresholdRows._make(column[chosen] for column in self)


def thresholds_by_side(rows: ThresholdRows, costs: SideCosts, frauds_min: int) -> SideThresholds:
    """Return the thresholds of least expected cost of each side, by its own costs and review budget.

    They are chosen on the rows of the side if these have `frauds_min` frauds, of equal weight, and as many legitimate
    Pix, else on all.
    """

    def chosen(own: ThresholdRows, spec: CostSpec) -> Thresholds:
        frauds, legitimate = effective(own.weight[own.fraud]), float(np.count_nonzero(~own.fraud))
        used = own if min(frauds, legitimate) >= frauds_min else rows
        return choose_thresholds(used, spec)

    return SideThresholds(
        payer=chosen(rows.at(~rows.payees), costs.payer), payee=chosen(rows.at(rows.payees), costs.payee)
    )


def holds_max(weight: NDArray[np.float64], initiated_at: NDArray[np.int64], spec: CostSpec) -> float:
    """Return the review budget of a period, in Pix: the smaller of a share of all and the reviewers' capacity.

    >>> spec = CostSpec(0.1, 0.8, 5, 1, 0.01, 20, 0.1, 0.002, 0.3, review_share_max=0.01, reviews_per_day_max=9)
    >>> holds_max(np.full(1000, 2.0), np.linspace(0, 2 * DAY, 1000).astype(np.int64), spec)
    18.0
    """
    return min(spec.review_share_max * float(weight.sum()), spec.reviews_per_day_max * days(initiated_at))


def review_budget(
    weight: NDArray[np.float64], initiated_at: NDArray[np.int64], payees: NDArray[np.bool_], costs: SideCosts
) -> float:
    """Return the review budget of a period in Pix, both sides together; `payees` [n] is true on the payee's side."""
    sides = ((payees, costs.payee), (~payees, costs.payer))
    return sum(holds_max(weight[rows], initiated_at[rows], spec) for rows, spec in sides if rows.any())


def days(initiated_at: NDArray[np.int64]) -> float:
    """Return the time span of rows in days, from times [n] in microseconds."""
    return float(np.ptp(initiated_at)) / DAY


def choose_thresholds(rows: ThresholdRows, spec: CostSpec) -> Thresholds:
    """Return the thresholds of least expected cost within the review budget and the ceilings on rejects.

    Holds by rules count; if they alone exceed the review budget, they are the budget. The total cost is a sum of one
    function of each threshold, and so is the number of holds: all pairs of up to 400 candidates are compared at once.
    No threshold is below `least_shown`.
    """
    order = np.argsort(-rows.scores, kind="stable")
    rows = rows.at(order)
    grid, counts = _candidates(rows.scores, least_shown(rows.scores, rows.fraud))
    losses = with_rules(decision_costs(rows.scores, rows.amount, spec), rows.by_rule)
    # The number of holds is a cost, too: 1 for HOLD, 0 for APPROVE and REJECT.
    held = with_rules(np.tile([0.0, 1.0, 0.0], (len(order), 1)), rows.by_rule)
    cost, number = _totals(losses, rows.weight, counts), _totals(held, rows.weight, counts)
    # [0, 0] is OFF for both: the holds by rules. 1e-12, since sums in another order differ in the last digits.
    most = max(holds_max(rows.weight, rows.initiated_at, spec), number[0, 0]) * (1 + 1e-12)
    cost[(number > most) | (counts[:, None] < counts[None, :])] = np.inf
    cost[:, ~_rejects_allowed(rows, counts, spec)] = np.inf
    hold, reject = np.unravel_index(np.argmin(cost), cost.shape)
    return Thresholds(hold=float(grid[hold]), reject=float(grid[reject]))


def least_shown(scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> float:
    """Return the least score on whose probability a decision may rest, infinite if no fraud shows any.

    Below the third lowest score of a fraud the period shows no rate of frauds, only that it is low: a calibrated
    probability there comes from the shape of the calibration curve. Where scores rank perfectly, the expected cost of
    those invented probabilities would turn away a tenth of the customers.

    >>> least_shown(np.array([0.9, 0.5, 0.4, 0.3, 0.001]), np.array([True, True, True, True, False]))
    0.5
    """
    of_frauds = np.sort(scores[fraud])
    return float(of_frauds[_SHOWN - 1]) if len(of_frauds) >= _SHOWN else np.inf


def _rejects_allowed(descending: ThresholdRows, counts: NDArray[np.intp], spec: CostSpec) -> NDArray[np.bool_]:
    """Return whether each reject threshold keeps the ceilings with headroom, by labels and by probabilities alike.

    Only Pix not rejected by rules count. Counts of labels are chance: three of their standard deviations are left
    free, so that another period of this length, as much chance as this one, exceeds the ceiling once in sixty times.
    """
    own = descending.weight * (descending.by_rule != Decision.REJECT)
    allowed = np.ones(len(counts), dtype=bool)
    for bad, chance in ((descending.fraud.astype(np.float64), 3.0), (descending.scores, 0.0)):
        good = descending.weight * (1 - bad)
        frauds, legitimate = _reaching(own * bad, counts), _reaching(own * (1 - bad), counts)
        spread = np.sqrt(_reaching((own * (1 - bad)) ** 2, counts))
        room = spec.reject_share_max * float(good.sum())
        within = (legitimate <= _HEADROOM * room) & (legitimate + chance * spread <= room)
        precise = frauds * _HEADROOM >= spec.reject_precision_min * (frauds + legitimate)
        allowed &= (legitimate + frauds == 0) | (within & precise)
    return allowed


def _reaching(values: NDArray[np.float64], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the sums of the first `counts` of `values`."""
    return np.asarray(np.concatenate([[0.0], np.cumsum(values)])[counts])


def decisions(
    scores: NDArray[np.float64], thresholds: SideThresholds, payees: NDArray[np.bool_], by_rule: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Return the severer decision of model and rules: 0 approve, 1 hold or block, 2 reject, int8 [n].

    `payees` [n] is true on the payee's side.
    """
    return np.maximum(thresholds.reached(scores, payees), by_rule)


def _totals(table: NDArray[np.float64], weight: NDArray[np.float64], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the weighted total of `table` for each pair of thresholds, float64 [hold, reject].

    `table` [n, 3] has a value for each decision, rows by falling score; `counts` is the number of scores that reach
    each threshold. The hold threshold turns its first rows from APPROVE to HOLD, the reject threshold from HOLD to
    REJECT, so the total is the sum over all APPROVE and the two changes.
    """
    weighted = table * weight[:, None]
    sums = np.vstack([np.zeros(3), np.cumsum(weighted, axis=0)])[counts]
    held_rather_than_approved = sums[:, Decision.HOLD] - sums[:, Decision.APPROVE]
    rejected_rather_than_held = sums[:, Decision.REJECT] - sums[:, Decision.HOLD]
    return np.asarray(
        weighted[:, Decision.APPROVE].sum() + held_rather_than_approved[:, None] + rejected_rather_than_held[None, :]
    )


def _candidates(descending: NDArray[np.float64], least: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return candidate thresholds from `least` up, densest at high scores, and the number that reach each."""
    ranks = np.unique(np.geomspace(1, len(descending), _STEPS).astype(np.intp)) - 1
    grid = np.unique(np.append(descending[ranks], least))[::-1]
    grid = np.concatenate([[OFF], grid[(grid >= max(least, _THRESHOLD_MIN)) & np.isfinite(grid)]])
    return grid, np.searchsorted(-descending, -grid, side="right")

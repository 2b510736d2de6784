"""What decisions truly cost, by all labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.specs.gate import SideCosts
from shared.learning.training.costs import decision_costs_by_side
from shared.learning.training.thresholds import decisions
from shared.scoring.bundle import Bundle
from shared.scoring.rules import Decision, Rules, by_payee
from tests.benchmarks.learning.serving import Served
from tests.benchmarks.learning.world import LearningWorld

MILLION = 1e6


class Period(NamedTuple):
    """The true figures of the days that a model served.

    `cost` is in BRL and includes that of the control group, whose parts are the BRL `lost` on its frauds, the BRL of
    its `reviews`, and that of `friction`, negative where customers were not stopped. `spared` is the number of
    legitimate Pix that the policy would have decided more severely.
    """

    pix: int
    cost: float
    frauds: int
    stopped: int
    good_rejected: int
    drawn: int
    lost: float
    reviews: float
    friction: float
    spared: int


def period_of(world: LearningWorld, served: Served, rows: slice, rules: Rules, costs: SideCosts) -> Period:
    """Return the true figures of decided rows."""
    fraud = world.stream.fraud[rows]
    decided, policy = served.decided[rows], served.policy[rows]
    table = _costs(world, rows, costs)
    each = np.arange(len(fraud))
    change = table[each, decided] - table[each, policy]
    drawn, by_rule = decided != policy, rules.apply(world.stream.features[rows]).severity
    review = costs.payer.review * ((decided == Decision.HOLD).astype(float) - (policy == Decision.HOLD))
    return Period(
        len(fraud),
        float(table[each, decided].sum()),
        int(fraud.sum()),
        int((fraud & (decided != Decision.APPROVE)).sum()),
        int((~fraud & (decided == Decision.REJECT) & (by_rule != Decision.REJECT)).sum()),
        int(drawn.sum()),
        float((change - review)[drawn & fraud].sum()),
        float(review[drawn].sum()),
        float((change - review)[drawn & ~fraud].sum()),
        int((drawn & ~fraud).sum()),
    )


def true_saving(
    world: LearningWorld, rows: slice, challenger: Bundle, incumbent: Bundle | None, rules: Rules, costs: SideCosts
) -> float:
    """Return the true saving of a challenger on rows, labelled or not, in BRL per million Pix."""
    table = _costs(world, rows, costs)
    each = np.arange(len(table))
    new, old = (_decided(world, rows, model, rules) for model in (challenger, incumbent))
    return float((table[each, old] - table[each, new]).mean() * MILLION)


def _decided(world: LearningWorld, rows: slice, model: Bundle | None, rules: Rules) -> NDArray[np.int8]:
    features = np.ascontiguousarray(world.stream.features[rows])
    by_rule = rules.apply(features).severity
    if model is None:
        return by_rule
    return decisions(model.score(features), model.thresholds, by_payee(features), by_rule)


def _costs(world: LearningWorld, rows: slice, costs: SideCosts) -> NDArray[np.float64]:
    fraud = world.stream.fraud[rows]
    return decision_costs_by_side(fraud, world.stream.amount[rows], np.zeros(len(fraud), dtype=bool), costs)

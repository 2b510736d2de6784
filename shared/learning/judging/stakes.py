"""The stakes where two contenders differ on decisions that no label judges.

A predecessor that stops frauds makes their labels impossible, and a challenger that lets them pass would look as good
as new. On such decisions the truth is bounded only: all of them may be frauds, or none (Manski). In between, they
count by the probability of fraud that the incumbent gives them: its calibration was proven on labels, and a
challenger has to save money even if its predecessor was right about all that it stopped. The rules alone give no
probability; a challenger is never milder than they are, so its worst case is that all it stops in addition is
legitimate.
Source: Manski, Partial Identification of Probability Distributions, Springer, 2003, chapter 7.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.judging.bootstrap import Interval
from shared.learning.specs.gate import SideCosts
from shared.learning.training.costs import decision_costs_by_side

MILLION = 1e6


class UnjudgedRows(NamedTuple):
    """Decisions of the test period without a label.

    `features` float32 [m, F] are served vectors; `initiated_at` [m] is in microseconds, `amount` [m] in BRL; `served`
    [m] is the score as served, NaN where rules decided alone, `weight` [m] the number of decisions that a row stands
    for; `payees` bool [m] is true on the payee's side, `by_rule` int8 [m] are the decisions of the rules.
    """

    features: NDArray[np.float32]
    initiated_at: NDArray[np.int64]
    amount: NDArray[np.float64]
    served: NDArray[np.float64]
    weight: NDArray[np.float64]
    payees: NDArray[np.bool_]
    by_rule: NDArray[np.int8]


class Opinion(NamedTuple):
    """The view of a contender on them: the probability of fraud, None without a model, and its decision, both [m]."""

    scores: NDArray[np.float64] | None
    decisions: NDArray[np.int8]


class Stakes(Struct, frozen=True):
    """The stakes on decisions without a label.

    `rows` is their number and `amount` their sum in BRL, `served` the range of their scores, NaN without any.
    `differing` and `differing_amount` are of those on which both decide differently, `scores` is the range of the
    incumbent's scores there. The savings are of the challenger in BRL per million judged Pix: by the incumbent's
    probabilities, if all are legitimate, and if all are frauds.
    """

    rows: float
    amount: float
    served: Interval
    differing: float
    differing_amount: float
    scores: Interval
    saving: float
    if_legitimate: float
    if_fraud: float

    def metrics(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "unjudged_rows": self.rows,
            "unjudged_brl": self.amount,
            "unjudged_differing_rows": self.differing,
            "unjudged_differing_brl": self.differing_amount,
            "unjudged_saving_per_million": self.saving,
            "unjudged_saving_per_million_if_legitimate": self.if_legitimate,
            "unjudged_saving_per_million_if_fraud": self.if_fraud,
        }


def stakes(
    challenger: Opinion, incumbent: Opinion, rows: UnjudgedRows, costs: SideCosts, judged_pix: float
) -> Stakes:
    """Return the stakes between two contenders; `judged_pix` is the number of Pix that labels judge."""
    differ = challenger.decisions != incumbent.decisions
    saved = saved_by_truth(challenger.decisions, incumbent.decisions, rows.amount, rows.payees, costs)
    if_legitimate, if_fraud = (rows.weight @ saved) / judged_pix * MILLION
    expected = rows.weight @ expected_by_row(challenger, incumbent, rows, costs) / judged_pix * MILLION
    return Stakes(
        float(rows.weight.sum()),
        float(rows.weight @ rows.amount),
        _range(rows.served),
        float(rows.weight[differ].sum()),
        float(rows.weight[differ] @ rows.amount[differ]),
        _range(np.full(len(differ), np.nan) if incumbent.scores is None else incumbent.scores[differ]),
        float(expected),
        float(if_legitimate),
        float(if_fraud),
    )


def expected_by_row(
    challenger: Opinion, incumbent: Opinion, rows: UnjudgedRows, costs: SideCosts
) -> NDArray[np.float64]:
    """Return the saving in BRL on each row if the incumbent is right about its chance of fraud, [m]."""
    saved = saved_by_truth(challenger.decisions, incumbent.decisions, rows.amount, rows.payees, costs)
    p = np.zeros(len(rows.amount)) if incumbent.scores is None else incumbent.scores
    return np.asarray(saved[:, 0] + p * (saved[:, 1] - saved[:, 0]))


def saved_by_truth(
    challenger: NDArray[np.int8],
    incumbent: NDArray[np.int8],
    amount: NDArray[np.float64],
    payees: NDArray[np.bool_],
    costs: SideCosts,
) -> NDArray[np.float64]:
    """Return the saving in BRL by the challenger's decisions if a Pix is legitimate and if it is a fraud, [n, 2]."""
    rows = np.arange(len(amount))
    tables = (decision_costs_by_side(np.full(len(amount), truth), amount, payees, costs) for truth in (False, True))
    return np.column_stack([table[rows, incumbent] - table[rows, challenger] for table in tables])


def _range(scores: NDArray[np.float64]) -> Interval:
    known = scores[~np.isnan(scores)]
    return Interval(float(known.min()), float(known.max())) if len(known) else Interval(np.nan, np.nan)

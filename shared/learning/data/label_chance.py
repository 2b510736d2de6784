"""The chance that a decided Pix has a label, and the weight by which a labelled row stands for those without one.

A Pix that was stopped is labelled only if a reviewer judged it, or if the control group let it through. Learnt as
they are, the labels would be those of harmless Pix, and the better a model stops frauds, the fewer would its
successor know. So each labelled row weighs 1 / P(labelled), the number of decisions like it (inverse propensity
weighting). Let p be the chance by which the control group decides a Pix one step milder, and r the share with a label
of the Pix that the policy held (blocked), on that side and outside of the control group. Then P is, where

- the policy approves: 1, as silence is a label;
- the policy holds or blocks: p + (1 - p) r;
- the policy rejects, and chance made it a hold: p r.

A rejected Pix that chance did not touch has a label only if somebody asked for it: the customers who complain are
those of good Pix, so they say nothing about the others, and the row weighs 1. Counted among reviewers' labels they
would turn rejected frauds into good customers. Which holds reviewers judge is taken to be chance. A Pix that had no
chance, as a rule stopped it or the day's budget was spent, has p = 0: others of its kind stand for it only where
reviewers judge such holds, and the gate counts it among the unjudged (`judging/stakes.py`).
While a challenger is tried, the policy is that of the Pix' arm, and P the chance within the arm: both arms together
are all Pix, so rows that stand for their own arm stand for everything. The chance of the arm is part of the chance of
a decision as a whole, `arm_propensity` times that of the draw, by which the rows of one arm stand for all Pix when
one policy is judged.
Source: Horvitz and Thompson, A Generalization of Sampling Without Replacement From a Finite Universe, JASA, 1952.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.contract.fields import Side
from shared.learning.data.unlabelled import DecisionCount
from shared.scoring.rules import Decision

CHANCE = "control_probability"
COLUMNS = ("decision", "policy_decision", CHANCE)
"""Columns of an example by which its chance of a label is known."""
SEVERITY = {"HOLD": Decision.HOLD, "BLOCK": Decision.HOLD, "REJECT": Decision.REJECT}
"""Severity by the name of a decision; any other approves, as does one of before decisions were kept with examples."""


class LabelRates(Struct, frozen=True):
    """Shares of the Pix held (blocked) by the policy, and not drawn, that have a label, by side."""

    payer: float = 1.0
    payee: float = 1.0


class DecisionColumns(NamedTuple):
    """How rows were decided, each [n].

    `policy` is the severity of the policy's decision, `drawn` whether the control group decided otherwise,
    `probability` the chance of that, 0 where there was none; `payees` is true on the payee's side.
    """

    policy: NDArray[np.int8]
    drawn: NDArray[np.bool_]
    probability: NDArray[np.float64]
    payees: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> DecisionColumns:
        """Return some rows."""
        return DecisionColumns._make(column[rows] for column in self)


class Representation(Struct, frozen=True):
    """How the labelled rows of a training set stand for decisions without a label.

    `control` is the number of rows that the control group decided, `control_frauds` of the frauds among them,
    `control_effective` and `frauds_effective` the numbers of rows of equal weight that tell as much as those of the
    control group and as all frauds (Kish). `control_share` is the share of the control group in the weight of frauds.
    `clipped` rows stand for more decisions than the largest weight `weight_max`; `cut` is the share of all decisions
    that this leaves without a row.
    """

    rates: LabelRates = LabelRates()
    weight_max: float = 1.0
    control: int = 0
    control_frauds: int = 0
    control_effective: float = 0.0
    control_share: float = 0.0
    frauds_effective: float = 0.0
    clipped: int = 0
    cut: float = 0.0

    def metrics(self) -> dict[str, float]:
        """Return the figures by name."""
        return {
            "control_rows": float(self.control),
            "control_frauds": float(self.control_frauds),
            "control_effective": self.control_effective,
            "control_share_of_frauds": self.control_share,
            "frauds_effective": self.frauds_effective,
            "rows_clipped": float(self.clipped),
            "share_cut_by_clipping": self.cut,
        }


def label_rates(counts: Sequence[DecisionCount]) -> LabelRates:
    """Return the shares of held Pix with a label; 1 for a side whose policy held none.

    >>> reviewed, not_reviewed = (DecisionCount("PAYER", "HOLD", "HOLD", *of) for of in ((None, 3), ("UNPAID", 1)))
    >>> label_rates([reviewed, not_reviewed, DecisionCount("PAYER", "HOLD", "REJECT", None, 5)])
    LabelRates(payer=0.75, payee=1.0)
    """

    def rate(side: Side) -> float:
        held = [
            one
            for one in counts
            if one.side == side and one.decision == one.policy and SEVERITY.get(one.policy) == Decision.HOLD
        ]
        total = sum(one.rows for one in held)
        return sum(one.rows for one in held if one.reason is None) / total if total else 1.0

    return LabelRates(rate(Side.PAYER), rate(Side.PAYEE))


def label_chances(decided: DecisionColumns, pix: NDArray[np.int32], rates: LabelRates) -> NDArray[np.float64]:
    """Return the chance of a label of each labelled row, [n].

    Both sides of a Pix have the label of its payment, so the side that is less likely to let it pass counts for both.
    """
    chance = _chances(decided, rates)
    chance[(decided.policy == Decision.REJECT) & ~decided.drawn] = 1.0
    return _of_pix(np.minimum, chance, pix)


def unrepresented(
    decided: DecisionColumns, pix: NDArray[np.int32], rates: LabelRates, weight_max: float
) -> NDArray[np.float64]:
    """Return the part of each row without a label, [n], for which no labelled row of the control group stands.

    It is all of a Pix that had no chance to be in the control group, and the part of the others that is lost as
    weights are clipped.
    """
    lost = 1 - np.minimum(_of_pix(np.minimum, _chances(decided, rates), pix) * weight_max, 1.0)
    return np.where(_of_pix(np.maximum, decided.probability, pix) > 0, lost, 1.0)


def _chances(decided: DecisionColumns, rates: LabelRates) -> NDArray[np.float64]:
    """Return the chance of each row, [n], that a reviewer or the control group gives it a label."""
    reviewed, p = np.where(decided.payees, rates.payee, rates.payer), decided.probability
    by_policy = [np.ones(len(p)), p + (1 - p) * reviewed, p * reviewed]
    return np.choose(decided.policy, by_policy)


def _of_pix(extreme: np.ufunc, values: NDArray[np.float64], pix: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the least, or greatest, value of the rows of each row's Pix, [n]."""
    found = np.empty(int(pix.max(initial=-1)) + 1)
    found[pix] = values
    extreme.at(found, pix, values)
    return found[pix]


def label_weights(chance: NDArray[np.float64], weight_max: float) -> NDArray[np.float64]:
    """Return the number of decisions for which each labelled row stands, itself included, at most `weight_max`.

    >>> label_weights(np.array([1.0, 0.25, 0.0]), 20.0).tolist()
    [1.0, 4.0, 20.0]
    """
    return np.asarray(1 / np.maximum(chance, 1 / weight_max))


def representation(
    decided: DecisionColumns,
    fraud: NDArray[np.bool_],
    sampled: NDArray[np.float64],
    chance: NDArray[np.float64],
    rates: LabelRates,
    weight_max: float,
) -> Representation:
    """Return the figures of rows [n], of which each stands for `sampled` labelled ones."""
    weight = sampled * label_weights(chance, weight_max)
    of_frauds = float(weight[fraud].sum())
    clipped = chance < 1 / weight_max
    whole = np.divide(1.0, chance, out=np.full(len(chance), weight_max), where=chance > 0)
    missed = sampled * np.maximum(whole - weight_max, 0.0)
    everything = float(weight.sum() + missed.sum())
    return Representation(
        rates,
        weight_max,
        int(decided.drawn.sum()),
        int((decided.drawn & fraud).sum()),
        effective(weight[decided.drawn]),
        float(weight[decided.drawn & fraud].sum()) / of_frauds if of_frauds else 0.0,
        effective(weight[fraud]),
        int(clipped.sum()),
        float(missed.sum()) / everything if everything else 0.0,
    )


def effective(weight: NDArray[np.float64]) -> float:
    """Return the number of rows of equal weight that tell as much as rows of `weight` [n].

    Source: Kish, Survey Sampling, Wiley, 1965.

    >>> effective(np.array([2.0, 2.0])), effective(np.array([3.0, 1.0])), effective(np.zeros(0))
    (2.0, 1.6, 0.0)
    """
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0

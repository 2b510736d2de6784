"""The saving of a challenger that decides for a share of the accounts, against the accounts of the champion.

An arm costs as its decisions do, and each Pix weighs one over the chance that its account had of that arm, so
shares may grow while the comparison runs. Errors are by day and by paying account, which is the unit that was drawn.

A Pix stopped by an arm has no label unless it was reviewed. Whether a challenger is better is said as if all that it
stopped in vain were legitimate, and the champion right about all that it stopped; whether it is worse, the other way
round. So no arm profits from its own opinion.
Source: Hajek, Comment on an Essay by D. Basu, in Foundations of Statistical Inference, 1971, for the weighted means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.contest.cohorts import Cohort, CohortColumns, columns
from shared.learning.contest.paired import ACCOUNTS, SPREAD
from shared.learning.contest.verdict import ContestEvidence
from shared.learning.judging.saving import Saving
from shared.learning.judging.spread import Measured, measured
from shared.learning.judging.stakes import MILLION
from shared.learning.specs.gate import SideCosts
from shared.learning.training.costs import decision_costs_by_side
from shared.scoring.challenge import CHALLENGER


class _Mass(NamedTuple):
    """The decisions that rows and the others stand for, by arm: of a day, the weights of all its Pix."""

    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]


def arms_evidence(cohorts: Sequence[Cohort], costs: SideCosts, growth: float) -> ContestEvidence:
    """Return the evidence of days with labels; `growth` is the factor by which their frauds let through will grow.

    The frauds are those of the arm with fewer: an arm of few may lack the rare large loss, and look cheap for that.
    """
    found, mass = columns(cohorts), _mass(cohorts)
    frauds = [float((found.fraud & (found.challenger_arm == arm)).sum()) for arm in (False, True)]
    if not all(each.sum() > 0 for each in mass) or not min(frauds):
        return ContestEvidence(len(cohorts), min(frauds), 0.0, None)
    careful = _saving(found, mass, _fraud(found, growth, of_champion=True), costs)
    generous = _saving(found, mass, _fraud(found, growth, of_champion=False), costs)
    saving = Saving(careful, careful, gained=0.0, lost=0.0)
    return ContestEvidence(len(cohorts), min(frauds), min(frauds), saving, generous.value - careful.value)


def arms_foretold(cohorts: Sequence[Cohort], costs: SideCosts) -> Measured | None:
    """Return the saving by each arm's own scores, before labels; None without Pix in both arms."""
    found, mass = columns(cohorts), _mass(cohorts)
    if not all(each.sum() > 0 for each in mass):
        return None
    return _saving(found, mass, np.nan_to_num(found.score, nan=0.0), costs)


def _fraud(found: CohortColumns, growth: float, of_champion: bool) -> NDArray[np.float64]:
    """Return the label of each row, and of one without a label its score in one of the arms, 0 in the other.

    A fraud that was let through counts `growth` times, for those that will be known later.
    """
    believed = found.challenger_arm != of_champion
    unknown = np.where(believed, np.nan_to_num(found.score, nan=0.0), 0.0)
    label = found.fraud * np.where(found.passed, growth, 1.0)
    return np.where(found.known, label, unknown)


def _saving(found: CohortColumns, mass: _Mass, fraud: NDArray[np.float64], costs: SideCosts) -> Measured:
    table = decision_costs_by_side(fraud, found.amount, found.payees, costs)
    weight = 1 / found.propensity
    cost = weight * table[np.arange(len(fraud)), found.policy]
    days = len(mass.champion)
    parts, means = [], []
    for is_challenger, sign in ((False, 1.0), (True, -1.0)):
        rows = found.challenger_arm == is_challenger
        of_day = mass.challenger if is_challenger else mass.champion
        whole = of_day.sum()
        mean = cost[rows].sum() / whole
        own = np.bincount(found.day[rows], weight[rows], days)
        others = -np.repeat(np.maximum(of_day - own, 0.0), SPREAD) / SPREAD * mean
        parts.append((rows, sign * (cost[rows] - weight[rows] * mean) / whole, sign * others / whole))
        means.append(sign * mean)
    influence = np.concatenate([part for _, own, others in parts for part in (own, others)]) * MILLION
    day = np.repeat(np.arange(days), SPREAD)
    block = np.concatenate([part for rows, *_ in parts for part in (found.day[rows], day)])
    alone = ACCOUNTS + np.arange(len(day))
    account = np.concatenate([part for rows, *_ in parts for part in (found.account[rows], alone)])
    return measured(float(sum(means)) * MILLION, influence, block, account)


def _mass(cohorts: Sequence[Cohort]) -> _Mass:
    def of(is_challenger: bool) -> NDArray[np.float64]:
        return np.array(
            [
                sum(one.pix / one.propensity for one in cohort.totals if (one.arm == CHALLENGER) == is_challenger)
                for cohort in cohorts
            ]
        )

    return _Mass(of(False), of(True))

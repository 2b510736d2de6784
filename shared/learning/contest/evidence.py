"""The evidence of a comparison in the shadow: labels as they weigh in the gate, and unjudged decisions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.learning.config import Config
from shared.learning.contest.cohorts import FRAUD, Cohort, CohortColumns, Total, columns
from shared.learning.contest.paired import Differing, foretold_saving, paired_saving
from shared.learning.contest.verdict import ContestEvidence
from shared.learning.data.label_chance import (
    DecisionColumns,
    LabelRates,
    label_chances,
    label_rates,
    label_weights,
    unrepresented,
)
from shared.learning.data.split import DAY
from shared.learning.data.unlabelled import DecisionCount
from shared.learning.judging.spread import Measured
from shared.learning.judging.stakes import Opinion, UnjudgedRows, stakes


def paired_evidence(cohorts: Sequence[Cohort], config: Config, growth: float) -> ContestEvidence:
    """Return the evidence of days with labels; `growth` is the factor by which their frauds let through will grow."""
    found = columns(cohorts)
    decided = _decided(found)
    pix_of_day = _pix(cohorts)
    totals = [total for cohort in cohorts for total in cohort.totals]
    rates = _rates(totals)
    rows = np.arange(len(found.day), dtype=np.int32)
    weight = label_weights(label_chances(decided, rows, rates), config.dataset.label_weight_max)
    weight = weight * np.where(found.fraud & found.passed, growth, 1.0)
    differing = _differing(found, weight).take(found.known)
    frauds = float(sum(total.pix for total in totals if total.known == FRAUD))
    saving = paired_saving(differing, pix_of_day, config.costs) if differing.fraud.any() else None
    return ContestEvidence(
        len(cohorts),
        frauds,
        float(found.fraud.sum()),
        saving,
        _unjudged(found, decided, rates, float(pix_of_day.sum()), config),
    )


def paired_foretold(cohorts: Sequence[Cohort], config: Config) -> Measured:
    """Return the saving of days by both calibrated scores alone."""
    found = columns(cohorts)
    return foretold_saving(_differing(found, np.ones(len(found.day))), _pix(cohorts), config.costs)


def _pix(cohorts: Sequence[Cohort]) -> NDArray[np.float64]:
    return np.array([sum(total.pix for total in cohort.totals) for cohort in cohorts], np.float64)


def _rates(totals: Sequence[Total]) -> LabelRates:
    """Return the shares of held Pix that have a label, of all of the days."""
    return label_rates(
        [
            DecisionCount(one.side, one.decision, one.policy, None if one.known else "UNPAID", one.pix)
            for one in totals
        ]
    )


def _decided(found: CohortColumns) -> DecisionColumns:
    return DecisionColumns(found.policy, found.drawn, found.chance, found.payees)


def _differing(found: CohortColumns, weight: NDArray[np.float64]) -> Differing:
    return Differing(
        found.day,
        found.account,
        found.payees,
        found.amount,
        found.score,
        found.challenger_score,
        found.policy,
        found.challenger,
        found.fraud,
        weight,
    )


def _unjudged(
    found: CohortColumns, decided: DecisionColumns, rates: LabelRates, judged_pix: float, config: Config
) -> float:
    """Return the saving on rows without a label if the champion is right about them, as the gate has it."""
    rows = np.arange(len(found.day), dtype=np.int32)
    without = unrepresented(decided, rows, rates, config.dataset.label_weight_max)
    lost = found.take(~found.known)
    unjudged = UnjudgedRows(
        np.zeros((len(lost.day), 0), np.float32),
        lost.day * DAY,
        lost.amount,
        lost.score,
        without[~found.known],
        lost.payees,
        np.zeros(len(lost.day), np.int8),
    )
    opinions = Opinion(lost.challenger_score, lost.challenger), Opinion(lost.score, lost.policy)
    return stakes(*opinions, unjudged, config.costs, judged_pix).saving

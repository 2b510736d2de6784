"""The share of good customers that are rejected, and the precision of rejects, by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.learning.judging.bootstrap import Estimate
from shared.learning.judging.comparison import TestPeriod
from shared.learning.judging.proportions import effective_cases, wilson
from shared.learning.specs.gate import CostSpec
from shared.scoring.rules import Decision

REJECTS_MIN = 100
"""Rejects from which their precision is taken as it is; that of fewer only if its whole interval is too low."""


class Rejects(NamedTuple):
    """The rejects of the model alone on one side, not of the rules: the share of legitimate Pix, and the precision.

    `rejected` is the number of such rows. The precision is NaN without any.
    """

    side: str
    spec: CostSpec
    good: Estimate
    precision: Estimate
    rejected: int

    @property
    def within_share(self) -> bool:
        """Whether the share of legitimate Pix keeps its ceiling."""
        return not self.good.value > self.spec.reject_share_max

    @property
    def judged(self) -> bool:
        """Whether the rejects are enough to judge their precision."""
        return self.rejected >= REJECTS_MIN or self.precision.interval.high < self.spec.reject_precision_min

    @property
    def precise(self) -> bool:
        """Whether the precision is not seen to be too low."""
        return not self.judged or self.precision.value >= self.spec.reject_precision_min


def rejects_by_side(decided: NDArray[np.int8], period: TestPeriod) -> list[Rejects]:
    """Return the rejects of each side that has rows, under decisions [n]."""
    sides = (("payer", ~period.payees, period.costs.payer), ("payee", period.payees, period.costs.payee))
    return [_rejects(name, rows, spec, decided, period) for name, rows, spec in sides if rows.any()]


def _rejects(
    side: str, rows: NDArray[np.bool_], spec: CostSpec, decided: NDArray[np.int8], period: TestPeriod
) -> Rejects:
    fraud, weight = period.truth.fraud[rows], period.weight[rows]
    own = (decided[rows] == Decision.REJECT) & (period.by_rule[rows] != Decision.REJECT)
    return Rejects(
        side,
        spec,
        _share(own & ~fraud, ~fraud, weight, period.confidence),
        _share(own & fraud, own, weight, period.confidence),
        int(own.sum()),
    )


def _share(
    part: NDArray[np.bool_], whole: NDArray[np.bool_], weight: NDArray[np.float64], confidence: float
) -> Estimate:
    cases = effective_cases(float(weight @ part), float(weight @ whole), float((weight**2) @ whole))
    return wilson(*cases, confidence)

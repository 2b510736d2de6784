"""How many frauds of a day will be known in the end, from those known at an age and how earlier days grew.

Between two ages of a day the known frauds grow by a factor, that of all earlier days that reached the later age (the
chain ladder of claims reserving). Its count is multiplied by the product of the factors from its age on, so a
day of last week and one of last month are read alike.

Source: Mack, Distribution-free Calculation of the Standard Error of Chain Ladder Reserve Estimates, ASTIN, 1993.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from scipy.stats import chi2

from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.monitoring.estimate import CONFIDENCE

AGES = (1, 3, 7, 14, 30, 60, 87)
"""Days after a day's end at which its labels are counted; at the last, `PIX_MATURITY_DAYS`, nearly all are known."""
FRAUDS_MIN = 20
"""Fewest frauds behind a factor: of fewer, one fraud moves it by more than a twentieth."""


def growth(known: Sequence[Mapping[int, float]], age: int, ages: Sequence[int] = AGES) -> float:
    """Return the factor from the frauds of a day known at `age` to those at the last age, NaN if it is not known.

    `known` has the frauds of earlier days by age.

    >>> growth([{1: 20, 3: 40}, {1: 30, 3: 60, 7: 90}], age=1, ages=(1, 3, 7))
    3.0
    """
    factor = 1.0
    for here, later in pairwise(ages):
        if here < age:
            continue
        grown = [(day[here], day[later]) for day in known if here in day and later in day]
        before, after = sum(one for one, _ in grown), sum(other for _, other in grown)
        if before <= 0 or after < FRAUDS_MIN:
            return math.nan
        factor *= after / before
    return factor


def projected(known: float, factor: float) -> Estimate:
    """Return the number of frauds in the end, with an interval for the chance in those known (Garwood, 1936).

    The error of the factor itself is not in it.

    >>> projected(10, 2.0).interval
    Interval(low=10.85..., high=33.9...)
    """
    tail = (1 - CONFIDENCE) / 2
    low = float(chi2.ppf(tail, 2 * known)) / 2 if known > 0 else 0.0
    high = float(chi2.ppf(1 - tail, 2 * known + 2)) / 2
    return Estimate(known * factor, Interval(low * factor, high * factor))

"""Limits that hold at all looks together, so that a comparison may be looked at every day and ended at any look.

An interval for one look is left by chance at 5 % of the looks; whoever looks daily leaves it on some day nearly for
sure. The limits here are a confidence sequence: the chance that the truth is ever outside of them, on any day, is at
most the level.

Which one, and why. Losses by fraud are heavy-tailed and bounded by no figure, so boundaries for bounded values
(empirical Bernstein, betting: Waudby-Smith and Ramdas, Estimating Means of Bounded Random Variables by Betting, JRSS
B, 2024) would need a largest loss, and be as wide as that is large. An asymptotic confidence sequence needs a
standard error only, and takes the one by clusters that the gate has: that of days and accounts, both ways, of an
estimate that itself is fitted. Its price is that it holds in the limit only, as every interval of the gate does. So
nothing is decided on few days or few frauds, and the limits of each look allow for few days (Student) and for skewed
losses (Hall), as the gate's do. `make bench-health` measures the remaining error.
Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform Central Limit Theory and Asymptotic Confidence
Sequences, Annals of Statistics, 2024.
"""

from __future__ import annotations

import math

from scipy.stats import norm

from shared.learning.judging.bootstrap import Interval
from shared.learning.judging.spread import Measured


def boundary(days: float, level: float, tightest_days: float) -> float:
    """Return the number of standard errors that a sum of `days` independent days stays within, on one side.

    The chance that it ever goes beyond, on any day, is at most `level`, and the bound is about narrowest at
    `tightest_days`. It is the closed form of the mixture of likelihood ratios over a half normal distribution.
    Source: Howard, Ramdas, McAuliffe and Sekhon, Time-uniform, Nonparametric, Nonasymptotic Confidence Sequences,
    Annals of Statistics, 2021, (14) and (3.7).

    >>> round(boundary(30, 0.05, 30), 3), round(boundary(5, 0.05, 30), 3)
    (2.779, 3.261)
    """
    ratio = _precision(level, tightest_days)
    whole = days + ratio
    return math.sqrt(2 * whole * math.log1p(math.sqrt(whole / ratio) / (2 * level)) / days)


def limits(found: Measured, level: float, tightest_days: float) -> Interval:
    """Return the limits of an estimate after its days: each end is passed by the truth, ever, with at most `level`.

    The boundary of the day is taken as the level of an interval of the gate, which allows for few days and skewness.
    """
    spent = float(norm.sf(boundary(found.blocks, level, tightest_days)))
    return found.interval(1 - 2 * spent)


def _precision(level: float, tightest_days: float) -> float:
    """Return the precision of the mixture, in days, by which the bound is about narrowest at `tightest_days`."""
    cost = 2 * math.log(1 / (2 * level))
    return tightest_days / (cost + math.log1p(cost))

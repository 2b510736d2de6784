"""Performance of a day before its labels are known, from calibrated scores alone.

If a score p is the probability of fraud, the frauds among rows are a sum of draws with mean sum(p), whatever became
of the rows, and with variance sum(p (1 - p)) if they are independent. So precision, recall and loss can be said on
the day itself, with an interval for chance: by that variance times the `dispersion` of earlier days, as frauds come
in bursts and scores err together. It is blind where the scores are: where fraud changes its ways more than
it did on those days, scores and estimate are wrong together (concept drift), and the interval does not cover that.
`ladder` says how wrong it was once labels have come.

Source: Guillory et al., Predicting with Confidence on Unseen Distributions, ICCV 2021.
"""

from __future__ import annotations

import math

from msgspec import Struct

from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.monitoring.dispersion import Dispersion

CONFIDENCE = 0.9


class ScoreSums(Struct, frozen=True):
    """Sums over scored rows of a day; `stopped_` ones over the rows that the policy stops.

    `spread` is the sum of p (1 - p). `missed_brl` is the sum of p times the amount in BRL of rows let through, and
    `missed_brl_spread` that of p (1 - p) times its square. `good` is the sum of 1 - p, `good_rejected` that over rows
    that the model rejects by itself, and `rejected_spread` the spread of these.
    """

    rows: int
    stopped: int
    expected: float
    spread: float
    stopped_expected: float
    stopped_spread: float
    missed_brl: float
    missed_brl_spread: float
    good: float = 0.0
    good_rejected: float = 0.0
    rejected_spread: float = 0.0


def expected_frauds(sums: ScoreSums, over: Dispersion) -> Estimate:
    """Return the number of frauds among the rows."""
    return _estimate(sums.expected, sums.spread, over)


def expected_missed(sums: ScoreSums, over: Dispersion) -> Estimate:
    """Return the number of frauds among the rows let through."""
    return _estimate(sums.expected - sums.stopped_expected, sums.spread - sums.stopped_spread, over)


def expected_missed_brl(sums: ScoreSums, over: Dispersion) -> Estimate:
    """Return the amount in BRL of the frauds among the rows let through."""
    return _estimate(sums.missed_brl, sums.missed_brl_spread, over)


def expected_precision(sums: ScoreSums, over: Dispersion) -> Estimate:
    """Return the share of frauds among the rows stopped, NaN if none was.

    >>> sums, independent = ScoreSums(10, 4, 3.0, 1.0, 2.0, 0.75, 10.0, 5.0), Dispersion(1.0, 60, "MATURED")
    >>> found = expected_precision(sums, independent)
    >>> found.value, round(found.interval.low, 3)
    (0.5, 0.138)
    """
    if not sums.stopped:
        return Estimate(math.nan, Interval(0.0, 1.0))
    return _estimate(sums.stopped_expected / sums.stopped, sums.stopped_spread / sums.stopped**2, over, most=1.0)


def expected_recall(sums: ScoreSums, over: Dispersion) -> Estimate:
    """Return the share of the frauds that is stopped, NaN without any; the variance is that of the delta method."""
    if sums.expected <= 0:
        return Estimate(math.nan, Interval(0.0, 1.0))
    share, passed_spread = sums.stopped_expected / sums.expected, sums.spread - sums.stopped_spread
    variance = ((1 - share) ** 2 * sums.stopped_spread + share**2 * passed_spread) / sums.expected**2
    return _estimate(share, variance, over, most=1.0)


def expected_good_rejected(sums: ScoreSums, over: Dispersion) -> Estimate:
    """Return the share of the legitimate rows that the model rejects by itself, NaN if there are none.

    Few of all rows are rejected, so the error of the whole is small beside that of the part.
    """
    if sums.good <= 0:
        return Estimate(math.nan, Interval(0.0, 1.0))
    return _estimate(sums.good_rejected / sums.good, sums.rejected_spread / sums.good**2, over, most=1.0)


def _estimate(value: float, variance: float, over: Dispersion, most: float = math.inf) -> Estimate:
    half = over.margin(CONFIDENCE) * math.sqrt(max(variance, 0.0))
    return Estimate(value, Interval(max(0.0, value - half), min(most, value + half)))

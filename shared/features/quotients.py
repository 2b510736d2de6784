"""Quotients of decayed counters: means, shares, ages and deviations.

None has a value where its divisor is no more than the rounding of amounts taken back: FEW, CENTAVO.
"""

from __future__ import annotations

import numpy as np

from shared.features.arrays import Floats
from shared.features.facts import FEW
from shared.features.layout import DAY, HALF_LIVES

_LONG_AGO = 1e-6  # a count of one after twenty half-lives; less may be the rounding of a verdict taken back
_LEAST_SPREAD = 0.1  # of the mean, so that a payer who always sends the same amount has a finite deviation


def divisor(count: Floats, few: float = FEW) -> Floats:
    """Return the count, missing where it is at most `few`: a quotient by it is then missing too."""
    return np.where(count > few, count, np.nan)


def mean_of(total: Floats, count: Floats, few: float = FEW) -> Floats:
    """Return the mean, missing where the count is at most `few`."""
    return total / divisor(count, few)


def share(part: Floats, rest: Floats, few: float = FEW) -> Floats:
    """Return the share of `part` in both."""
    return mean_of(part, part + rest, few)


def least_age(counters: Floats) -> Floats:
    """Return the days since the latest verdict counted, from the counter whose half-life is one day.

    Exact for one verdict; for several, -log2 of the sum of 2^-age is close to the least age. A mark would be exact,
    but cannot be taken back.
    """
    return np.maximum(-np.log2(np.where(counters[0] > _LONG_AGO, counters[0], np.nan)), 0.0)


def mean_age(counters: Floats, span: str) -> Floats:
    """Return the mean age in days of the verdicts counted, from the counters at half-lives `span` and 30 days.

    Exact for one verdict; of several, the later ones weigh more. Infinite, so missing, where a verdict that was taken
    back left nothing of older ones in the counter that fades first.
    """
    ratio = np.where(counters[-1] > _LONG_AGO, counters[-2] / counters[-1], np.nan)
    return -np.log2(ratio) / (DAY / HALF_LIVES[span] - DAY / HALF_LIVES["30d"])


def deviations(value: Floats, mean: Floats, mean_square: Floats) -> Floats:
    """Return the distance of a value from the mean in standard deviations, each at least a tenth of the mean."""
    variance = np.maximum(mean_square - mean * mean, 0.0) + (_LEAST_SPREAD * mean) ** 2
    return (value - mean) / np.sqrt(variance)


def burst(counters: Floats, span: str, few: float = FEW) -> Floats:
    """Return the rate over a short half-life divided by that over the longest; a steady rate gives 1."""
    short, long = list(HALF_LIVES).index(span), len(HALF_LIVES) - 1
    return mean_of(counters[short], counters[long], few) * (HALF_LIVES["30d"] / HALF_LIVES[span])


def habit(angle: Floats, cosines: Floats, sines: Floats, counted: Floats) -> Floats:
    """Return the likeness, -1 to 1, of an angle to those `counted`, a divisor."""
    return np.clip((np.cos(angle) * cosines + np.sin(angle) * sines) / counted, -1.0, 1.0)

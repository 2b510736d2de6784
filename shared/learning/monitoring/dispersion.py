"""How many times the frauds of a day vary as those of independent Pix would, learnt from days with matured labels.

Frauds come in bursts: one payee is hit by many, one account is emptied in minutes. And scores are calibrated on the
past, so on later days all of them may be too high or too low together. Neither is in p (1 - p). Both are in the
squared distance between the frauds foretold and those known, whose sum over days, divided by that of the variances of
independent Pix, is the dispersion: 1 without bursts and with true probabilities, and the factor that a variance is
multiplied by otherwise (quasi-likelihood).

It is learnt on the Pix whose label does not depend on the decision: those that were approved or held. A subset
of a burst varies less than all of it, so intervals of the parts of a day are wide rather than narrow.

Source: Wedderburn, Quasi-likelihood Functions, Generalized Linear Models, and the Gauss-Newton Method, Biometrika,
1974; McCullagh and Nelder, Generalized Linear Models, 1989, 4.5 and 9.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct
from scipy.stats import norm
from scipy.stats import t as student

Basis = Literal["MATURED", "ASSUMED"]
"""Whether a dispersion is that of days with matured labels, or assumed as these are too few."""
DAYS_MIN = 28
"""Fewest days to learn from: four of each weekday, and an error of the dispersion of about a quarter."""
ASSUMED = 4.0
"""The dispersion where days are too few, that of the simulated world: see `bootstrap.Resampling`."""


class DayCount(Struct, frozen=True):
    """Frauds of a day: `expected` by the scores, `spread` the variance of independent Pix, `known` by labels."""

    expected: float
    spread: float
    known: float


class Dispersion(Struct, frozen=True):
    """A factor of variances, the number of days behind it, and whether it is learnt from them."""

    factor: float
    days: int
    basis: Basis

    def margin(self, confidence: float) -> float:
        """Return the half width of a central interval for each standard deviation of independent Pix.

        The error of a factor of few days is allowed for by Student's distribution.
        """
        share = (1 + confidence) / 2
        quantile = student.ppf(share, self.days) if self.basis == "MATURED" else norm.ppf(share)
        return float(quantile) * math.sqrt(self.factor)


def dispersion(days: Iterable[DayCount]) -> Dispersion:
    """Return the dispersion of days, at least 1: a smaller one is chance, as frauds do not avoid one another.

    >>> dispersion([DayCount(4.0, 3.0, 1.0), DayCount(4.0, 3.0, 7.0)] * 14)
    Dispersion(factor=3.0, days=28, basis='MATURED')
    >>> dispersion([DayCount(4.0, 3.0, 1.0)])
    Dispersion(factor=4.0, days=1, basis='ASSUMED')
    """
    found = [day for day in days if day.spread > 0]
    if len(found) < DAYS_MIN:
        return Dispersion(ASSUMED, len(found), "ASSUMED")
    squares = sum((day.known - day.expected) ** 2 for day in found)
    return Dispersion(max(1.0, squares / sum(day.spread for day in found)), len(found), "MATURED")

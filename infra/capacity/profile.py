"""The profile of Pix over a day and a year: measured hours, and the simulator's weekdays and paydays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infra.local.simulator.clock import is_payday, weekday
from infra.local.simulator.run import WEEKDAYS

HOURS, SECONDS, HOUR = 24, 86_400, 3_600
PAYDAY, BLACK_FRIDAY = 1.085, 1.03
"""Factors over another day of the same weekday. Pix on a Friday and payday: 313.3 million (2025-12-05, the record),
on Black Friday: 297.4 million (2025-11-28), on a usual day: 240 million. Banco Central do Brasil, rounded by us."""
_EPOCH = dt.date(1970, 1, 1)
_FRIDAY, _NOVEMBER = 4, 11


def rates(pix: float, shares: Sequence[float]) -> NDArray[np.float64]:
    """Spread the Pix of a local day over its seconds [86400] by hourly shares [24]; return Pix a second.

    Rates are interpolated between the middles of the hours and scaled to keep the sum.

    >>> flat = rates(86_400, [1 / 24] * 24)
    >>> round(float(flat.min()), 9), round(float(flat.max()), 9)
    (1.0, 1.0)
    """
    middle = (np.arange(-1, HOURS + 1) + 0.5) * HOUR
    around = np.concatenate((shares[-1:], shares, shares[:1]))
    smooth: NDArray[np.float64] = np.interp(np.arange(SECONDS) + 0.5, middle, around)
    scaled: NDArray[np.float64] = smooth * (pix / smooth.sum())
    return scaled


def peak(shares: Sequence[float]) -> float:
    """Return the ratio of a day's highest rate to its mean.

    >>> round(peak([0.02] * 12 + [0.76 / 12] * 12), 2)
    1.52
    """
    return float(rates(SECONDS, shares).max())


def factor(date: dt.date) -> float:
    """Return the ratio of a date's Pix to those of a mean day.

    >>> [round(factor(dt.date(2025, *day)), 2) for day in ((12, 5), (11, 28), (11, 16))]
    [1.31, 1.24, 0.77]
    """
    days = (date - _EPOCH).days
    of_weekday = float(WEEKDAYS[weekday(days)] / WEEKDAYS.mean())
    return of_weekday * (PAYDAY if is_payday(days) else 1) * (BLACK_FRIDAY if date == black_friday(date.year) else 1)


def black_friday(year: int) -> dt.date:
    """Return the day after the fourth Thursday of November.

    >>> black_friday(2025), black_friday(2024)
    (datetime.date(2025, 11, 28), datetime.date(2024, 11, 29))
    """
    first = dt.date(year, _NOVEMBER, 1)
    return first + dt.timedelta(days=(_FRIDAY - 1 - first.weekday()) % 7 + 22)


def busiest(year: int) -> dt.date:
    """Return the date with the most Pix.

    >>> busiest(2025)
    datetime.date(2025, 12, 5)
    """
    start = dt.date(year, 1, 1)
    return max((start + dt.timedelta(days=day) for day in range(365)), key=lambda date: (factor(date), date))

"""The clock of the day and of the week in local time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.features.layout import BEHIND_UTC, DAY

_WEEK = 7 * DAY
_FIRST_MONDAY = 4 * DAY  # 1970-01-05


def second_of_day(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return seconds since local midnight.

    >>> second_of_day(np.array([3 * 3600.0 + 5]))
    array([5.])
    """
    return np.mod(at - BEHIND_UTC, DAY)


def second_of_week(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return seconds since the last local Monday began.

    >>> second_of_week(np.array([4 * 86400 + 3 * 3600.0 + 7]))
    array([7.])
    """
    return np.mod(at - BEHIND_UTC - _FIRST_MONDAY, _WEEK)


def angles(at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the angles of the clock of the day and of the week, in radians."""
    turn = 2 * np.pi
    return second_of_day(at) * (turn / DAY), second_of_week(at) * (turn / _WEEK)

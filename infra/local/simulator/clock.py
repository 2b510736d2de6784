"""Customers' local time: Brazilian hours, weekdays and business days over UTC milliseconds."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from infra.local.simulator.arrays import Flags, Floats, Ints
from shared.features.limits import limits_in_force

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MINUTE_MS = 60_000
# Brasília has had no daylight saving time since 2019 (Decree 9,772).
LOCAL_OFFSET_MS = -3 * HOUR_MS

_HOLIDAYS = ("01-01", "04-21", "05-01", "09-07", "10-12", "11-02", "11-15", "11-20", "12-25")


@dataclass(frozen=True)
class Day:
    """24 hours from `start` (UTC milliseconds); they may begin at any hour and contain each local hour once."""

    index: int
    start: int

    @property
    def end(self) -> int:
        """Return the first millisecond after the day."""
        return self.start + DAY_MS

    def place(self, hours: Floats) -> Ints:
        """Return the moment of this day at local time `hours` (any real number, taken mod 24)."""
        offset = ((self.start + LOCAL_OFFSET_MS) % DAY_MS) / HOUR_MS
        within = ((hours - offset) % 24.0) * HOUR_MS
        return self.start + np.minimum(within.astype(np.int64), DAY_MS - 1)

    def local_dates(self) -> tuple[int, int]:
        """Return the first and last local date, as days since 1970 (equal if the day begins at local midnight)."""
        return int(local_date(np.array(self.start))), int(local_date(np.array(self.end - 1)))


def local_date(at: Ints) -> Ints:
    """Return the local date, in days since 1970."""
    return (at + LOCAL_OFFSET_MS) // DAY_MS


def local_hour(at: Ints) -> Floats:
    """Return the local time of day, in hours."""
    return ((at + LOCAL_OFFSET_MS) % DAY_MS) / HOUR_MS


def is_night(at: Ints, from_hour: Ints | None = None) -> Flags:
    """Return whether it is night by shared/features/limits.yaml, or since the customers' own hours."""
    hour, night = local_hour(at), limits_in_force().night
    return (hour >= (night.from_hour if from_hour is None else from_hour)) | (hour < night.until_hour)


def weekday(date: int) -> int:
    """Return the weekday of a date in days since 1970; Monday is 0.

    >>> weekday(0)
    3
    """
    return (date + 3) % 7


def day_of_month(date: int) -> int:
    """Return the day of the month, from 1."""
    moment = np.datetime64(int(date), "D")
    return int((moment - moment.astype("datetime64[M]").astype("datetime64[D]")).astype(int)) + 1


@lru_cache(maxsize=1024)
def is_payday(date: int) -> bool:
    """Return whether wages are due: on the fifth business day of the month (CLT, art. 459)."""
    month = np.datetime64(int(date), "D").astype("datetime64[M]")
    year = str(month)[:4]
    holidays = np.array([f"{year}-{holiday}" for holiday in _HOLIDAYS], dtype="datetime64[D]")
    fifth = np.busday_offset(month.astype("datetime64[D]"), 4, roll="forward", holidays=holidays)
    return bool(fifth == np.datetime64(int(date), "D"))

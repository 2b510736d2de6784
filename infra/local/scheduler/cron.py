"""Schedules: `@every 90s`, or the five fields of cron as Cloud Scheduler reads them, in UTC."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

_EVERY = re.compile(r"@every (\d+)([smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}
_BOUNDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
_PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")
_HORIZON = timedelta(days=366 * 8)  # 29 February may be eight years away


class Schedule(Protocol):
    """The times at which a job is due."""

    def after(self, moment: datetime) -> datetime:
        """Return the first due time after the moment."""
        ...


@dataclass(frozen=True)
class Every:
    """Due at a fixed interval."""

    interval: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return the moment plus the interval."""
        return moment + self.interval


@dataclass(frozen=True)
class Cron:
    """Due in each minute that matches all fields. If day and weekday are both restricted, either may match."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool = False

    def after(self, moment: datetime) -> datetime:
        """Return the first matching minute after the moment; raises ValueError if no date matches."""
        candidate = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        # Skip the rest of a month, day or hour that does not match, instead of trying each of its minutes.
        while candidate - moment < _HORIZON:
            if candidate.month not in self.months or not self._matches_day(candidate):
                candidate = candidate.replace(hour=0, minute=0) + timedelta(days=1)
            elif candidate.hour not in self.hours:
                candidate = candidate.replace(minute=0) + timedelta(hours=1)
            elif candidate.minute not in self.minutes:
                candidate += timedelta(minutes=1)
            else:
                return candidate
        raise ValueError("the schedule names a date that does not exist")

    def _matches_day(self, moment: datetime) -> bool:
        by_month, by_week = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return (by_month or by_week) if self.either_day else (by_month and by_week)


def parse_schedule(text: str) -> Schedule:
    """Parse a schedule; raises ValueError with the invalid part.

    >>> parse_schedule("@every 2m").interval
    datetime.timedelta(seconds=120)
    >>> parse_schedule("30 3 * * 1-5").after(datetime(2026, 11, 20, 12))
    datetime.datetime(2026, 11, 23, 3, 30)
    """
    if match := _EVERY.fullmatch(text):
        seconds = int(match[1]) * _UNITS[match[2]]
        if seconds == 0:
            raise ValueError(f"'{text}' has no interval")
        return Every(timedelta(seconds=seconds))
    fields = text.split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"'{text}' is neither '@every <n>s|m|h' nor the five fields minute hour day month weekday")
    minutes, hours, days, months, weekdays = map(parse_field, _BOUNDS, fields)
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    return Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def parse_field(name: str, text: str) -> frozenset[int]:
    """Parse one field: *, numbers, ranges, steps and lists of them.

    >>> sorted(parse_field("minute", "*/20,5,7-9"))
    [0, 5, 7, 8, 9, 20, 40]
    """
    return frozenset().union(*(_parse_part(name, part) for part in text.split(",")))


def _parse_part(name: str, text: str) -> range:
    low, high = _BOUNDS[name]
    match = _PART.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not a {name}")
    first, last, step = match.groups()
    # A step without a range counts from its number to the end: 5/15 is 5, 20, 35, 50.
    start = int(first) if first else low
    stop = int(last) if last else (start if first and not step else high)
    if not low <= start <= stop <= high or step == "0":
        raise ValueError(f"'{text}' is not a {name} between {low} and {high}")
    return range(start, stop + 1, int(step or 1))

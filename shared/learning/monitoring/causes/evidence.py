"""The evidence in the values of a source about the reason of its change.

Signs of a fault: values went missing, a factor of 100 or 1,000, one value for nearly all, clocks off by whole hours,
statistics that nobody renews. A change that begins at a minute is one of a system rather than of people. History
lacks values whenever people change their ways, so only a step counts there.

A fault may begin at any hour, so the later half of a day is looked at too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.monitoring.causes.rows import CauseRows
from shared.learning.monitoring.causes.step import step_of

Sign = Literal["MISSING", "FACTOR", "ONE_VALUE", "WHOLE_HOURS", "STALE", "STEP"]
ROWS_MIN = 30
"""Rows below which a sign is chance."""
_FACTORS = (100.0, 1_000.0, 0.01, 0.001)
_NEAR = 1.6  # quartiles of a few amounts, some of before the fault, may be off by as much
_MOST, _FEW, _RISE = 0.98, 0.6, 0.2
_SIGMAS = 6.0  # some thousand features and publishers are looked at
_STALE_DAYS = 0.5
_EXACT_HOURS = 0.05
"""Hours by which clocks that are off by whole ones differ from that, at the median."""
_HOUR_MICROS = 3_600_000_000
_AMOUNT, _HOUR, _WATERMARK = "amount", "hour", "dict_watermark_age"


class CauseEvidence(Struct, frozen=True):
    """A sign in a feature: its figure before and on the day, and the minute (UTC) of a STEP."""

    sign: Sign
    feature: str
    before: float
    after: float
    at: dt.datetime | None = None

    @property
    def text(self) -> str:
        """Return the sign in words.

        >>> CauseEvidence("MISSING", "key_age", 0.1, 1.0).text
        'key_age missing in 100% (10%)'
        """
        if self.sign == "STEP":
            return f"{self.feature} changes at {self.at:%H:%M} UTC"
        if self.sign == "MISSING":
            return f"{self.feature} missing in {self.after:.0%} ({self.before:.0%})"
        words = {
            "FACTOR": "median {a:g} ({b:g}), a power of ten",
            "ONE_VALUE": "one value in {a:.0%} ({b:.0%})",
            "WHOLE_HOURS": "{a:+.1f} h from the minute of the id ({b:+.1f} h)",
            "STALE": "median {a:.1f} d ({b:.1f} d)",
        }[self.sign]
        return f"{self.feature} " + words.format(a=self.after, b=self.before)


Values = NDArray[np.float32]


def faults(rows: CauseRows, reference: CauseRows, places: Sequence[int]) -> list[CauseEvidence]:
    """Return the signs of a fault in the features of a source of the message, at `places`, the clearest of each."""
    if min(len(rows), len(reference)) < ROWS_MIN:
        return []
    later = rows.take(np.arange(len(rows) // 2, len(rows)))
    found = [one for part in (rows, later) for place in places for one in _signs(part, reference, place)]
    found += _half_missing(rows, reference, places)
    return list({one.sign: one for one in sorted(found, key=lambda one: abs(one.after - one.before))}.values())


def step(rows: CauseRows, reference: CauseRows, places: Sequence[int]) -> list[CauseEvidence]:
    """Return the clearest minute from which a feature at `places` is another, if any."""
    found = []
    for place in places:
        one = step_of(rows.at, rows.features[:, place], reference.at, reference.features[:, place])
        if one is not None:
            found.append((one.sigmas, CauseEvidence("STEP", FEATURE_NAMES[place], one.before, one.after, one.at)))
    return [max(found, key=lambda each: each[0])[1]] if found else []


def _signs(rows: CauseRows, reference: CauseRows, place: int) -> Iterator[CauseEvidence]:
    name, today, before = FEATURE_NAMES[place], rows.features[:, place], reference.features[:, place]
    now, was = float(np.isnan(today).mean()), float(np.isnan(before).mean())
    if now >= _MOST and was <= _FEW and _sure(now, len(today), was, len(before)):
        yield CauseEvidence("MISSING", name, was, now)
    yield from _one_value(name, today, before)
    if name == _AMOUNT:
        yield from _factor(today, before)
    if name == _HOUR:
        yield from _hours(rows, reference)
    if name == _WATERMARK:
        yield from _stale(today, before)


def _half_missing(rows: CauseRows, reference: CauseRows, places: Sequence[int]) -> Iterator[CauseEvidence]:
    """Yield features that went missing in part, from one minute on."""
    for place in places:
        today, before = np.isnan(rows.features[:, place]), np.isnan(reference.features[:, place])
        now, was = float(today.mean()), float(before.mean())
        if now - was > _RISE and _sure(now, len(today), was, len(before)) and step(rows, reference, [place]):
            yield CauseEvidence("MISSING", FEATURE_NAMES[place], was, now)


def _sure(now: float, rows: int, was: float, before: int) -> bool:
    """Return whether two shares differ by more than chance; one row more or less is never more."""
    both = (now * rows + was * before + 1) / (rows + before + 2)
    return abs(now - was) > _SIGMAS * float(np.sqrt(both * (1 - both) * (1 / rows + 1 / before)))


def _one_value(name: str, today: Values, before: Values) -> Iterator[CauseEvidence]:
    """Yield the sign that one value, or one day of an age, is nearly everywhere, and was not."""
    whole = [np.floor(each) if name.endswith("_age") else each.round(3) for each in (today, before)]
    values, counts = np.unique(whole[0][~np.isnan(whole[0])], return_counts=True)
    if not len(values):
        return
    now, was = float(counts.max() / len(today)), float((whole[1] == values[counts.argmax()]).mean())
    if now >= _MOST and was <= _FEW and _sure(now, len(today), was, len(before)):
        yield CauseEvidence("ONE_VALUE", name, was, now)


def _factor(today: Values, before: Values) -> Iterator[CauseEvidence]:
    """Yield the sign that amounts are a power of ten times those of before, by quartiles."""
    now, was = (np.nanquantile(each.astype(np.float64), (0.25, 0.5, 0.75)) for each in (today, before))
    ratios = now / np.maximum(was, 1e-9)
    if any(np.all((ratios < factor * _NEAR) & (ratios > factor / _NEAR)) for factor in _FACTORS):
        yield CauseEvidence("FACTOR", _AMOUNT, float(was[1]), float(now[1]))


def _hours(rows: CauseRows, reference: CauseRows) -> Iterator[CauseEvidence]:
    """Yield the sign that times are whole hours away from the minute that an EndToEndId begins with."""
    now, was = (float(np.median(_hours_from_id(each))) for each in (rows, reference))
    moved = now - was
    if round(moved) and abs(moved - round(moved)) < _EXACT_HOURS:
        yield CauseEvidence("WHOLE_HOURS", _HOUR, was, now)


def _hours_from_id(rows: CauseRows) -> NDArray[np.float64]:
    """Return the hours from the minute in each id, `E` and ISPB before it, to its time; 0 where it has none."""
    ends = ((9, 13), (13, 15), (15, 17), (17, 19), (19, 21))
    hours = np.zeros(len(rows))
    for number, id_ in enumerate(rows.ids.tolist()):
        year, month, day, hour, minute = (id_[start:end] for start, end in ends)
        try:
            at = np.datetime64(f"{year}-{month}-{day}T{hour}:{minute}", "us")
        except ValueError:
            continue  # an id of an older file
        hours[number] = (int(rows.at[number]) - int(at.astype(np.int64))) / _HOUR_MICROS
    return hours


def _stale(today: Values, before: Values) -> Iterator[CauseEvidence]:
    known = [each[~np.isnan(each)] for each in (today, before)]
    if min(len(each) for each in known) < ROWS_MIN:
        return
    now, was = (float(np.median(each)) for each in known)
    if now - was > _STALE_DAYS:
        yield CauseEvidence("STALE", _WATERMARK, was, now)

"""The minute of a day from which a feature is another: a system changes at once, people do not."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.contract.event import EPOCH

_SIGMAS = 6.0
_ROWS = 20
"""Rows before and after a step."""
_RISE = 0.2
_LIKE = 4.0
"""How much nearer to its usual share the part before a step is than the part after it."""
_MINUTE, _DAY = 60_000_000, 86_400_000_000


class ValueStep(NamedTuple):
    """A change of the share of rows that have a mark, in standard errors, with the shares before and after it."""

    sigmas: float
    at: dt.datetime
    before: float
    after: float


def step_of(
    at: NDArray[np.int64], values: NDArray[np.float32], usual_at: NDArray[np.int64], usual: NDArray[np.float32]
) -> ValueStep | None:
    """Return the clearest step of a feature over rows [n] in order of time, None if there is none.

    The marks are that the feature is missing, and that it is above its usual median. Before a step the share must be
    the usual one, after it another than at the same hours of the days before.
    """
    present = usual[~np.isnan(usual)]
    middle = float(np.median(present)) if len(present) else 0.0
    marks = ((np.isnan(values), np.isnan(usual)), (values > middle, usual > middle))
    found = [one for mark in marks if (one := _step(at, usual_at, *mark))]
    return max(found, key=lambda one: one.sigmas, default=None)


def _step(
    at: NDArray[np.int64], usual_at: NDArray[np.int64], marked: NDArray[np.bool_], usual: NDArray[np.bool_]
) -> ValueStep | None:
    count = len(marked)
    if count < 2 * _ROWS or not len(usual):
        return None
    sums, ends = np.cumsum(marked), np.arange(_ROWS, count - _ROWS + 1)
    before, after = sums[ends - 1] / ends, (sums[-1] - sums[ends - 1]) / (count - ends)
    spread = np.sqrt(max(float(marked.mean() * (1 - marked.mean())), 1 / count) * (1 / ends + 1 / (count - ends)))
    best = int((np.abs(after - before) / spread).argmax())
    sigmas, low, high = float(np.abs(after - before)[best] / spread[best]), float(before[best]), float(after[best])
    moment = int(at[ends[best]]) if ends[best] < count else int(at[-1])
    hours = usual_at % _DAY >= moment % _DAY
    was = [float(usual[own].mean()) if own.any() else float(usual.mean()) for own in (~hours, hours)]
    is_step = sigmas > _SIGMAS and abs(high - was[1]) > max(_RISE, _LIKE * abs(low - was[0]))
    if not is_step or abs(high - low) < _RISE:
        return None
    return ValueStep(sigmas, EPOCH + dt.timedelta(microseconds=moment // _MINUTE * _MINUTE), low, high)

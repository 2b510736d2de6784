"""Distributions of a feature as counts by bin, and how far one has moved from another, in the model's contributions.

The distance that weighs, in log-odds of the raw score, is the sum over bins of |a - e| |c - m|: the shares a of the
rows and e of the reference, the model's mean contribution c in the bin, and m its mean over the reference. It is the
most that the move of one feature can have moved the mean score, and 0 for a feature that the model ignores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.learning.data.profile import ColumnProfile

_FLOOR = 1e-3  # least share of a bin, as in `shared.learning.data.profile.stability_index`


class Histogram(Struct, frozen=True):
    """Rows of a column: number missing, and those up to each edge, between edges, and above the last."""

    edges: list[float]
    missing: int
    counts: list[int]

    @property
    def rows(self) -> int:
        """All rows."""
        return self.missing + sum(self.counts)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of missing values, then of each bin."""
        return np.array([self.missing, *self.counts], dtype=np.float64) / max(self.rows, 1)

    def on(self, edges: Sequence[float]) -> Histogram:
        """Return the counts between fewer edges, each one of these. Raises KeyError for another one.

        >>> Histogram([0.0, 1.0], 2, [3, 4, 5]).on([1.0])
        Histogram(edges=[1.0], missing=2, counts=[7, 5])
        """
        if edges == self.edges:
            return self
        below = dict(zip(self.edges, np.cumsum(self.counts[:-1]).tolist(), strict=True))
        ends = [0, *(below[edge] for edge in edges), sum(self.counts)]
        return Histogram(list(edges), self.missing, [after - before for before, after in pairwise(ends)])

    def __add__(self, other: Histogram) -> Histogram:
        """Return the rows of both, which have the same edges."""
        counts = [one + another for one, another in zip(self.counts, other.counts, strict=True)]
        return Histogram(self.edges, self.missing + other.missing, counts)

    def __sub__(self, other: Histogram) -> Histogram:
        """Return the rows without those of a part of them."""
        counts = [one - another for one, another in zip(self.counts, other.counts, strict=True)]
        return Histogram(self.edges, self.missing - other.missing, counts)


def of_profile(profile: ColumnProfile) -> Histogram:
    """Return the histogram of a bundle's profile.

    >>> of_profile(ColumnProfile(missing=0.5, edges=[1.0], counts=[3, 1])).missing
    4
    """
    counts = profile.counts or [0]
    present = sum(counts)
    share = profile.missing
    missing = round(present * share / (1 - share)) if share < 1 else 1
    return Histogram(profile.edges, missing, counts)


def common(one: Histogram, other: Histogram) -> list[float]:
    """Return the edges that both have."""
    return sorted(set(one.edges) & set(other.edges))


def stability(rows: Histogram, reference: Histogram) -> float:
    """Return the population stability index of rows against a reference with the same edges.

    >>> round(stability(Histogram([0.0], 0, [1, 3]), Histogram([0.0], 0, [5, 5])), 3)
    0.275
    """
    actual, expected = np.maximum(rows.shares, _FLOOR), np.maximum(reference.shares, _FLOOR)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def unseen(rows: Histogram, reference: Histogram) -> float:
    """Return the share of rows where the reference, with the same edges, has none.

    >>> unseen(Histogram([0.0], 1, [1, 2]), Histogram([0.0], 0, [4, 0]))
    0.75
    """
    return float(rows.shares[reference.shares == 0].sum())


def moved(rows: Histogram, reference: Histogram, effects: NDArray[np.float64]) -> float:
    """Return by how much rows moved from a reference with the same edges, weighed by `effects` [bins], in log-odds.

    >>> moved(Histogram([0.0], 0, [1, 3]), Histogram([0.0], 0, [2, 2]), np.array([0.0, -1.0, 1.0]))
    0.5
    """
    expected = reference.shares
    centred = np.abs(effects - float(expected @ effects))
    return float(np.abs(rows.shares - expected) @ centred)


def effects_on(edges: Sequence[float], profile: ColumnProfile) -> NDArray[np.float64]:
    """Return the contribution of missing values, then of each bin between `edges`, by a bundle's profile; 0 without.

    A bin of several of the profile's has the mean of theirs, by their rows. A bin without rows is like the nearest
    one, as trees are: the model has seen nothing there.

    >>> effects_on([1.0], ColumnProfile(0.0, [1.0, 2.0], [1, 1, 3], [None, -1.0, 0.0, 1.0])).tolist()
    [0.0, -1.0, 0.75]
    """
    if profile.effects is None or not profile.edges:
        return np.zeros(len(edges) + 2)
    missing, *known = profile.effects
    own = _filled(known)
    counts = np.array(profile.counts, dtype=np.float64)
    inner = np.array(profile.edges)
    bounds = [-math.inf, *edges, math.inf]
    found = []
    for low, high in pairwise(bounds):
        first, last = np.searchsorted(inner, low, side="right"), np.searchsorted(inner, high, side="left")
        part, weight = own[first : last + 1], counts[first : last + 1]
        found.append(float(np.average(part, weights=weight)) if weight.sum() else float(part.mean()))
    return np.array([0.0 if missing is None else missing, *found])


def _filled(known: Sequence[float | None]) -> NDArray[np.float64]:
    """Return the effects of bins, that of the nearest one where there is none."""
    present = [number for number, value in enumerate(known) if value is not None]
    if not present:
        return np.zeros(len(known))
    nearest = [min(present, key=lambda number: abs(number - each)) for each in range(len(known))]
    return np.array([known[number] for number in nearest], dtype=np.float64)


def weight(profile: ColumnProfile) -> float:
    """Return the model's mean absolute contribution by a feature, in log-odds: 0 for one that it ignores.

    >>> weight(ColumnProfile(0.0, [1.0], [1, 3], [None, -3.0, 1.0]))
    1.5
    """
    reference = of_profile(profile)
    effects = effects_on(profile.edges, profile)
    return float(reference.shares @ np.abs(effects - float(reference.shares @ effects)))


def summed(parts: Sequence[Mapping[str, Histogram]]) -> dict[str, Histogram]:
    """Return the histograms of all parts together, by feature."""
    found: dict[str, Histogram] = {}
    for part in parts:
        for name, one in part.items():
            found[name] = found[name] + one if name in found else one
    return found

"""Compare served features with those that a replay computes.

Three differences are allowed, all from rounding:

- A read of history is rounded to float32, and the last bit of its double depends on the order of summation
  within a batch: one unit in the last place (ulp). Rounding the feature adds another.
- Some features subtract or divide nearly equal reads, which enlarges that ulp. If a feature differs by more, each
  read is moved by one ulp either way, and the resulting movement of the feature is allowed.
- A reversed verdict leaves 0, or the last bit of the double it was added to (2e-16 for one fraud), which is many ulp
  away from 0. So differences below 1e-9 (of a count, a ratio, BRL, an hour) are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.features.catalogue import FEATURE_NAMES
from shared.features.columns import Columns
from shared.features.vector import feature_matrix

Vectors = NDArray[np.float32]

TOLERANCE_ULP = 1
TOLERANCE = 1e-9
_EXAMINED = 1_000
"""Rows examined for the effect of rounding; in further rows every difference counts."""
_NO_NUMBER = np.iinfo(np.int64).max


class Difference(NamedTuple):
    """The differences of one feature: their number, and the largest."""

    rows: int
    largest: float | None
    """None: one is missing where the other is not."""
    ulp: int | None
    end_to_end_id: str


@dataclass(slots=True)
class Comparison:
    """Count differences between features as served and as replayed."""

    rows: int = 0
    rounded: int = 0
    """Values that differ by no more than rounding."""
    differing_rows: int = 0
    features: dict[str, Difference] = field(default_factory=dict)
    _examined: int = 0

    def add(
        self, ids: NDArray[np.object_], served: Vectors, replayed: Vectors, known: Columns, reads: Vectors
    ) -> None:
        """Compare vectors [n, F] of transactions, given their facts and the replayed reads of history."""
        self.rows += len(served)
        apart = ulps(served, replayed)
        distance = np.abs(served.astype(np.float64) - replayed)
        differs = (apart > TOLERANCE_ULP) & ~(distance < TOLERANCE)
        self.rounded += int(np.count_nonzero(apart)) - int(np.count_nonzero(differs))
        for row in np.flatnonzero(differs.any(axis=1)).tolist():
            if self._examined < _EXAMINED:
                self._examined += 1
                reach = rounding_reach(known[row : row + 1], reads[row : row + 1])
                excused = differs[row] & ((distance[row] <= reach) | np.isinf(reach))
                differs[row] &= ~excused
                self.rounded += int(np.count_nonzero(excused))
        self.differing_rows += int(np.count_nonzero(differs.any(axis=1)))
        for column in np.flatnonzero(differs.any(axis=0)).tolist():
            rows = np.flatnonzero(differs[:, column])
            self._note(FEATURE_NAMES[column], ids[rows], served[rows, column], replayed[rows, column])

    def _note(self, name: str, ids: NDArray[np.object_], served: Vectors, replayed: Vectors) -> None:
        apart = ulps(served, replayed)
        worst = int(np.argmax(apart))
        missing = apart[worst] == _NO_NUMBER
        found = Difference(
            len(ids),
            None if missing else abs(float(served[worst]) - float(replayed[worst])),
            None if missing else int(apart[worst]),
            str(ids[worst]),
        )
        before = self.features.get(name)
        if before is not None:
            worse = found if _weight(found) > _weight(before) else before
            found = worse._replace(rows=before.rows + found.rows)
        self.features[name] = found


def ulps(one: Vectors, other: Vectors) -> NDArray[np.int64]:
    """Return how many float32 lie between values; two that are missing are equal.

    >>> ulps(np.float32([1, 1, np.nan]), np.float32([1, 1 + 2**-23, np.nan])).tolist()
    [0, 1, 0]
    """
    missing, lacking = np.isnan(one), np.isnan(other)
    apart = np.abs(_ordered(one) - _ordered(other))
    return np.where(missing | lacking, np.where(missing & lacking, 0, _NO_NUMBER), apart)


def rounding_reach(known: Columns, reads: Vectors) -> NDArray[np.float64]:
    """Return how far one ulp in each read, up or down, and one ulp of its own move each feature [F] of one row.

    Infinite where it makes the feature come or go.
    """
    width = reads.shape[1]
    moved = np.repeat(reads, 2 * width + 1, axis=0)
    diagonal = np.arange(width)
    moved[1 + diagonal, diagonal] = np.nextafter(reads[0], np.float32(np.inf))
    moved[1 + width + diagonal, diagonal] = np.nextafter(reads[0], np.float32(-np.inf))
    vectors = feature_matrix(known[np.zeros(len(moved), dtype=np.int64)], moved).astype(np.float64)
    steps = np.abs(vectors[1:] - vectors[0]).reshape(2, width, -1)
    vanishes = np.isnan(vectors[1:]) != np.isnan(vectors[0])
    reach = np.nan_to_num(steps).max(axis=0).sum(axis=0) + np.spacing(np.abs(vectors[0]).astype(np.float32))
    return np.where(vanishes.any(axis=0), np.inf, reach)


def _ordered(values: Vectors) -> NDArray[np.int64]:
    """Return integers [..] that are ordered and spaced as float32 are; both zeros are 0."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _weight(difference: Difference) -> int:
    return _NO_NUMBER if difference.ulp is None else difference.ulp

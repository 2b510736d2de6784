"""Groups of rows that are one observation: both sides of a Pix, where they are in one segment.

The two decisions on a Pix are alike, so intervals that took them for two observations would be too narrow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Clusters(NamedTuple):
    """The cluster of each row, `cluster` [n] from 0, and the segment of each cluster, `codes` [clusters]."""

    cluster: NDArray[np.intp]
    codes: NDArray[np.intp]

    @classmethod
    def of(cls, pix: NDArray[np.int32], codes: NDArray[np.intp]) -> Clusters:
        """Return the clusters of rows with these Pix and segments [n], the rows of a Pix being adjacent.

        >>> Clusters.of(np.int32([0, 0, 1, 1, 2]), np.array([3, 3, 3, 4, 4])).cluster.tolist()
        [0, 0, 1, 2, 3]
        """
        first = np.ones(len(pix), dtype=bool)
        first[1:] = (np.diff(pix) != 0) | (np.diff(codes) != 0)
        return cls(np.cumsum(first) - 1, codes[first])

    def totals(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the sum of `values` [n] in each cluster, float64 [clusters]."""
        added = np.bincount(self.cluster, weights=values.astype(np.float64), minlength=len(self.codes))
        return added.astype(np.float64)

    def squares(self, values: NDArray[np.generic], size: int) -> NDArray[np.float64]:
        """Return the sum of squared cluster totals in each of `size` segments, float64 [size]."""
        return np.bincount(self.codes, weights=self.totals(values) ** 2, minlength=size).astype(np.float64)

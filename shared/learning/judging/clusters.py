"""Groups of rows that are one observation: both sides of a Pix, and the Pix of one campaign.

The two decisions on a Pix are alike, and so are those on the frauds of one account or of one funds recovery, so
intervals that took them for many observations would be too narrow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Clusters(NamedTuple):
    """The cluster of each row, `cluster` [n] from 0, and the segment of each cluster, `codes` [clusters]."""

    cluster: NDArray[np.intp]
    codes: NDArray[np.intp]

    @classmethod
    def of(cls, group: NDArray[np.integer], codes: NDArray[np.intp]) -> Clusters:
        """Return the clusters of rows with these groups, as Pix or campaigns, and segments [n].

        >>> Clusters.of(np.int32([0, 0, 1, 1, 0]), np.array([3, 3, 3, 4, 3])).cluster.tolist()
        [0, 0, 1, 2, 0]
        """
        size = np.int64(codes.max(initial=0) + 1)
        pairs, cluster = np.unique(group.astype(np.int64) * size + codes, return_inverse=True)
        return cls(cluster.astype(np.intp), (pairs % size).astype(np.intp))

    def totals(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the sum of `values` [n] in each cluster, float64 [clusters]."""
        added = np.bincount(self.cluster, weights=values.astype(np.float64), minlength=len(self.codes))
        return added.astype(np.float64)

    def squares(self, values: NDArray[np.generic], size: int) -> NDArray[np.float64]:
        """Return the sum of squared cluster totals in each of `size` segments, float64 [size]."""
        return np.bincount(self.codes, weights=self.totals(values) ** 2, minlength=size).astype(np.float64)


def campaigns(pix: NDArray[np.int32], *shared: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return the campaign of each row [n], numbered from 0: rows of one Pix, or with one code in any of `shared`.

    Codes [n], as of an account or of a funds recovery, are 0 where there is none. Groups that overlap are one.

    >>> campaigns(np.int32([0, 0, 1, 2, 3]), np.int32([0, 7, 7, 0, 0]), np.int32([0, 0, 0, 4, 4])).tolist()
    [0, 0, 0, 1, 1]
    """
    rows = np.arange(len(pix))
    edges, offset = [np.unique(pix, return_inverse=True)[1] + len(pix)], 2 * len(pix)
    known = [rows]
    for codes in shared:
        at = np.flatnonzero(codes)
        known.append(at)
        edges.append(codes[at].astype(np.intp) + offset)
        offset += int(codes.max(initial=0)) + 1
    ends = np.concatenate(known), np.concatenate(edges)
    graph = coo_array((np.ones(len(ends[0]), dtype=bool), ends), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][: len(pix)]
    return np.unique(component, return_inverse=True)[1].astype(np.intp)

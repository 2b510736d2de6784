"""Array types of columns, and weighted sampling of rows."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def by_weight(rng: Generator, weight: Floats, count: int) -> Ints:
    """Draw `count` rows with probability proportional to weight; some weight must be positive."""
    cumulative = np.cumsum(weight)
    rows: Ints = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    # The product may round up to the total, which is past the last row.
    last = int(np.flatnonzero(weight)[-1])
    return rows.clip(max=last)

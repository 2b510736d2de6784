"""The stored form of records of history, as `Layout.packed` describes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.features.arrays import Floats
from shared.features.layout import Layout


def packed(layout: Layout, records: Floats) -> NDArray[np.void]:
    """Return the stored form [n] of records [n, width].

    >>> from shared.features.layout import PERSON
    >>> packed(PERSON, np.array([[1e9, 5000.0]])).tobytes().hex()
    '00ca9a3b000000000088b340'
    """
    found = np.empty(len(records), dtype=layout.packed)
    for place, name in enumerate(layout.names):
        values = records[:, place]
        if layout.types[place] == "u4":
            values = np.where(np.isinf(values), 0.0, np.abs(values))
        found[name] = values
    return found


def unpacked(layout: Layout, stored: NDArray[np.void]) -> Floats:
    """Return the records [n, width] of their stored form [n]."""
    records = np.stack([stored[name].astype(np.float64) for name in layout.names], axis=1)
    times = records[:, : len(layout.signs)]
    np.copyto(times, np.where(times == 0.0, -np.inf, times * layout.signs))
    return records

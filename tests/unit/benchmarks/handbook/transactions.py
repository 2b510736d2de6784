"""Few transactions at one terminal."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.handbook.features import Transactions
from tests.benchmarks.handbook.protocol import (
    Stream,
)


def transactions(fraud: list[bool], hours: list[float]) -> Transactions:
    """Return Pix of one customer each to one terminal."""
    n = len(fraud)
    at = 1.5e9 + np.array(hours) * 3600.0
    numbers = np.arange(n, dtype=np.int32)
    return Transactions(
        at, np.full(n, 10.0), np.zeros(n, np.int32), Stream(np.zeros(n, np.int32), numbers, np.array(fraud))
    )

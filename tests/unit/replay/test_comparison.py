"""The distance between floats."""

import numpy as np

from shared.replay.comparison import ulps


def test_the_distance_between_floats_counts_floats() -> None:
    one = np.array([1, -1, 0.0, np.nan, np.nan, 2**-149], np.float32)
    other = np.array([1 + 2**-23, -1 + 2**-24, -0.0, np.nan, 1, -(2**-149)], np.float32)
    assert ulps(one, other)[:4].tolist() == [1, 1, 0, 0]
    assert ulps(one, other)[4] > 2**40
    assert ulps(one, other)[5] == 2

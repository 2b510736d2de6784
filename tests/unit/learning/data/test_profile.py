"""Profiles of columns."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from shared.learning.data.profile import describe


def test_profile_counts_every_value() -> None:
    column = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert sum(describe(column)["counts"]) == 1000
    assert describe(column)["median"] == pytest.approx(np.median(column))
    column[:600] = np.nan
    assert describe(column)["median"] is None
    assert describe(np.full(5, np.nan))["missing"] == 1.0
    msgspec.json.encode(describe(column))

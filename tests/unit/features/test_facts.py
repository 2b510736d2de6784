"""Facts: what a settlement counts by."""

from __future__ import annotations

import numpy as np

from shared.features.facts import extras, implied_features, put_implying
from shared.features.history import READ_WIDTH

ROWS = 200


def reads_of(chance: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return reads of accounts, pairs and devices, of which some are missing or had nothing yet."""
    found = chance.gamma(1.0, 3.0, (ROWS, READ_WIDTH))
    found[chance.random(found.shape) < 0.3] = 0.0
    found[chance.random(found.shape) < 0.1] = np.nan
    return found.astype(np.float32)


def test_reads_take_the_features_by_which_a_settlement_counted_before() -> None:
    chance = np.random.default_rng(1)
    amount = np.round(chance.uniform(0.01, 9_000.0, ROWS), 2)
    first, again = reads_of(chance), reads_of(chance)
    implied = implied_features(first, amount)
    put_implying(again, implied, amount)
    np.testing.assert_allclose(extras(implied_features(again, amount), amount), extras(implied, amount), rtol=1e-6)

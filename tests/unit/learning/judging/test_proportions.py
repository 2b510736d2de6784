"""The sign test of paired outcomes, also where rows have weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from shared.learning.judging.proportions import chance_of_loss
from shared.learning.judging.saving import discordant

COUNTS = st.integers(0, 60)


@given(COUNTS, COUNTS)
def test_between_whole_numbers_it_is_the_exact_test(gained: int, lost: int) -> None:
    exact = float(binom.cdf(gained, gained + lost, 0.5))
    assert chance_of_loss(gained, lost) == pytest.approx(exact)
    assert chance_of_loss(gained + 0.5, lost) >= chance_of_loss(gained, lost)
    assert chance_of_loss(gained, lost + 0.5) <= chance_of_loss(gained, lost)


def test_a_loss_that_stands_for_many_is_one_observation_of_much_weight() -> None:
    alone = np.arange(12)
    change = np.array([1.0] * 10 + [-1.0] * 2)
    gained, lost = discordant(change, np.array([1.0] * 10 + [20.0] * 2), alone)
    assert lost > 3 * gained
    assert gained + lost == pytest.approx(50**2 / 810)  # two rows of weight 20 tell as much as three alike
    assert 0.02 < chance_of_loss(gained, lost) < 0.5
    assert discordant(change, np.ones(12), alone) == (10.0, 2.0)

"""The rows and weights of a test period."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from shared.learning.judging import comparison
from shared.scoring.bundle import Bundle
from tests.unit.learning.judging.reviews import DATA, RULES, SPACIOUS, TEST, bundle


@pytest.mark.parametrize(
    ("seen", "rows", "notice"),
    [
        (1_199, 1_200, ""),
        (1_499, 900, "Only rows after"),
        (2_300, 1_200, "too few frauds"),
        (None, 1_200, "not known"),
    ],
)
def test_training_rows_of_the_champion_are_left_out(seen: int | None, rows: int, notice: str) -> None:
    of = comparison.TestPeriod.of(DATA, TEST, RULES, SPACIOUS, bundle("champion", seen=seen))
    assert len(of.truth.fraud) == rows
    assert notice in of.notice
    assert bool(of.notice) is bool(notice)


def test_weights_count_in_the_figures_of_a_model(strong: Bundle, period: comparison.TestPeriod) -> None:
    heavier = dataclasses.replace(DATA, weight=np.where(DATA.fraud, 1.0, 4.0))
    there = comparison.TestPeriod.of(heavier, TEST, RULES, SPACIOUS).model(strong).evaluation
    here = period.model(strong).evaluation
    assert there.pix == pytest.approx(4 * (here.pix - here.frauds) + here.frauds)
    assert there.recall == here.recall
    assert there.precision < here.precision

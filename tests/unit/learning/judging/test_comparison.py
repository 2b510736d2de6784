"""The rows and weights of a test period."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from shared.learning.data.key_columns import Categories
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


def test_frauds_of_one_account_or_recovery_are_one_campaign() -> None:
    def fact(groups: dict[int, int]) -> Categories:
        codes = np.zeros(len(DATA), np.int32)
        codes[list(groups)] = list(groups.values())
        return Categories(("", "1", "2"), codes)

    frauds = np.flatnonzero(DATA.fraud[TEST])[:4].tolist()
    first, second, third, other = frauds
    facts = dict(DATA.facts) | {
        "payee_id": fact({TEST.start + first: 1, TEST.start + second: 1}),
        "funds_recovery_id": fact({TEST.start + second: 2, TEST.start + third: 2}),
    }
    found = comparison.TestPeriod.of(dataclasses.replace(DATA, facts=facts), TEST, RULES, SPACIOUS).campaign
    assert found[first] == found[second] == found[third] != found[other]
    assert len(np.unique(found)) == len(np.unique(DATA.pix[TEST])) - 2


def test_weights_count_in_the_figures_of_a_model(strong: Bundle, period: comparison.TestPeriod) -> None:
    heavier = dataclasses.replace(DATA, weight=np.where(DATA.fraud, 1.0, 4.0))
    there = comparison.TestPeriod.of(heavier, TEST, RULES, SPACIOUS).model(strong).evaluation
    here = period.model(strong).evaluation
    assert there.pix == pytest.approx(4 * (here.pix - here.frauds) + here.frauds)
    assert there.recall == here.recall
    assert there.precision < here.precision

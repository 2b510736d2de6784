"""Taint on later hops: precision and recall, and the values that fit closed reports."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.features.layout import DAY, HALF_LIVES, HOP
from shared.learning.judging.taint import (
    TAINTS,
    THRESHOLDS,
    HopLabels,
    Legitimate,
    detections,
    fit,
    shortage,
)

NONE_FLAGGED = Legitimate(100, np.zeros((len(TAINTS), len(THRESHOLDS)), dtype=np.int64))


def labels(hop: list[int], fraud: list[bool], taint: float = np.nan) -> HopLabels:
    n = len(hop)
    return HopLabels(np.array(hop), np.array(fraud), np.zeros(n), np.full((n, len(TAINTS)), taint))


def drawn(share: float, half_life: float, n: int, longest: float) -> HopLabels:
    """Return reports drawn from the model, with ages up to `longest` seconds."""
    rng = np.random.default_rng(1)
    hop: NDArray[np.int64] = rng.integers(2, 6, n)
    age = rng.uniform(0, longest, n)
    fraud = rng.random(n) < share ** (hop - 1) * np.exp2(-age / half_life)
    return HopLabels(hop, fraud, age, np.zeros((n, len(TAINTS))))


def test_recall_counts_the_frauds_of_a_hop_and_precision_the_legitimate_pix_too() -> None:
    found = HopLabels(
        np.array([2, 2, 2, 3]),
        np.array([True, True, False, True]),
        np.zeros(4),
        np.array([[0.3] * 4, [np.nan] * 4, [0.9] * 4, [0.05] * 4]),
    )
    flagged = np.full((len(TAINTS), len(THRESHOLDS)), 3)
    by_key = {(each.hop, each.taint, each.threshold): each for each in detections(found, Legitimate(100, flagged))}
    second = by_key[2, "payer_taint_7d", 0.25]
    assert (second.frauds, second.recall, second.precision) == (2, 0.5, 0.25)
    assert by_key[2, "payer_taint_7d", 0.5].recall == 0.0
    assert by_key[3, "payee_taint_30d", 0.05].recall == 1.0
    assert {hop for hop, _, _ in by_key} == {2, 3}


def test_hops_beyond_the_last_one_count_with_it() -> None:
    assert {each.hop for each in detections(labels([7], [True]), NONE_FLAGGED)} == {5}


def test_precision_is_missing_where_nothing_is_flagged() -> None:
    assert all(each.precision is None for each in detections(labels([2], [True]), NONE_FLAGGED))


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_fit_finds_the_share_passed_on(share: float) -> None:
    found = fit(drawn(share, HALF_LIVES["30d"], 3000, 7200.0))
    assert found.hop_interval.low <= share <= found.hop_interval.high
    assert found.hop_interval.high - found.hop_interval.low < 0.1
    assert max(found.log_likelihoods.values()) > found.current


@pytest.mark.parametrize("half_life", ["1h", "1d", "7d"])
def test_the_fit_finds_a_half_life_that_the_ages_can_tell(half_life: str) -> None:
    seconds = HALF_LIVES[half_life]
    assert fit(drawn(0.8, seconds, 3000, 4 * seconds)).half_life == half_life


def test_hops_of_minutes_tell_no_half_lives_apart() -> None:
    assert fit(drawn(0.7, 7 * DAY, 300, 600.0)).half_life is None


def test_values_in_use_that_are_true_are_found_again() -> None:
    found = fit(drawn(HOP, HALF_LIVES["30d"], 3000, 7200.0))
    assert found.hop == pytest.approx(HOP, abs=0.05)
    assert found.average_precision == pytest.approx(found.average_precision_current, abs=0.02)


@pytest.mark.parametrize(
    ("agreed", "disagreed", "enough"), [(40, 10, True), (39, 10, False), (60, 9, False), (9, 60, False)]
)
def test_too_few_reports_of_either_outcome_are_not_fitted(agreed: int, disagreed: int, enough: bool) -> None:
    reason = shortage(labels([2] * (agreed + disagreed), [True] * agreed + [False] * disagreed))
    assert (reason is None) is enough
    assert enough or f"{agreed} agreed and {disagreed} disagreed" in reason

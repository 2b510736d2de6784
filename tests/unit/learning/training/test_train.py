"""Columns and rows of a fit, and its parameters."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import Misconfigured
from shared.learning.data.split import DAY, WEEK
from shared.learning.training.train import drawn_rows, fit, informative_columns
from tests.unit.learning.training.samples import labelled


def test_constant_columns_are_left_out() -> None:
    features = np.array([[1, np.nan, 2, np.nan], [1, np.nan, 3, 4], [5, 6, 7, 8]], np.float32)
    assert informative_columns(features, np.array([0, 1])).tolist() == [2, 3]


def test_unknown_parameter_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="max_depht"):
        fit("decision_tree", {"max_depht": 3}, labelled(50, 0), seed=0)


AT = np.linspace(0, 700 * DAY, 70_000, endpoint=False).astype(np.int64)


def shares(rows: NDArray[np.intp], fraud: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of frauds among the drawn rows of each week that has frauds."""
    weeks = AT[rows] // WEEK
    frauds = np.bincount(weeks, weights=fraud[rows])
    return frauds[frauds > 0] / np.bincount(weeks)[frauds > 0]


@pytest.mark.parametrize("share", [1.0, 5.0, 20.0])
def test_every_week_has_the_same_share_of_frauds(share: float) -> None:
    rng = np.random.default_rng(0)
    fraud = rng.random(len(AT)) < np.where(AT < 350 * DAY, 0.001, 0.02)
    rows = drawn_rows(AT, fraud, share, seed=0).rows
    assert fraud[rows].sum() == fraud.sum()
    assert len(np.unique(rows)) == len(rows)
    assert shares(rows, fraud) == pytest.approx(1 / (1 + share))


def test_weeks_that_are_stored_thinly_do_not_look_like_fraud() -> None:
    rng = np.random.default_rng(0)
    fraud = rng.random(len(AT)) < 0.002
    stored = np.flatnonzero(fraud | (AT == 0) | (AT > 350 * DAY) | (rng.random(len(AT)) < 0.3))
    kept = stored[drawn_rows(AT[stored], fraud[stored], 20, seed=0).rows]
    assert shares(kept, fraud) == pytest.approx(1 / 21)


def test_more_legitimate_rows_than_there_are_or_no_frauds_at_all() -> None:
    fraud = np.arange(len(AT)) % 100 == 0
    np.testing.assert_array_equal(drawn_rows(AT, fraud, np.inf, seed=0).rows, np.arange(len(AT)))
    np.testing.assert_array_equal(drawn_rows(AT, fraud, 1e9, seed=0).rows, np.arange(len(AT)))
    assert len(drawn_rows(AT, np.zeros(len(AT), bool), 20, seed=0).rows) == 0
    assert len(drawn_rows(AT[:0], fraud[:0], 20, seed=0).rows) == 0


def stands_for(fraud: NDArray[np.bool_], frauds: float = 1.0, legitimate: float = 1.0) -> NDArray[np.float64]:
    """Return weights of every third fraud and of every hundredth legitimate row, 1 for the others."""
    at = np.arange(len(fraud))
    few_frauds = fraud & (np.cumsum(fraud) % 3 == 0)
    return np.where(few_frauds, frauds, np.where(~fraud & (at % 100 == 0), legitimate, 1.0))


def test_weights_of_one_draw_the_rows_that_no_weights_draw() -> None:
    fraud = np.random.default_rng(0).random(len(AT)) < 0.002
    plain, weighted = drawn_rows(AT, fraud, 20, 0), drawn_rows(AT, fraud, 20, 0, np.ones(len(AT)))
    np.testing.assert_array_equal(plain.rows, weighted.rows)
    assert set(weighted.weight) == {1.0}


def test_every_week_has_the_same_weighted_share_of_frauds() -> None:
    """Else a control group that begins in the middle of the rows would look like a time of more fraud."""
    fraud = np.random.default_rng(0).random(len(AT)) < 0.002
    weight = np.where(AT > 350 * DAY, stands_for(fraud, frauds=10.0), 1.0)
    drawn = drawn_rows(AT, fraud, 5, 0, weight)
    weeks = AT[drawn.rows] // WEEK
    frauds = np.bincount(weeks, drawn.weight * fraud[drawn.rows])
    found = frauds[frauds > 0] / np.bincount(weeks, drawn.weight)[frauds > 0]
    assert found == pytest.approx(1 / 6, rel=0.05)
    assert drawn.weight[fraud[drawn.rows]].sum() == weight[fraud].sum()


def test_a_legitimate_row_that_stands_for_many_is_drawn_as_much_more_often() -> None:
    fraud = np.random.default_rng(0).random(len(AT)) < 0.002
    weight = stands_for(fraud, legitimate=10.0)
    share, of_all = [], weight[~fraud & (weight > 1)].sum() / weight[~fraud].sum()
    for seed in range(5):
        drawn = drawn_rows(AT, fraud, 20, seed, weight)
        many = (weight[drawn.rows] > 1) & ~fraud[drawn.rows]
        share.append(drawn.weight[many].sum() / drawn.weight[~fraud[drawn.rows]].sum())
    assert np.mean(share) == pytest.approx(of_all, rel=0.1)
    everything = drawn_rows(AT, fraud, np.inf, 0, weight)
    np.testing.assert_array_equal(everything.weight, weight)

"""Ranking figures agree with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from sklearn.metrics import average_precision_score, roc_auc_score

from shared.learning.judging.bootstrap import Resampling
from shared.learning.judging.ranking import ranking_figures
from tests.unit.learning.judging.scored_rows import ROWS


def once(weight: np.ndarray) -> Resampling:
    """Every row counted once, nothing resampled."""
    return Resampling(np.zeros(len(weight), np.intp), weight, np.ones((1, 1)))


@given(ROWS)
def test_ranking_agrees_with_scikit_learn_on_ties_and_weights(rows: list[tuple[float, bool, int]]) -> None:
    scores, fraud, weight = (np.array(column) for column in zip(*rows, strict=True))
    found = ranking_figures(scores, fraud, 0.1, once(weight.astype(float)))
    assert found.average_precision[0] == pytest.approx(average_precision_score(fraud, scores, sample_weight=weight))
    assert found.auc[0] == pytest.approx(roc_auc_score(fraud, scores, sample_weight=weight))


def test_alerts_take_a_share_of_equal_scores_at_the_end_of_the_budget() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1])
    fraud = np.array([False, True, False, False, False, False])
    found = ranking_figures(scores, fraud, 0.5, once(np.ones(6)))
    assert found.alert_recall[0] == pytest.approx(0.5)  # two of the four at 0.5
    assert found.alert_precision[0] == pytest.approx(0.5 / 3)

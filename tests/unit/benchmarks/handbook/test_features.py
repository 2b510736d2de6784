"""Labels reach the counters seven days after their transactions, in order."""

from __future__ import annotations

import pytest

from shared.features.catalogue import FEATURE_NAMES
from shared.features.layout import WEIGHTS
from tests.benchmarks.handbook.features import Transactions, chunks, feature_rows
from tests.unit.benchmarks.handbook.transactions import transactions


def test_a_label_counts_from_seven_days_after_its_transaction_on() -> None:
    data = transactions([True, False, False, False], [0, 167.99, 168, 400])
    features, _ = feature_rows(data, lambda _: None)
    column = features[:, FEATURE_NAMES.index("payee_frauds_30d")]
    assert column[:2].tolist() == [0, 0]
    assert column[2] == pytest.approx(1)
    assert features[3, FEATURE_NAMES.index("payee_judged_30d")] > 1.5  # the second, cleared


@pytest.mark.parametrize("size", [1, 2, 100])
def test_labels_come_in_order_for_any_size_of_chunk(size: int) -> None:
    data = transactions([True, False, True, False], [0, 100, 200, 300])
    assert _verdicts(data, size) == [(2, 1.0, 0.0), (3, 0.0, 1.0)]


def _verdicts(data: Transactions, size: int) -> list[tuple[int, float, float]]:
    """Return the verdicts of a stream: the index before which each counts, and its weights as fraud and cleared."""
    placed: list[tuple[int, float, float]] = []
    start = 0
    for chunk in chunks(data, size):
        weights = chunk.facts.weights[:, [WEIGHTS.index("fraud"), WEIGHTS.index("cleared")]].tolist()
        placed += [(start + at, *each) for at, each in zip(chunk.before.tolist(), weights, strict=True) if any(each)]
        start += len(chunk.events)
    return placed

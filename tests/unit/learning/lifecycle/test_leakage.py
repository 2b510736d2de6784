"""A challenger trained on leaked labels is refused, however good it was before the test period."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shared.contract.rows import FEATURE_PREFIX
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.lifecycle.request import RetrainingResult
from shared.learning.lifecycle.retraining import retrain
from tests.unit.learning.synthetic import QUICK, Bench, examples, request, silent

LEAKY = FEATURE_NAMES[20]


def leaked(share: float) -> pa.Table:
    """Examples in which a feature is the label in the earliest `share` of the rows, and 0 after them."""
    table = examples().sort_by("initiated_at")
    fraud = np.array(table["verdict"].to_pylist()) == "FRAUD"
    leak = np.where(np.arange(len(fraud)) < share * len(fraud), fraud * 1.0, 0.0)
    column = table.schema.get_field_index(FEATURE_PREFIX + LEAKY)
    return table.set_column(column, FEATURE_PREFIX + LEAKY, pa.array(leak))


def outcome_of(table: pa.Table) -> tuple[RetrainingResult, Bench]:
    bench = Bench(table)
    return retrain(bench.services(), QUICK, request(), silent), bench


def test_a_label_that_leaks_until_the_test_period_is_refused() -> None:
    outcome, bench = outcome_of(leaked(0.8))
    assert outcome.outcome == "REFUSED"
    assert read_pointer(bench.blobs).version is None
    assert any("suspiciously good on the calibration period" in reason for reason in outcome.reasons)


def test_a_label_that_leaks_throughout_is_refused_despite_a_saving() -> None:
    outcome, _ = outcome_of(leaked(1.0))
    assert outcome.outcome == "REFUSED"
    assert outcome.metrics["saving_per_million_low"] > 0
    assert any(f"suspiciously good: {LEAKY} alone" in reason for reason in outcome.reasons)

"""A model that fails on a transaction leaves it, and no other, to the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.features.catalogue import FEATURE_NAMES
from shared.scoring.bundle import Bundle
from shared.scoring.guarded_model import GuardedModel
from shared.scoring.policy import Reasons, model_reasons
from shared.scoring.thresholds import SideThresholds, Thresholds
from shared.telemetry.metrics import MODEL_FAILURES, SCORED, Metrics
from tests.builders import transaction
from tests.unit.learning.bundles import FAULT_ABOVE, INFINITE, NOT_A_NUMBER, RAISES, faulty, small_bundle
from tests.unit.log_records import fields
from tests.unit.scoring.bench import Bench

TABLES = {"raises": RAISES, "NaN": NOT_A_NUMBER, "infinity": INFINITE}
BUNDLES = {name: Bundle(small_bundle(name, onnx=faulty(table))) for name, table in TABLES.items()}
SMALL, LARGE = "150.00", f"{FAULT_ABOVE + 500:.2f}"


@pytest.fixture(params=TABLES)
def bench(request: pytest.FixtureRequest) -> Bench:
    """Return a bench whose model, `v1`, fails on LARGE."""
    bench = Bench(small_bundle("v1", onnx=faulty(TABLES[request.param])))
    bench.serve("v1")
    return bench


def test_rules_decide_what_the_model_cannot_score_and_neighbours_keep_their_scores(bench: Bench) -> None:
    messages = [transaction(amount=LARGE if i % 5 == 2 else SMALL) for i in range(12)]
    rows = bench.score(*messages)
    for i, row in enumerate(rows):
        if i % 5 == 2:
            assert (row.score, row.model_version, row.degraded) == (None, None, True)
            assert row.reasons == ["NO_MODEL"]
        else:
            assert (row.model_version, row.degraded) == ("v1", False)
            assert 0 <= row.score <= 1
    assert bench.metrics.value(MODEL_FAILURES, "score") == 2
    assert bench.metrics.value(SCORED, "rules_only") == 2


def test_a_rule_stops_a_pix_that_the_model_cannot_score(bench: Bench) -> None:
    (row,) = bench.score(transaction(amount=LARGE, device__registered_at=None))
    assert (row.decision, row.score, row.degraded) == ("REJECT", None, True)
    assert "NO_MODEL" in row.reasons


def test_a_redelivery_repeats_the_row_even_after_a_swap(bench: Bench) -> None:
    message = transaction(amount=LARGE)
    bench.dies = True
    (first,) = bench.score(message)
    bench.bundle = small_bundle("v2")
    bench.serve("v2")
    bench.time += 60_000_000
    again, other = bench.score(message, transaction(amount=LARGE))
    assert again.columns() == first.columns() | {"claim_number": 2}
    assert other.model_version == "v2"


def test_one_line_says_which_model_failed_and_nothing_of_the_pix(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        bench.score(transaction(amount=LARGE), transaction())
    (record,) = [each for each in caplog.records if each.getMessage() == "model failed"]
    assert fields(record)["version"] == "v1"
    assert record.exc_info is None
    assert "1500" not in str(vars(record))
    bench.time += 60_000_000
    bench.score(transaction())
    assert caplog.records[-1].getMessage() == "model failed: over"


def test_a_score_that_cannot_be_explained_keeps_the_reasons_of_the_rules() -> None:
    bench = Bench(small_bundle("v1", onnx=faulty(RAISES)))
    bench.serve("v1")
    low, bundle = Thresholds(hold=1e-12, reject=2.0), bench.champion.current
    assert bundle
    bundle.thresholds = SideThresholds(payer=low, payee=low)
    bundle.baseline = np.full_like(bundle.baseline, FAULT_ABOVE + 1)
    plain, limited = bench.score(transaction(), transaction(amount="250.00", device__registered_at=None))
    assert (plain.decision, plain.reasons, plain.degraded) == ("HOLD", [], False)
    assert (limited.decision, limited.model_version) == ("REJECT", "v1")
    assert limited.reasons
    assert not any(reason in bundle.reason_codes for reason in limited.reasons)
    assert bench.metrics.value(MODEL_FAILURES, "reasons") == 2


@given(st.lists(st.booleans(), max_size=40), st.sampled_from(sorted(TABLES)))
def test_exactly_the_transactions_that_fail_are_left_out(wrong: list[bool], kind: str) -> None:
    features, metrics = amounts(wrong), Metrics()
    sound = [i for i, each in enumerate(wrong) if not each]
    found = GuardedModel(metrics, lambda: 0.0).score(BUNDLES[kind], np.arange(len(wrong)) + 7, features)
    assert found.indexes.tolist() == [i + 7 for i in sound]
    assert found.values.tolist() == BUNDLES[kind].score(features[sound]).tolist()
    assert metrics.value(MODEL_FAILURES, "score") == len(wrong) - len(sound)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.sampled_from(sorted(TABLES)))
def test_exactly_the_transactions_that_fail_have_no_reasons(wrong: list[bool], kind: str) -> None:
    features, metrics = amounts(wrong), Metrics()
    found = GuardedModel(metrics, lambda: 0.0).reasons(BUNDLES[kind], features)
    sound = iter(model_reasons(BUNDLES[kind], features[~np.array(wrong)]))
    assert found == [Reasons([], []) if each else next(sound) for each in wrong]
    assert metrics.value(MODEL_FAILURES, "reasons") == sum(wrong)


def amounts(wrong: list[bool]) -> NDArray[np.float32]:
    """Return vectors of different amounts, above the limit of the faulty models where `wrong`."""
    features: NDArray[Any] = np.zeros((len(wrong), len(FEATURE_NAMES)), np.float32)
    features[:, 0] = np.linspace(0, 1, len(wrong)) + np.where(wrong, FAULT_ABOVE + 1, 0)
    return features

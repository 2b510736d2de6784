"""Scoring a batch: the row of each Pix with history and model, and with either missing."""

from typing import Any

import numpy as np
import pytest

from shared.errors import Unavailable
from shared.scoring.bundle import MANIFEST, path
from shared.scoring.control import Budget
from shared.scoring.reason_words import reason_words
from shared.scoring.thresholds import SideThresholds, Thresholds
from shared.telemetry.metrics import DECISIONS, GOOD, GOOD_REJECTED, LATE, MODEL, REFUSED, SCORED, STAGE, SWAPS
from tests.builders import transaction
from tests.unit.scoring.bench import Bench


@pytest.fixture
def bench(trained_bundle: dict[str, bytes]) -> Bench:
    return Bench(trained_bundle)


def test_a_model_gives_a_score_and_its_version(bench: Bench) -> None:
    bench.serve("v1")
    (row,) = bench.score(transaction())
    assert 0 <= row.score <= 1
    assert (row.model_version, row.degraded, row.late) == ("v1", False, False)


def test_swaps_and_refusals_are_counted_and_an_outage_is_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.serve("v1")
    bench.serve("v2")
    bench.blobs.write(path("v3", MANIFEST), b"{", 0)
    bench.point("v3")
    bench.blobs.away = True
    for _ in range(10):
        bench.champion.look()
    assert bench.score(transaction())[0].model_version == "v2"
    metrics = bench.metrics
    assert (metrics.value(SWAPS), metrics.value(REFUSED)) == (2, 1)
    assert [metrics.value(MODEL, version) for version in ("v1", "v2", "v3")] == [0, 1, 0]
    logged = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert logged == ["model refused", "bucket unavailable"]


def test_without_a_model_rules_decide_and_the_row_is_degraded(bench: Bench) -> None:
    unregistered = transaction(amount="250.00", device__registered_at=None)
    plain, limited = bench.score(transaction(), unregistered)
    assert (plain.score, plain.model_version, plain.degraded) == (None, None, True)
    assert (plain.decision, plain.reasons) == ("APPROVE", ["NO_MODEL"])
    assert limited.decision == "REJECT"
    assert "UNREGISTERED_DEVICE_TRANSACTION_LIMIT" in limited.reasons


def test_without_history_the_message_alone_is_decided(bench: Bench) -> None:
    bench.serve("v1")
    bench.away = True
    message = transaction(amount="250.00", device__registered_at=None)
    (row,) = bench.score(message)
    assert (row.decision, row.degraded, row.model_version, row.history_sequence) == ("REJECT", True, "v1", None)
    assert 0 <= row.score <= 1
    assert "NO_HISTORY" in row.reasons
    assert "NO_MODEL" not in row.reasons
    bench.away = False
    (row,) = bench.score(message)
    assert row.history_sequence == 1


def test_degradation_is_recorded_in_row_and_metric(bench: Bench) -> None:
    rows = bench.score(transaction(), transaction())
    bench.away = True
    rows += bench.score(transaction())
    bench.serve("v1")
    rows += bench.score(transaction())
    bench.away = False
    rows += bench.score(transaction(amount="250.00", device__registered_at=None))
    without = [{"NO_MODEL", "NO_HISTORY"} & set(row.reasons) for row in rows]
    assert without == [{"NO_MODEL"}, {"NO_MODEL"}, {"NO_MODEL", "NO_HISTORY"}, {"NO_HISTORY"}, set()]
    assert [row.degraded for row in rows] == [True] * 4 + [False]
    assert {step: bench.metrics.value(SCORED, step) for step in ("full", "no_history", "rules_only")} == {
        "full": 1,
        "no_history": 1,
        "rules_only": 3,
    }
    assert bench.metrics.value(DECISIONS, "REJECT") == 1
    assert bench.metrics.distribution(STAGE, "model").count == 4


def test_a_redelivery_after_a_crash_is_decided_again_by_the_model_that_claimed_it(bench: Bench) -> None:
    bench.dies = True
    bench.serve("v1")
    message = transaction()
    (first,) = bench.score(message)
    bench.serve("v2")
    bench.time += 60_000_000
    again, other = bench.score(message, transaction())
    assert again.columns() == first.columns() | {"claim_number": 2}
    assert (again.features.tobytes(), other.model_version) == (first.features.tobytes(), "v2")


def test_another_message_under_a_taken_id_has_no_row(bench: Bench) -> None:
    bench.serve("v1")
    message = transaction()
    other = message | {"amount": "666.00"}
    (first,) = bench.score(message)
    error, again = bench.score(other, message)
    assert (error.reason, error.field) == ("end_to_end_id_taken", "end_to_end_id")
    assert (first.decision, again) == ("APPROVE", None), "its row is stored"
    assert bench.metrics.value(SCORED, "full") == 1
    assert bench.score(transaction())[0].history_sequence == 3  # after its ask and its settlement


@pytest.mark.parametrize("changes", [{"payee_statistics": {"registered_accounts": 9}}, {"purpose": "OTHR"}])
def test_a_publisher_that_tries_again_with_other_facts_has_the_first_decision(
    bench: Bench, changes: dict[str, Any]
) -> None:
    bench.dies = True
    first = transaction()
    bench.score(first)
    (error,) = bench.score(first | changes)
    assert error.reason == "end_to_end_id_taken", "the first message has no row yet that answers"
    bench.dies = False
    bench.score(first)
    assert bench.score(first | changes, first) == [None, None]
    assert len(bench.table.rows) == 2


def test_a_decision_whose_row_could_not_be_stored_stands(bench: Bench) -> None:
    bench.serve("v1")
    low = Thresholds(hold=1e-12, reject=2.0)
    bench.champion.current.thresholds = SideThresholds(payer=low, payee=low)
    message = transaction()
    bench.table.away = True
    with pytest.raises(Unavailable):
        bench.score(message)
    bench.table.away = False
    bench.restart()
    bench.serve("v2")
    bench.blobs.delete("models/v1/")
    bench.time += 8 * 3_600_000_000
    (row,) = bench.score(message)
    assert (row.decision, row.model_version, row.degraded, row.late) == ("HOLD", "v1", False, False)
    assert row.score is not None
    assert (row.claim_number, row.decided_sequence, row.place_pending) == (2, 2, False)
    assert row.reasons
    assert all(each > 0 for each in row.reason_contributions)
    assert bench.score(message) == [None]


def test_a_redelivery_is_refused_until_its_model_is_in_memory(bench: Bench) -> None:
    bench.dies = True
    bench.serve("v1")
    message = transaction()
    (first,) = bench.score(message)
    bench.restart()
    bench.serve("v2")
    bench.blobs.away = True
    error, other = bench.score(message, transaction())
    assert isinstance(error, Unavailable)
    assert other.model_version == "v2"
    bench.blobs.away = False
    assert isinstance(bench.score(message)[0], Unavailable), "it is fetched beside the batch"
    (again,) = bench.score(message)
    assert again.columns() == first.columns() | {"claim_number": 4}


def test_rules_decide_alone_if_the_claiming_model_is_gone(bench: Bench) -> None:
    bench.dies = True
    bench.serve("v1")
    message = transaction()
    bench.score(message)
    bench.restart()
    bench.serve("v2")
    bench.blobs.delete("models/v1/")
    assert isinstance(bench.score(message)[0], Unavailable)
    (again,) = bench.score(message)
    assert (again.score, again.degraded, again.reasons) == (None, True, ["NO_MODEL"])


def test_a_transaction_decided_after_its_deadline_is_late(bench: Bench) -> None:
    assert not bench.score(transaction())[0].late
    bench.time += 60_000_000
    assert bench.score(transaction())[0].late
    assert bench.metrics.value(LATE) == 1


def rejecting(bench: Bench) -> None:
    """Let the champion reject whatever has a score."""
    bench.serve("strict")
    none = Thresholds(hold=1e-13, reject=1e-12)
    bench.champion.current.thresholds = SideThresholds(payer=none, payee=none)


def test_good_customers_and_those_that_a_model_rejects_are_counted_by_side_and_scores(bench: Bench) -> None:
    bench.score(transaction())
    assert bench.metrics.value(GOOD, "PAYER") == 0, "there was no score"
    bench.serve("v1")
    (passed,) = bench.score(transaction())
    rejecting(bench)
    by_model, by_rule = bench.score(transaction(), transaction(amount="250.00", device__registered_at=None))
    (payee,) = bench.score(transaction(side="PAYEE"))
    assert [each.decision for each in (passed, by_model, by_rule, payee)] == ["APPROVE", *["REJECT"] * 3]
    good = sum(1 - each.score for each in (passed, by_model, by_rule))
    assert bench.metrics.value(GOOD, "PAYER") == pytest.approx(good)
    assert bench.metrics.value(GOOD_REJECTED, "PAYER") == pytest.approx(1 - by_model.score)
    assert bench.metrics.value(GOOD_REJECTED, "PAYEE") == pytest.approx(1 - payee.score)


def test_a_reject_that_the_control_group_makes_milder_is_counted_as_the_models(bench: Bench) -> None:
    rejecting(bench)
    bench.control(Budget(1.0, 1.0, pix=10**12, day=10**12, month=10**12, review=0, reserved=0))
    (row,) = bench.score(transaction())
    assert (row.policy_decision, row.decision) == ("REJECT", "HOLD")
    assert bench.metrics.value(GOOD_REJECTED, "PAYER") == pytest.approx(1 - row.score)


def test_every_pix_names_the_groups_that_raise_its_score(bench: Bench) -> None:
    bench.serve("v1")
    bundle = bench.champion.current
    rows = bench.score(*(transaction(amount=f"{amount}.00") for amount in (1, 150, 900)))
    assert bundle.explains_all
    for row in rows:
        assert row.decision == "APPROVE"
        found = dict(zip(bundle.reason_codes, bundle.contributions(row.features[np.newaxis])[0], strict=True))
        expected = sorted((each for each in found.items() if each[1] > 0), key=lambda each: -each[1])[:3]
        assert list(zip(row.reasons, row.reason_contributions, strict=True)) == [
            (code, pytest.approx(value)) for code, value in expected
        ]
    assert all(row.reasons for row in rows)


def test_codes_that_are_not_the_models_contribute_nothing(bench: Bench) -> None:
    bench.serve("v1")
    bench.away = True
    (row,) = bench.score(transaction(amount="250.00", device__registered_at=None))
    own = row.reasons.index("UNREGISTERED_DEVICE_TRANSACTION_LIMIT"), row.reasons.index("NO_HISTORY")
    assert own == (0, len(row.reasons) - 1)
    by_code = dict(zip(row.reasons, row.reason_contributions, strict=True))
    system = {code: value for code, value in by_code.items() if code not in bench.champion.current.reason_codes}
    assert set(system.values()) == {0.0}
    assert set(by_code) <= set(reason_words().by_code)

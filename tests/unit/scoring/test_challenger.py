"""A challenger beside the champion: what its rows say, whom it decides for, and that it never harms a batch."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from shared.errors import Unavailable
from shared.scoring.bundle import MODEL, path
from shared.scoring.challenge import CHALLENGER, CHAMPION, Challenge, Mode
from shared.scoring.control import CONTROL_GROUP, Budget
from shared.telemetry.metrics import (
    CHALLENGER_DROPPED,
    CHALLENGER_FAILURES,
    CHALLENGER_SECONDS,
    MODEL_FAILURES,
    SWAPS,
)
from tests.builders import transaction
from tests.unit.learning.bundles import FAULT_ABOVE, NOT_A_NUMBER, RAISES, faulty, small_bundle
from tests.unit.scoring.bench import Bench

MINUTE = 60_000_000
STARTED = "2026-11-20T12:00:00+00:00"
AMOUNT = "150.00"
"""An amount that the challenger rejects and the champion holds."""
MOST = 10**12


def tried(mode: Mode = "SHADOW", share: float = 0.0, started: str = STARTED) -> Challenge:
    return Challenge("v2", mode, started, started, share)


@pytest.fixture
def bench() -> Bench:
    """Return a bench whose champion is v1, and whose bucket has v2, a model with steeper scores."""
    bench = Bench(small_bundle("v1", slope=0.001))
    bench.serve("v1")
    bench.publish("v2", small_bundle("v2", slope=0.1))
    return bench


def run(bench: Bench, challenge: Challenge | None) -> None:
    """Name a challenge in the pointer, and decide one Pix, after which the challenger is in memory."""
    bench.point("v1", challenge)
    bench.score(transaction())


def accounts(n: int, amount: str = AMOUNT, **changes: Any) -> list[dict[str, Any]]:
    return [transaction(amount=amount, payer__account=str(i + 1), **changes) for i in range(n)]


def test_without_a_challenger_a_row_has_none_of_its_columns(bench: Bench) -> None:
    (row,) = bench.score(transaction())
    assert row.challenged is None
    assert not {"challenger_version", "arm", "arm_propensity"} & row.columns().keys()


def test_in_the_shadow_a_challenger_scores_every_pix_and_decides_none(bench: Bench) -> None:
    (plain,) = bench.score(transaction(amount=AMOUNT))
    run(bench, tried())
    (row,) = bench.score(transaction(amount=AMOUNT))
    kept = ("decision", "model_version", "score", "reasons")
    assert {name: getattr(row, name) for name in kept} == {name: getattr(plain, name) for name in kept}
    bundle = bench.champion.version("v2")
    assert bundle
    columns = row.columns()
    assert columns["challenger_score"] == float(bundle.score(row.features[np.newaxis])[0])
    assert (columns["decision"], columns["challenger_decision"], columns["challenger_version"]) == (
        *("HOLD", "REJECT"),
        "v2",
    )
    assert (columns["arm"], columns["arm_propensity"]) == (CHAMPION, 1.0)


def test_rules_count_for_the_decision_of_a_challenger_too(bench: Bench) -> None:
    bench.publish("mild", small_bundle("mild", slope=-1.0))
    run(bench, msgspec.structs.replace(tried(), version="mild"))
    (row,) = bench.score(transaction(amount="250.00", device__registered_at=None))
    assert row.challenged.challenger_score < 0.5
    assert row.challenged.challenger_decision == row.decision == "REJECT"


def test_a_share_of_accounts_is_decided_by_the_challenger(bench: Bench) -> None:
    run(bench, tried("SHARE", 0.25))
    rows = bench.score(*accounts(200))
    arms = [row.challenged.arm for row in rows]
    assert 25 < arms.count(CHALLENGER) < 75
    for row in rows:
        columns = row.columns()
        own = columns["arm"] == CHALLENGER
        assert (columns["model_version"], columns["decision"]) == (("v2", "REJECT") if own else ("v1", "HOLD"))
        assert columns["arm_propensity"] == (0.25 if own else 0.75)
        assert (columns["challenger_decision"], columns["challenger_score"] == columns["score"]) == ("REJECT", own)
    again = bench.score(*accounts(200))
    assert [row.challenged.arm for row in again] == arms, "an account stays in its arm"


def test_accounts_of_the_challenger_stay_with_it_while_its_share_grows(bench: Bench) -> None:
    before: set[int] = set()
    for share in (0.1, 0.5, 1.0):
        run(bench, tried("SHARE", share))
        rows = bench.score(*accounts(100))
        own = {i for i, row in enumerate(rows) if row.challenged.arm == CHALLENGER}
        assert before < own
        before = own
    assert len(before) == 100
    assert {row.challenged.arm_propensity for row in rows} == {1.0}


def test_both_sides_of_a_pix_have_one_arm(bench: Bench) -> None:
    run(bench, tried("SHARE", 0.5))
    messages = accounts(20)
    payers = bench.score(*messages)
    payees = bench.score(*({**message, "side": "PAYEE"} for message in messages))
    assert [row.challenged.arm for row in payers] == [row.challenged.arm for row in payees]


@pytest.mark.parametrize("later", [tried("SHARE", 1.0), tried(), None])
def test_a_redelivery_has_the_arm_and_the_chance_of_its_claim(bench: Bench, later: Challenge | None) -> None:
    bench.dies = True
    run(bench, tried("SHARE", 0.5))
    messages = accounts(20)
    first = bench.score(*messages)
    run(bench, later)
    again = bench.score(*messages)
    assert [row.columns() for row in again] == [row.columns() | {"claim_number": 2} for row in first]


def test_a_redelivery_after_another_swap_is_decided_by_the_challenger_that_claimed_it(bench: Bench) -> None:
    bench.dies = True
    run(bench, tried("SHARE", 1.0))
    message = transaction(amount=AMOUNT)
    (first,) = bench.score(message)
    bench.serve("v3")
    bench.restart()
    bench.champion.look()
    (error,) = bench.score(message)
    assert isinstance(error, Unavailable), "it is fetched first"
    (again,) = bench.score(message)
    assert (again.columns(), first.model_version) == (first.columns() | {"claim_number": 3}, "v2")


def test_a_decision_that_was_kept_is_repeated_with_its_arm(bench: Bench) -> None:
    run(bench, tried("SHARE", 1.0))
    message = transaction(amount=AMOUNT)
    bench.table.away = True
    with pytest.raises(Unavailable):
        bench.score(message)
    bench.table.away = False
    run(bench, None)
    (row,) = bench.score(message)
    assert (row.model_version, row.decision, row.challenged.arm, row.challenged.arm_propensity) == (
        *("v2", "REJECT"),
        *(CHALLENGER, 1.0),
    )


def test_the_control_group_draws_from_the_decision_of_the_arm(bench: Bench) -> None:
    run(bench, tried("SHARE", 1.0))
    bench.control(Budget(1.0, 1.0, pix=MOST, day=MOST, month=MOST, review=4_00, reserved=0))
    (row,) = bench.score(transaction(amount="30.00"))
    assert (row.model_version, row.policy_decision, row.decision) == ("v2", "REJECT", "HOLD")
    assert row.reasons[-1] == CONTROL_GROUP
    assert row.challenged.challenger_decision == "REJECT"
    assert (row.challenged.arm_propensity, 0 < row.control_probability < 1) == (1.0, True)


def test_until_a_challenger_is_in_memory_no_pix_is_claimed_for_it(bench: Bench) -> None:
    bench.point("v1", tried("SHARE", 1.0))
    (row,) = bench.score(transaction())
    assert (row.model_version, row.challenged) == ("v1", None)
    (row,) = bench.score(transaction())
    assert row.model_version == "v2"


def test_a_refused_challenger_is_dropped_by_one_line_and_the_champion_decides(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    name = path("v2", MODEL)
    known = bench.blobs.read(name)
    assert known
    bench.blobs.write(name, b"damaged", known.generation)
    bench.point("v1", tried("SHARE", 1.0))
    rows = [bench.score(transaction())[0] for _ in range(5)]
    assert {(row.model_version, row.challenged) for row in rows} == {("v1", None)}
    assert bench.metrics.value(CHALLENGER_DROPPED, "refused") == 1
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"].count(
        "challenger dropped"
    ) == 1


@pytest.mark.parametrize("table", [RAISES, NOT_A_NUMBER])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_pix_that_a_challenger_cannot_score_is_the_champions(bench: Bench, table: Any, share: float) -> None:
    bench.publish("v3", small_bundle("v3", onnx=faulty(table)))
    run(bench, Challenge("v3", "SHARE" if share else "SHADOW", STARTED, STARTED, share))
    above = f"{FAULT_ABOVE + 1:.2f}"
    bad, good = bench.score(transaction(amount=above), transaction(amount="10.00"))
    assert (bad.model_version, bad.degraded, bad.score is None) == ("v1", False, False)
    assert (bad.challenged.challenger_score, bad.challenged.challenger_decision) == (None, None)
    assert bad.challenged.arm == (CHALLENGER if share else CHAMPION)
    assert (good.model_version, good.challenged.challenger_score is None) == ("v3" if share else "v1", False)
    assert bench.metrics.value(CHALLENGER_FAILURES, "score") == 1
    assert bench.metrics.value(MODEL_FAILURES, "score") == 0


def test_a_challenger_that_fails_often_is_dropped_until_another_test_begins(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.publish("v3", small_bundle("v3", onnx=faulty(RAISES)))
    test = Challenge("v3", "SHARE", STARTED, STARTED, 1.0)
    run(bench, test)
    first = bench.score(*(transaction(amount=f"{FAULT_ABOVE + 1 + i:.2f}") for i in range(20)))
    assert {row.model_version for row in first} == {"v1"}
    assert bench.metrics.value(CHALLENGER_DROPPED, "failures") == 1
    (row,) = bench.score(transaction(amount="10.00"))
    assert (row.model_version, row.challenged) == ("v1", None)
    run(bench, msgspec.structs.replace(test, share=0.5))
    (row,) = bench.score(transaction(amount="10.00"))
    assert row.challenged is None, "a step of the same test does not bring it back"
    run(bench, msgspec.structs.replace(test, started_at="2026-11-20T13:00:00+00:00"))
    (row,) = bench.score(transaction(amount="10.00"))
    assert row.model_version == "v3"
    assert [record.getMessage() for record in caplog.records].count("challenger dropped") == 1


def test_a_slow_challenger_is_dropped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run(bench, tried())
    bundle = bench.champion.version("v2")
    assert bundle
    score = bundle.score

    def slow(features: Any) -> Any:
        bench.spent += 0.1
        return score(features)

    monkeypatch.setattr(bundle, "score", slow)
    rows = [bench.score(transaction())[0] for _ in range(5)]
    assert [row.challenged is not None for row in rows] == [True, True, True, False, False]
    assert bench.metrics.value(CHALLENGER_DROPPED, "slow") == 1
    assert bench.metrics.distribution(CHALLENGER_SECONDS).most == pytest.approx(0.1)


def test_a_challenger_is_not_tried_against_another_champion_than_the_pointer_names(bench: Bench) -> None:
    bench.blobs.write(path("broken", "manifest.json"), b"{", 0)
    bench.point("broken", tried("SHARE", 1.0))
    rows = [bench.score(transaction())[0] for _ in range(2)]
    assert [(row.model_version, row.challenged) for row in rows] == [("v1", None)] * 2


def test_a_step_of_a_ramp_is_no_swap(bench: Bench) -> None:
    before = bench.metrics.value(SWAPS)
    run(bench, tried("SHARE", 0.1))
    run(bench, tried("SHARE", 0.5))
    assert bench.metrics.value(SWAPS) == before


def test_a_challenger_stays_in_memory_while_redeliveries_need_earlier_versions(bench: Bench) -> None:
    run(bench, tried())
    for version in ("a", "b", "c", "d"):
        bench.publish(version)
        bench.point(version, tried())
        assert bench.score(transaction())[0].model_version == version
    assert bench.score(transaction())[0].challenged is not None
    assert bench.champion.version("v2") is not None

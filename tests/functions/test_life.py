"""A Pix from the ask to its verdict, through the functions, in each store of history, and again through a replay."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from infra.local.valkey.launch import ValkeyKind
from shared.contract.rows import FeedbackRow, OutcomeRow
from tests.contract.history_stores import SERVERS, Store, store
from tests.functions.institution import ACK, COMPANY, RETRY, Institution, features

KINDS: tuple[Literal["memory"] | ValkeyKind, ...] = ("memory", *SERVERS)
UNREGISTERED: dict[str, Any] = {"device__registered_at": None}
PAID: tuple[str, ...] = (
    *(
        "amount_to_largest",
        "amount_z_30d",
        "amount_to_payer_mean_30d",
        "payer_sent_count_30d",
        "payer_sent_amount_30d",
    ),
    *("payer_mean_30d", "payer_since_first", "payer_passed_1d", "payer_taint_7d", "payer_received"),
)


@pytest.fixture(scope="module", params=KINDS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("life")
    with store(request.param, folder) as found:
        yield found


@pytest.fixture
def assumed(stored: Store) -> Iterator[Institution]:
    """An institution that publishes no outcomes; its rows replay to the features that it was served."""
    yield from _checked(Institution(stored))


@pytest.fixture
def published(stored: Store) -> Iterator[Institution]:
    """An institution that publishes outcomes."""
    yield from _checked(Institution(stored, "published"))


def _checked(institution: Institution) -> Iterator[Institution]:
    yield institution
    replayed = institution.replayed()
    assert replayed.comparison.rows > 0
    assert (replayed.comparison.features, replayed.sequence.conflicts, replayed.sequence.unequal) == ({}, [], [])


@pytest.mark.parametrize("first", ["50000.00", "0.01"])
def test_a_night_pix_is_held_however_often_it_is_asked_for(assumed: Institution, first: str) -> None:
    assumed.ask("11-20T23:00", first)
    again = assumed.message("11-20T23:01", "50000.00")
    assert assumed.publish(again).decision == "HOLD"
    assert assumed.publish(again).decision == "HOLD"
    assert assumed.ask("11-20T23:02", "50000.00").decision == "HOLD"


def test_a_held_pix_makes_its_payee_known_once_it_settled(published: Institution) -> None:
    held = published.ask("11-20T23:00", "5000.00")
    assert features(published.ask("11-20T23:10", "5000.00"))["new_pair"] == 1
    assert published.tell(held, "SETTLED", "11-20T23:30") == ACK
    assert features(published.ask("11-20T23:40", "5000.00"))["new_pair"] == 0


def test_a_rejected_pix_leaves_the_limit_of_the_day(assumed: Institution) -> None:
    assert assumed.ask("11-20T10:00", "5000.00", **UNREGISTERED).decision == "REJECT"
    decided = [assumed.ask(f"11-{day}T10:01", "50.00", **UNREGISTERED) for day in (20, 21, 22)]
    assert [row.decision for row in decided] == ["APPROVE"] * 3
    assert [features(row)["device_day_limit_left"] for row in decided] == [950.0] * 3


def test_a_rejected_attempt_leaves_no_trace_in_paid_amounts(assumed: Institution) -> None:
    for day in range(10, 20):
        assumed.ask(f"11-{day}T10:00", "100.00")
    before = features(assumed.ask("11-20T10:00", "100.00"))
    assert assumed.ask("11-20T10:01", "9999999999999.99", 2, **UNREGISTERED).decision == "REJECT"
    after = features(assumed.ask("11-20T10:02", "100.00"))
    for name in PAID:
        assert after[name] == pytest.approx(before[name], rel=0.2, abs=1e-3, nan_ok=True), name
    assert after["amount_to_largest"] == 1.0
    assert after["payer_asked_1h"] > before["payer_asked_1h"] + 1


def test_a_day_from_unregistered_devices_ends_at_a_thousand(assumed: Institution) -> None:
    """Over all unregistered devices and accounts of the customer, and a new local day is a new one."""
    asked = [
        assumed.ask(f"11-20T22:0{i}", "199.00", payee=i, payer=1 + i % 2, device__id=f"d-{i % 3}", **UNREGISTERED)
        for i in range(6)
    ]
    assert [row.decision for row in asked] == [*["APPROVE"] * 5, "REJECT"]
    assert assumed.ask("11-21T00:05", "190.00", device__id="d-1", **UNREGISTERED).decision == "APPROVE"


def test_a_night_between_persons_ends_at_a_thousand(assumed: Institution) -> None:
    asked = [assumed.ask(f"11-20T23:0{i}", "900.00", payee=i) for i in range(3)]
    assert [row.decision for row in asked] == ["APPROVE", "HOLD", "HOLD"]
    assert asked[1].hold_until == asked[1].event.initiated_at + 60 * 60 * 1_000_000
    assert assumed.ask("11-21T20:30", "900.00", payee=4).decision == "APPROVE"


def test_an_approved_pix_is_in_flight_until_its_outcome(published: Institution) -> None:
    first = published.ask("11-20T23:00", "900.00", payee=1)
    assert published.ask("11-20T23:01", "900.00", payee=2).decision == "HOLD"
    assert published.tell(first, "EXPIRED", "11-20T23:02") == ACK
    held = published.ask("11-20T23:03", "900.00", payee=3)
    assert features(held)["night_limit_left"] == -800.0  # the held one is in flight
    assert published.tell(published.ask("11-20T23:04", "1.00"), "REJECTED", "11-20T23:05", reason="AB03") == ACK


@pytest.mark.parametrize("changes", [{"payer__tax_id": COMPANY}, {"payee__tax_id": COMPANY}])
def test_a_night_with_a_company_has_no_limit(assumed: Institution, changes: dict[str, Any]) -> None:
    assert assumed.ask("11-20T22:00", "5000.00", **changes).decision == "APPROVE"


def test_without_history_a_norm_that_needs_it_holds(assumed: Institution) -> None:
    assumed.ask("11-20T12:00", "10.00")
    assumed.away = True
    row = assumed.ask("11-20T23:00", "999999.00")
    assert (row.decision, row.degraded, row.history_sequence) == ("HOLD", True, None)
    assert "NIGHT_LIMIT" in row.reasons


@pytest.mark.parametrize("small", [31, 60])
def test_a_payee_cannot_lift_its_suspicion(assumed: Institution, small: int) -> None:
    fraud = assumed.ask("11-20T10:00", "500.00", payee=7)
    assert assumed.report(fraud, "11-20T11:00") == ACK
    for i in range(small):
        assumed.ask(f"11-20T12:{i % 60:02d}", "0.01", payee=7, payer=100 + i, payer__tax_id=f"{30_000_000_000 + i}")
    row = assumed.ask("11-20T14:00", "500.00", payee=7, payer=2)
    assert (row.decision, "PAYEE_CONFIRMED_FRAUD" in row.reasons) == ("HOLD", True)


def test_a_marker_of_this_month_fires(assumed: Institution) -> None:
    marked = {"mule_accounts": {"d90": 2, "m12": 0, "m60": 0}}
    row = assumed.ask("11-20T10:00", "50.00", payee_statistics__fraud_markers=marked)
    assert (row.decision, "PAYEE_MARKED_IN_DICT" in row.reasons) == ("HOLD", True)


def test_new_words_of_enumerations_are_scored(assumed: Institution) -> None:
    for form, purpose, kind in (("APES", "IPRT", "OTHR"), ("NEWF", "NEWP", "NEWT")):
        row = assumed.ask("11-20T10:00", "50.00", initiation_form=form, purpose=purpose, payee__account_type=kind)
        assert row.decision == "APPROVE"
    assert assumed.refusals() == []


def test_a_verdict_stands_until_a_stronger_one(assumed: Institution) -> None:
    fraud = assumed.ask("11-20T10:00", "500.00", payee=7)
    analyst = {"source": "ANALYST", "report_id": "a-1", "verdict": "FRAUD"}
    assert assumed.report(fraud, "11-20T11:00", **analyst) == ACK
    opened = {"status": "OPEN", "analysis_result": None}
    assert assumed.report(fraud, "11-20T12:00", **opened) == ACK
    assert features(assumed.ask("11-20T13:00", "500.00", payee=7, payer=2))["payee_frauds_30d"] == pytest.approx(
        1, abs=0.01
    )
    assert assumed.report(fraud, "11-20T14:00", status="CANCELLED", analysis_result=None) == ACK
    assert assumed.ask("11-20T15:00", "500.00", payee=7, payer=3).decision == "HOLD"


def test_reports_of_one_time_do_not_toggle(assumed: Institution) -> None:
    fraud = assumed.ask("11-20T10:00", "500.00", payee=7)
    states = [{"status": "OPEN", "analysis_result": None}, {}, {"status": "OPEN", "analysis_result": None}]
    counted = []
    for i, state in enumerate([*states, *states]):
        assert assumed.report(fraud, "11-20T11:00", **state) == ACK
        row = assumed.ask(f"11-20T12:{i:02d}", "5.00", payee=7, payer=2 + i)
        counted.append(round(features(row)["payee_frauds_30d"], 2))
    assert counted == [0.0, *[1.0] * 5]


def test_a_hop_accuses_its_payee_and_makes_no_victim_of_its_payer(assumed: Institution) -> None:
    stolen = assumed.ask("11-20T10:00", "500.00", payee=7)
    mule: dict[str, Any] = {"payer__ispb": "87654321", "payer__account": "9007", "payee__account": "9008"}
    hop = assumed.ask("11-20T10:30", "480.00", **mule)
    assert assumed.report(stolen, "11-21T10:00") == ACK
    recovery = {"hop": 2, "root_end_to_end_id": stolen.event.end_to_end_id, "funds_recovery_id": "r-1"}
    assert assumed.report(hop, "11-21T10:01", **recovery) == ACK
    found = features(assumed.ask("11-21T11:00", "50.00", **mule))
    assert found["payer_victim_30d"] == 0
    assert found["payee_hops_30d"] == pytest.approx(1, abs=0.01)
    assert found["payee_frauds_30d"] == pytest.approx(1, abs=0.01)
    assert found["payee_usual_hop"] == pytest.approx(2)


def test_money_that_comes_back_taints_nobody_and_is_no_sale(assumed: Institution) -> None:
    stolen = assumed.ask("11-20T10:00", "500.00", payee=7)
    assert assumed.report(stolen, "11-20T12:00") == ACK
    before = features(assumed.ask("11-20T13:00", "10.00", payee=8))
    returned = {"return_id": "D87654321202611201600a1b2c3d4e5f", "amount": "500.00", "reason": "FR01"}
    assert assumed.tell(stolen, "RETURNED", "11-20T13:00", **returned) == ACK
    after = features(assumed.ask("11-20T13:01", "10.00", payee=9))
    assert (after["payer_taint_7d"], after["payer_received"]) == (0, 0)
    assert after["payer_sent_count_30d"] == pytest.approx(
        before["payer_sent_count_30d"], abs=0.01
    )  # one came, one went
    payee = features(assumed.ask("11-20T13:02", "10.00", payee=7, payer=5))
    assert (payee["payee_count_30d"], payee["new_pair"], payee["payee_returned_share"]) == (0, 1, 1)


@pytest.mark.parametrize("order", ["settle first", "return first"])
def test_a_partial_return_takes_its_part(published: Institution, order: str) -> None:
    row = published.ask("11-20T10:00", "500.00", payee=7)
    back = {"return_id": "D87654321202611201600a1b2c3d4e5f", "amount": "200.00", "reason": "MD06"}
    words: list[tuple[str, str, dict[str, str]]] = [("SETTLED", "11-20T10:01", {}), ("RETURNED", "11-20T10:02", back)]
    for status, at, more in words if order == "settle first" else reversed(words):
        assert [published.tell(row, status, at, **more) for _ in range(2)] == [ACK, ACK]
    found = features(published.ask("11-20T10:03", "300.00", payee=7))
    assert found["amount_to_pair_mean"] == pytest.approx(1, abs=0.01)
    assert found["payee_returned_share"] == pytest.approx(0.4, abs=0.01)
    places = [each.history_sequence for each in published.rows(published.outcomes, OutcomeRow)]
    assert len({place for place in places if place is not None}) == (2 if order == "settle first" else 1)


def test_an_outcome_before_its_pix_comes_again(published: Institution) -> None:
    message = published.message("11-20T10:00", "100.00")
    early = {"end_to_end_id": message["end_to_end_id"], "status": "SETTLED", "at": "2026-11-20T13:00:05Z"}
    published.ask("11-20T09:59", "1.00", payee=3)
    published.wait_until("11-20T10:01")
    assert published.deliver("outcome", early) == RETRY
    assert published.rows(published.outcomes, OutcomeRow) == []
    published.publish(message)
    assert published.deliver("outcome", early) == ACK
    assert features(published.ask("11-20T10:05", "1.00"))["new_pair"] == 0


def test_both_sides_count_a_pix_once(assumed: Institution) -> None:
    message = assumed.message("11-20T10:00", "100.00", payee=7)
    payer = assumed.publish(message)
    payee = assumed.publish(message | {"side": "PAYEE"})
    assert (payer.history_sequence, payer.event.side) == (payee.history_sequence, "PAYER")
    assert (payee.event.side, payee.decision) == ("PAYEE", "APPROVE")
    assert features(payee)["new_pair"] == features(payer)["new_pair"] == 1
    assert features(assumed.ask("11-20T10:01", "1.00", payee=7))["payee_count_1h"] == pytest.approx(1, abs=0.02)


def test_the_payees_side_blocks_for_three_days(assumed: Institution) -> None:
    fraud = assumed.ask("11-20T10:00", "500.00", payee=7)
    assert assumed.report(fraud, "11-20T11:00") == ACK
    row = assumed.ask("11-20T12:00", "500.00", payee=7, payer=2, side="PAYEE")
    assert row.decision == "BLOCK"
    assert row.hold_until == row.event.initiated_at + 72 * 3600 * 1_000_000


@pytest.mark.parametrize(
    ("function", "message", "refusal"),
    [
        ("outcome", {"status": "PAID"}, ("pix-outcomes", "invalid_value", "status")),
        ("outcome", {"status": "RETURNED"}, ("pix-outcomes", "missing_field", "return_id")),
        ("outcome", {"status": "BLOCKED"}, ("pix-outcomes", "invalid_value", "side")),
        ("label", {"source": "CUSTOMER", "report_id": "c"}, ("pix-feedback", "missing_field", "reported_at")),
    ],
)
def test_a_message_that_cannot_be_used_is_set_aside(
    assumed: Institution, function: str, message: dict[str, Any], refusal: tuple[str, str, str]
) -> None:
    row = assumed.ask("11-20T10:00", "1.00")
    about = {"end_to_end_id": row.event.end_to_end_id, "at": "2026-11-20T13:00:05Z"}
    if function == "label":
        del about["at"]
    assert assumed.deliver(function, about | message) == ACK
    assert assumed.refusals() == [refusal]
    assert (assumed.rows(assumed.outcomes, OutcomeRow), assumed.rows(assumed.feedback, FeedbackRow)) == ([], [])


def test_a_first_pix_has_no_past(assumed: Institution) -> None:
    found = features(assumed.ask("11-20T10:00", "1.00"))
    assert (found["payer_sent_count_30d"], found["new_pair"]) == (0, 1)
    assert math.isnan(found["payer_since_first"])

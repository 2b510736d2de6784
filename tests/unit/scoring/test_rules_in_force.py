"""The rules in `rules.yaml`: each norm, whom it means, and the answer to a figure that is missing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from shared.scoring.rules import Decision, Rules
from tests.unit.scoring.vectors import fired

APPROVE, HOLD, REJECT = Decision.APPROVE, Decision.HOLD, Decision.REJECT
NOTHING: tuple[Decision, list[str]] = (APPROVE, [])
NIGHT = {"night": 1.0}
RECENT = {"payee_since_fraud": 30.0}
MARKED = (HOLD, ["PAYEE_MARKED"])
SUSPECTED = (REJECT, ["PAYEE_UNDER_SUSPICION", "PAYEE_MARKED"])
UNREGISTERED = {"device_unregistered": 1.0, "device_limit_left": 150.0, "device_day_limit_left": 500.0}
TRANSACTION, DAY = "UNREGISTERED_DEVICE_TRANSACTION_LIMIT", "UNREGISTERED_DEVICE_DAY_LIMIT"


def test_a_plain_pix_meets_no_rule() -> None:
    assert fired() == NOTHING
    assert fired(side=1) == NOTHING
    assert fired(night=1, night_limit_left=0.0) == NOTHING  # the whole limit, to the centavo


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, NOTHING),
        ({"device_limit_left": -0.01}, (REJECT, [TRANSACTION])),
        ({"device_day_limit_left": -0.01}, (REJECT, [DAY])),
        ({"device_limit_left": 0.0, "device_day_limit_left": 0.0}, NOTHING),
        ({"device_day_limit_left": math.nan}, (HOLD, [DAY])),  # history is away
        ({"device_limit_left": -5, "device_day_limit_left": math.nan}, (REJECT, [TRANSACTION, DAY])),
        ({"device_limit_left": -5, "form_auto": 1}, NOTHING),  # Pix Automático
        ({"device_limit_left": -5, "side": 1}, NOTHING),
        ({"device_limit_left": math.nan, "device_day_limit_left": math.nan, "device_unregistered": 0}, NOTHING),
        (
            {"device_limit_left": math.nan, "device_day_limit_left": math.nan, "device_unregistered": math.nan},
            NOTHING,
        ),
    ],
)
def test_limits_of_a_device_that_is_not_registered(
    row: dict[str, float], expected: tuple[Decision, list[str]]
) -> None:
    assert fired(**UNREGISTERED | row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"night_limit_left": 0.0}, NOTHING),
        ({"night_limit_left": -0.01}, (HOLD, ["NIGHT_LIMIT"])),
        ({"night_limit_left": -0.01, "person_to_person": math.nan}, (HOLD, ["NIGHT_LIMIT"])),
        ({"night_limit_left": -0.01, "new_pair": 0}, (HOLD, ["NIGHT_LIMIT"])),  # to a known payee, too
        ({}, (HOLD, ["NIGHT_LIMIT"])),  # history is away
        ({"person_to_person": 0}, NOTHING),  # from or to a company
        ({"night": 0}, NOTHING),
        ({"side": 1}, NOTHING),
        ({"customer_night_limit": 1, "night_limit_left": 10}, NOTHING),
        ({"customer_night_limit": 1, "night_limit_left": -0.01}, (REJECT, ["CUSTOMER_NIGHT_LIMIT"])),
        ({"customer_night_limit": 1}, (HOLD, ["CUSTOMER_NIGHT_LIMIT"])),  # history is away
        ({"customer_night_limit": 1, "person_to_person": 0}, NOTHING),
    ],
)
def test_the_limit_of_a_night(row: dict[str, float], expected: tuple[Decision, list[str]]) -> None:
    assert fired(**NIGHT | row) == expected


def test_the_customers_limit_of_a_day() -> None:
    known = {"customer_day_limit": 1.0}
    assert fired(**known, day_limit_left=0.0) == NOTHING
    assert fired(**known, day_limit_left=-0.01) == (REJECT, ["CUSTOMER_DAY_LIMIT"])
    assert fired(**known, day_limit_left=-0.01, person_to_person=0) == (REJECT, ["CUSTOMER_DAY_LIMIT"])
    assert fired(**known, day_limit_left=-0.01, side=1) == NOTHING
    assert fired(**known) == (HOLD, ["CUSTOMER_DAY_LIMIT"])  # history is away


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"dict_markers_d90": 2, "dict_marker_share": 0.5}, (HOLD, ["PAYEE_MARKED_IN_DICT"])),
        ({"dict_markers_d90": 2, "dict_marker_share": 0.09}, NOTHING),  # a few of many settlements
        ({"dict_markers_d90": math.nan, "dict_marker_share": math.nan}, NOTHING),
        # One marker of the person or the key, and a fraud to this account within 30 days
        ({"key_markers": 1, **RECENT}, MARKED),
        ({"key_markers": 1, **RECENT, "payee_new_payers_30d": 31}, NOTHING),
        ({"key_markers": 0, **RECENT}, NOTHING),
        ({"owner_markers": 2, **RECENT}, MARKED),
        ({"owner_markers": 2, "payee_since_fraud": 31}, NOTHING),  # years later
        ({"owner_markers": 99}, NOTHING),  # of another account of the person
        ({"owner_markers": 2, **RECENT, "payee_new_payers_30d": 31}, NOTHING),  # a shop
        ({"owner_markers": 3, **RECENT, "payee_new_payers_30d": 100}, MARKED),
        ({"owner_markers": 9, **RECENT, "payee_new_payers_30d": 101}, NOTHING),
        ({"owner_markers": 10, **RECENT, "payee_new_payers_30d": 300}, MARKED),
        ({"owner_markers": 99, **RECENT, "payee_new_payers_30d": 301}, NOTHING),
        # ... or an account that is new, or hardly receives
        ({"owner_markers": 1, "payee_since_first": 29.9, "payee_new_payers_30d": 30}, MARKED),
        ({"owner_markers": 1, "payee_since_first": 29.9, "payee_new_payers_30d": 31}, NOTHING),
        ({"owner_markers": 1, "payee_since_first": math.nan, "payee_count_30d": 0}, MARKED),
        ({"owner_markers": 9, "payee_count_30d": 1}, MARKED),
        ({"key_markers": 1, "payee_count_30d": 1}, MARKED),
        # Three markers, and few payers
        ({"owner_markers": 3, **RECENT, "payee_new_payers_30d": 30}, SUSPECTED),
        ({"owner_markers": 3, **RECENT, "payee_new_payers_30d": 31}, MARKED),
        ({"owner_markers": 3, "payee_since_first": 29.9, "payee_new_payers_30d": 30}, SUSPECTED),
        ({"owner_markers": math.nan}, NOTHING),
        (
            {"dict_markers_d90": 3, "dict_marker_share": 0.5},
            (REJECT, ["PAYEE_MARKED_IN_DICT", "PAYEE_UNDER_SUSPICION"]),
        ),
        ({"dict_markers_d90": 3, "dict_marker_share": 0.4}, (HOLD, ["PAYEE_MARKED_IN_DICT"])),
    ],
)
def test_marked_payees_are_held_and_those_under_suspicion_refused_on_both_sides(
    side: float, row: dict[str, float], expected: tuple[Decision, list[str]]
) -> None:
    assert fired(**row, side=side) == expected


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    "facts",
    [
        {"payee_since_first": 29.9, "payee_new_payers_30d": 500.0, "amount_to_payee_mean_30d": 1.0},  # young
        {"payee_since_first": 400.0, "payee_new_payers_30d": 30.0, "amount_to_payee_mean_30d": 1.0},  # few payers
        {"payee_since_first": 400.0, "payee_new_payers_30d": 500.0, "amount_to_payee_mean_30d": 3.0},  # large
        {"payee_since_first": math.nan, "payee_new_payers_30d": 0.0, "amount_to_payee_mean_30d": math.nan},  # first
    ],
)
def test_a_payee_with_a_confirmed_fraud_is_held(side: float, facts: dict[str, float]) -> None:
    assert fired(payee_frauds_30d=0.9, side=side, **RECENT, **facts) == (HOLD, ["PAYEE_CONFIRMED_FRAUD"])
    assert fired(payee_frauds_30d=0.4, side=side, **RECENT, **facts) == NOTHING  # long ago


def test_an_account_of_more_payers_is_held_for_two_frauds() -> None:
    more = {"payee_new_payers_30d": 100.0, **RECENT}
    assert fired(payee_frauds_30d=0.9, **more) == NOTHING
    assert fired(payee_frauds_30d=1.5, **more) == (HOLD, ["PAYEE_CONFIRMED_FRAUD"])
    assert fired(payee_frauds_30d=9, **more | {"payee_new_payers_30d": 101}) == NOTHING


def test_an_account_of_few_payers_is_held_for_many_frauds_only_while_they_are_recent() -> None:
    assert fired(payee_frauds_30d=9) == NOTHING


def test_a_busy_shop_with_a_confirmed_fraud_is_not_held_for_usual_pix() -> None:
    busy = {"payee_since_first": 30.0, "payee_new_payers_30d": 31.0, "amount_to_payee_mean_30d": 2.9, **RECENT}
    assert fired(payee_frauds_30d=0.9, **busy) == NOTHING


REPORTED = {"payer_reported": 0.9, "payer_since_received": 1.9, "payer_company": 0.0}


@pytest.mark.parametrize(
    ("facts", "held"),
    [
        ({}, True),
        ({"payer_reported": 0.4}, False),  # long ago
        ({"payer_since_received": 2.0}, False),
        ({"payer_since_received": math.nan}, False),  # never received
        ({"payer_company": 1.0}, False),
        ({"side": 1}, False),  # the payer's institution knows its customer
    ],
)
def test_what_a_reported_account_sends_soon_after_receiving_is_held(facts: dict[str, float], held: bool) -> None:
    assert fired(**REPORTED | facts) == ((HOLD, ["PAYER_CONFIRMED_FRAUD"]) if held else NOTHING)


def test_limits_are_shown_as_refused_and_suspicions_are_not() -> None:
    rejecting = {rule.code: rule.shown for rule in Rules.load().rules if rule.decision == "REJECT"}
    assert {code for code, shown in rejecting.items() if shown == "REFUSED_BY_LIMIT"} == {
        TRANSACTION,
        DAY,
        "CUSTOMER_NIGHT_LIMIT",
        "CUSTOMER_DAY_LIMIT",
    }
    assert rejecting["PAYEE_UNDER_SUSPICION"] == "REFUSED_FOR_SECURITY"


@pytest.mark.parametrize(
    ("code", "cited"),
    [
        (TRANSACTION, ["art. 89, §§ 7 and 9", "403/2024 (not read in full)", "491/2024 (from secondary", "594/2025"]),
        (DAY, ["491/2024"]),
        ("NIGHT_LIMIT", ["142/2021, art. 2, I", "natural persons"]),
        ("CUSTOMER_NIGHT_LIMIT", ["142/2021, art. 2, II"]),
        ("PAYEE_MARKED_IN_DICT", ["art. 32, VII", "147/2021 (not read in full)"]),
        ("PAYEE_MARKED", ["not read in full"]),
        ("PAYEE_UNDER_SUSPICION", ["art. 2-A", "501/2025"]),
        ("PAYEE_CONFIRMED_FRAUD", ["internal policy"]),
        ("PAYER_CONFIRMED_FRAUD", ["art. 89", "506/2025", "secondary sources"]),
    ],
)
def test_each_rule_cites_its_norm(code: str, cited: list[str]) -> None:
    norms = [rule.norm for rule in Rules.load().rules if rule.code == code]
    assert norms
    assert all(part in norm for norm in norms for part in cited)


def test_limits_of_norms_fire_and_suspicions_skip_where_a_feature_is_missing() -> None:
    by_code: dict[str, Any] = {rule.code: rule.when_missing for rule in Rules.load().rules}
    assert {code for code, when in by_code.items() if when == "fire"} == {
        TRANSACTION,
        DAY,
        "NIGHT_LIMIT",
        "CUSTOMER_NIGHT_LIMIT",
        "CUSTOMER_DAY_LIMIT",
    }

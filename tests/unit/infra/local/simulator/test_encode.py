"""Simulated messages are valid."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from infra.local.simulator.identity import check_digits
from infra.local.simulator.psp import INITIATORS, PSPS
from shared.contract.end_to_end_id import minute_of
from shared.contract.feedback import decode_feedback
from shared.contract.fields import InitiationForm
from shared.contract.outcome import decode_outcome
from shared.contract.transaction import decode_transaction
from tests.unit.infra.local.simulator.simulated import moment_of


def test_every_event_decodes_without_unknown_fields(events: list[dict[str, Any]]) -> None:
    decoders: dict[str, Callable[[bytes], Any]] = {
        "pix-transactions": decode_transaction,
        "pix-outcomes": decode_outcome,
        "pix-feedback": decode_feedback,
    }
    decoded = [decoders[event["topic"]](msgspec.json.encode(event["data"])) for event in events]
    assert {d.unknown_fields for d in decoded} == {0}


def test_end_to_end_ids_are_unique_and_carry_payer_or_initiator(transactions: list[dict[str, Any]]) -> None:
    assert len({tx["end_to_end_id"] for tx in transactions}) == len(transactions)
    initiators = {psp.ispb for psp in PSPS}
    for tx in transactions:
        ispb = tx["payer"]["ispb"] if tx["initiation_form"] != "INIC" else tx["initiator"]
        assert (ispb in INITIATORS) == (tx["initiation_form"] == "INIC") == ("initiator" in tx)
        assert re.fullmatch(f"E{ispb}[0-9]{{12}}[0-9a-zA-Z]{{11}}", tx["end_to_end_id"])
    assert not initiators & set(INITIATORS)


def test_the_minute_of_an_id_is_that_of_the_pix_or_hours_earlier(transactions: list[dict[str, Any]]) -> None:
    apart = set()
    for tx in transactions:
        minute = minute_of(tx["end_to_end_id"])
        assert minute is not None
        apart.add((tx["initiation_form"], (moment_of(tx["initiated_at"]) - minute) // timedelta(minutes=10)))
    assert {ten for form, ten in apart if form != "AUTO"} == {0}
    assert 0 < max(ten for form, ten in apart if form == "AUTO") < 12 * 6


def test_forms_and_purposes_fit_the_payments(transactions: list[dict[str, Any]]) -> None:
    seen = Counter((tx["purpose"], tx["initiation_form"]) for tx in transactions)
    assert {form for _, form in seen} == set(InitiationForm.known())
    purposes = Counter(tx["purpose"] for tx in transactions)
    assert set(purposes) == {"IPAY", "OTHR", "GSCB"}  # the others are a PSP's own
    assert 0.9 < purposes["IPAY"] / len(transactions) < 1
    assert {form for purpose, form in seen if purpose == "OTHR"} == {"QRDN"}
    assert {len(tx["payee"]["tax_id"]) for tx in transactions if tx["purpose"] == "GSCB"} == {14}


def test_tax_ids_have_valid_check_digits(transactions: list[dict[str, Any]]) -> None:
    ids = {party["tax_id"] for tx in transactions for party in (tx["payer"], tx["payee"])}
    assert {len(tax_id) for tax_id in ids} == {11, 14}
    assert all(check_digits(tax_id[:-2]) == tax_id[-2:] for tax_id in ids)


def test_keys_have_the_form_of_their_type(transactions: list[dict[str, Any]]) -> None:
    forms = {
        "CPF": r"\d{11}",
        "CNPJ": r"[0-9A-Z]{12}\d{2}",
        "PHONE": r"\+55\d{2}9\d{8}",
        "EMAIL": r"[a-z0-9.]+@[a-z.]+",
        "EVP": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    }
    keyed = [tx["payee"] for tx in transactions if "key" in tx["payee"]]
    assert {payee["key_type"] for payee in keyed} == set(forms)
    assert all(re.fullmatch(forms[payee["key_type"]], payee["key"]) for payee in keyed)
    assert all(payee["key"] == payee["tax_id"] for payee in keyed if payee["key_type"] in ("CPF", "CNPJ"))


def test_a_key_belongs_to_one_account(transactions: list[dict[str, Any]]) -> None:
    holders = defaultdict(set)
    for tx in transactions:
        if "key" in tx["payee"]:
            holders[tx["payee"]["key"]].add((tx["payee"]["ispb"], tx["payee"]["account"]))
    assert {len(accounts) for accounts in holders.values()} == {1}


def test_nothing_is_used_before_it_exists(transactions: list[dict[str, Any]]) -> None:
    for tx in transactions:
        now, payee = tx["initiated_at"], tx["payee"]
        assert tx["payer"]["opened_at"] < now
        assert payee.get("opened_at", "") <= payee.get("key_owned_since", "") < now
        assert (tx.get("device", {}).get("registered_at") or "") < now


def test_amounts_from_unregistered_devices_keep_the_limit(transactions: list[dict[str, Any]]) -> None:
    unregistered = [tx for tx in transactions if "device" in tx and tx["device"]["registered_at"] is None]
    assert unregistered
    assert all(float(tx["amount"]) <= 200 for tx in unregistered)


def test_some_pix_are_asked_by_both_sides_and_each_tells_what_it_knows(
    transactions: list[dict[str, Any]], of_payees: list[dict[str, Any]]
) -> None:
    payers = {tx["end_to_end_id"]: tx for tx in transactions}
    assert 0.08 < len(of_payees) / len(transactions) < 0.12
    assert len({tx["end_to_end_id"] for tx in of_payees}) == len(of_payees)
    for tx in of_payees:
        asked = payers[tx["end_to_end_id"]]
        assert tx["side"] == "PAYEE"
        shared = ("initiated_at", "amount", "initiation_form", "purpose")
        assert [tx[name] for name in shared] == [asked[name] for name in shared]
        assert "device" not in tx
        assert set(tx["payer"]) == {"tax_id", "ispb", "branch", "account", "account_type"}
        assert tx["payer"].items() <= asked["payer"].items()
        told = {name: value for name, value in asked["payee"].items() if name != "registered_by_payer"}
        assert told.items() <= tx["payee"].items()
        assert "opened_at" in tx["payee"]


def test_customers_have_limits_of_their_own_and_keep_them(transactions: list[dict[str, Any]]) -> None:
    seen: Counter[str] = Counter()
    for tx in transactions:
        payer = tx["payer"]
        limits = payer.get("limits", {})
        seen.update(limits.keys())
        seen["entrepreneur"] += payer.get("entrepreneur", False)
        assert ("limits" in payer or "entrepreneur" in payer) <= (len(payer["tax_id"]) == 11)
        hour = (moment_of(tx["initiated_at"]) - timedelta(hours=3)).hour
        night = hour < 6 or hour >= int(limits.get("night_from", "20:00")[:2])
        if night and len(payer["tax_id"]) == 11 and not payer.get("entrepreneur"):
            assert float(tx["amount"]) <= float(limits.get("night", "1000.00"))
    assert min(seen["night"], seen["night_from"], seen["entrepreneur"]) > 0.02 * len(transactions)


def test_a_registered_payee_stays_registered(transactions: list[dict[str, Any]]) -> None:
    answers = defaultdict(set)
    for tx in transactions:
        pair = tx["payer"]["tax_id"], tx["payee"]["account"], tx["payee"]["ispb"]
        answers[pair].add(tx["payee"].get("registered_by_payer", False))
    assert {len(each) for each in answers.values()} == {1}
    assert 0.01 < sum(True in each for each in answers.values()) / len(answers) < 0.2

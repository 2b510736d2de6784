"""Simulated events are valid, in order, reproducible, and have the documented frauds and labels."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.simulator import Simulation, SimulationConfig, SimulationError, simulate
from infra.local.simulator.__main__ import main
from infra.local.simulator.clock import HOUR_MS, Day, is_payday, local_hour
from infra.local.simulator.config import FIRST_FRAUD, Kind
from infra.local.simulator.identity import check_digits
from shared.contract.feedback import decode_feedback
from shared.contract.transaction import decode_transaction

END = datetime(2026, 11, 20, 15, tzinfo=UTC)
CONFIG = SimulationConfig(end=END, transactions=15_000, days=45, seed=3, fraud_rate=0.01)


@pytest.fixture(scope="module")
def events():
    return [json.loads(line) for line in simulate(CONFIG)]


@pytest.fixture(scope="module")
def transactions(events):
    return [event["data"] for event in events if event["topic"] == "pix-transactions"]


@pytest.fixture(scope="module")
def feedback(events):
    return [event["data"] for event in events if event["topic"] == "pix-feedback"]


def _moment(text):
    return datetime.fromisoformat(text)


def test_every_event_decodes_without_unknown_fields(events):
    decoders = {"pix-transactions": decode_transaction, "pix-feedback": decode_feedback}
    decoded = [decoders[event["topic"]](msgspec.json.encode(event["data"])) for event in events]
    assert {d.unknown_fields for d in decoded} == {0}


def test_the_number_of_transactions_is_exact_and_they_fill_the_period(transactions):
    assert len(transactions) == 15_000
    moments = [_moment(tx["initiated_at"]) for tx in transactions]
    assert END - timedelta(days=45) <= moments[0] < END - timedelta(days=44)
    assert END - timedelta(days=1) < moments[-1] < END


def test_events_come_in_time_order(events):
    moments = [event["data"].get("initiated_at") or event["data"]["reported_at"] for event in events]
    assert moments == sorted(moments)


def test_end_to_end_ids_are_unique_and_carry_payer_and_minute(transactions):
    assert len({tx["end_to_end_id"] for tx in transactions}) == len(transactions)
    for tx in transactions:
        minute = _moment(tx["initiated_at"]).strftime("%Y%m%d%H%M")
        letter = "D" if tx["purpose"] == "REFU" else "E"
        assert re.fullmatch(f"{letter}{tx['payer']['ispb']}{minute}[0-9a-zA-Z]{{11}}", tx["end_to_end_id"])


def test_tax_ids_have_valid_check_digits(transactions):
    ids = {party["tax_id"] for tx in transactions for party in (tx["payer"], tx["payee"])}
    assert {len(tax_id) for tax_id in ids} == {11, 14}
    assert all(check_digits(tax_id[:-2]) == tax_id[-2:] for tax_id in ids)


def test_keys_have_the_form_of_their_type(transactions):
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


def test_a_key_belongs_to_one_account(transactions):
    holders = defaultdict(set)
    for tx in transactions:
        if "key" in tx["payee"]:
            holders[tx["payee"]["key"]].add((tx["payee"]["ispb"], tx["payee"]["account"]))
    assert {len(accounts) for accounts in holders.values()} == {1}


def test_nothing_is_used_before_it_exists(transactions):
    for tx in transactions:
        now, payee = tx["initiated_at"], tx["payee"]
        assert tx["payer"]["opened_at"] < now
        assert payee.get("opened_at", "") <= payee.get("key_owned_since", "") < now
        assert (tx.get("device", {}).get("registered_at") or "") < now


def test_statistics_end_at_their_watermark(transactions, feedback):
    """A payee has no more open or rejected reports and markers than were public at the watermark."""
    payee_of = {tx["end_to_end_id"]: tx["payee"]["tax_id"] for tx in transactions}
    opened, rejected = defaultdict(list), defaultdict(list)
    for report in feedback:
        if report.get("status") == "OPEN":
            opened[payee_of[report["end_to_end_id"]]].append(report["reported_at"])
        if report.get("analysis_result") == "DISAGREED":
            rejected[payee_of[report["end_to_end_id"]]].append(report["reported_at"])
    seen = Counter()
    for tx in transactions:
        block = tx.get("payee_statistics")
        if block:
            tax_id, watermark = tx["payee"]["tax_id"], block["watermark"]
            assert watermark <= tx["initiated_at"]
            infractions = block["infraction_reports"]
            assert infractions["open"] <= sum(at < watermark for at in opened[tax_id])
            assert infractions["rejected"]["m12"] == sum(at < watermark for at in rejected[tax_id])
            seen.update(open=infractions["open"], rejected=infractions["rejected"]["m12"])
            windows = [block["settlements"], *block["fraud_markers"].values()]
            assert all(window["d90"] <= window["m12"] <= window["m60"] for window in windows)
    assert seen["open"] > 0
    assert seen["rejected"] > 0


def test_amounts_from_unregistered_devices_keep_the_limit(transactions):
    unregistered = [tx for tx in transactions if "device" in tx and tx["device"]["registered_at"] is None]
    assert unregistered
    assert all(float(tx["amount"]) <= 200 for tx in unregistered)


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.02])
def test_the_fraud_rate_is_met(rate):
    simulation = Simulation(SimulationConfig(end=END, transactions=12_000, days=30, seed=5, fraud_rate=rate))
    assert sum(len(day) for day in simulation.days()) > 12_000
    frauds = sum(simulation.kinds[kind.name] for kind in Kind if kind >= FIRST_FRAUD)
    assert frauds == pytest.approx(12_000 * rate, rel=0.15, abs=6)


def test_every_kind_of_payment_occurs():
    simulation = Simulation(CONFIG)
    assert sum(1 for _ in simulation.lines()) > CONFIG.transactions
    assert {name for name, count in simulation.kinds.items() if count} == {kind.name for kind in Kind}


def test_med_reports_go_through_their_states_in_time(transactions, feedback):
    initiated = {tx["end_to_end_id"]: _moment(tx["initiated_at"]) for tx in transactions}
    reports = defaultdict(list)
    for message in feedback:
        if message["source"] == "MED":
            reports[message["report_id"]].append(message)
    for states in reports.values():
        assert [s["status"] for s in states] in (
            ["OPEN", "ACKNOWLEDGED", "CLOSED"],
            ["OPEN", "ACKNOWLEDGED", "CANCELLED"],
        )
        opened, *_, ended = (_moment(s["reported_at"]) for s in states)
        assert timedelta(0) < opened - initiated[states[0]["end_to_end_id"]] <= timedelta(days=80)
        assert timedelta(0) < ended - opened <= timedelta(days=7)
        assert (states[-1]["analysis_result"] is not None) == (states[-1]["status"] == "CLOSED")
        assert (states[-1]["fraud_type"] is not None) == (states[-1]["analysis_result"] == "AGREED")


def test_reports_are_late_wrong_rejected_and_missing():
    simulation = Simulation(SimulationConfig(end=END, transactions=30_000, days=90, seed=1, fraud_rate=0.01))
    feedback = [json.loads(line)["data"] for line in simulation.lines() if b'"pix-feedback"' in line]
    outcomes = {"fraud never reported", "MED agreed", "MED disagreed", "MED cancelled", "analyst fraud"}
    assert all(simulation.labels[outcome] > 5 for outcome in outcomes)
    after_end = [report for report in feedback if _moment(report["reported_at"]) >= END]
    assert 0.02 < len(after_end) / len(feedback) < 0.5
    assert {report["source"] for report in feedback} == {"MED", "ANALYST"}


def test_labels_until_drops_later_feedback(feedback):
    until = END - timedelta(days=5)
    config = SimulationConfig(end=END, transactions=15_000, days=45, seed=3, fraud_rate=0.01, labels_until=until)
    kept = [json.loads(line)["data"] for line in simulate(config) if b'"pix-feedback"' in line]
    assert kept == [report for report in feedback if _moment(report["reported_at"]) <= until]


def test_the_same_options_give_the_same_bytes_in_any_process():
    options = ["--transactions", "3000", "--days", "10", "--end", END.isoformat(), "--seed", "9", "--quiet"]
    runs = [
        subprocess.run(
            [sys.executable, "-m", "infra.local.simulator", *options],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert b"".join(simulate(SimulationConfig(end=END, transactions=3000, days=10, seed=9))) == runs[0]


def test_another_seed_gives_another_world():
    first, second = (
        b"".join(simulate(SimulationConfig(end=END, transactions=500, days=3, seed=seed))) for seed in (1, 2)
    )
    assert first != second


def test_a_gz_ending_compresses_the_same_events_to_the_same_file(tmp_path):
    options = ["--transactions", "800", "--days", "4", "--end", END.isoformat(), "--quiet", "--out"]
    for name in ("a.ndjson", "b.ndjson.gz", "c.ndjson.gz"):
        assert main([*options, str(tmp_path / name)]) == 0
    assert gzip.decompress((tmp_path / "b.ndjson.gz").read_bytes()) == (tmp_path / "a.ndjson").read_bytes()
    assert (tmp_path / "b.ndjson.gz").read_bytes() == (tmp_path / "c.ndjson.gz").read_bytes()


def test_a_tiny_and_a_long_simulation_run_to_the_end():
    for transactions, days, customers in ((1, 1, None), (40, 30, 50), (3_000, 500, 60)):
        config = SimulationConfig(end=END, transactions=transactions, days=days, customers=customers)
        lines = list(simulate(config))
        assert sum(b'"pix-transactions"' in line for line in lines) == transactions


@pytest.mark.parametrize(
    "wrong", [{"transactions": 0}, {"days": 0}, {"fraud_rate": 0.5}, {"customers": 3}, {"seed": -1}]
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(SimulationError):
        SimulationConfig(end=END, **wrong)


@pytest.mark.parametrize("options", [["--fraud-rate", "2"], ["--end", "yesterday"], ["--transactions", "many"]])
def test_wrong_options_end_with_status_2_and_a_reason(options, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_ends_with_status_1(tmp_path, capsys):
    assert main(["--transactions", "10", "--days", "1", "--out", str(tmp_path / "none" / "x")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_the_summary_counts_kinds_and_labels(tmp_path, capsys):
    assert main(["--transactions", "2000", "--days", "9", "--out", str(tmp_path / "x")]) == 0
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("transactions", "2,000", "takeover", "scam", "MED agreed", "events in"))


@given(st.integers(0, 23), st.floats(-50, 50))
def test_a_day_holds_every_local_hour_once(start_hour, hour):
    day = Day(0, 1_700_000 * HOUR_MS + start_hour * HOUR_MS)
    at = day.place(np.array([hour]))
    assert day.start <= at[0] < day.end
    apart = abs(float(local_hour(at)[0]) - hour % 24)
    assert min(apart, 24 - apart) < 1e-6 + 1 / HOUR_MS


def test_wages_fall_on_the_fifth_business_day():
    days = [date(2026, 11, 1) + timedelta(days=n) for n in range(30)]
    # 2 November 2026 is a holiday, a Monday.
    assert [day.day for day in days if is_payday((day - date(1970, 1, 1)).days)] == [9]

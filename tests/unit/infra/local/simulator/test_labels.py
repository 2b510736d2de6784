"""Reports on simulated Pix, and the statistics that follow from them."""

import json
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from infra.local.simulator import Simulation, SimulationConfig, simulate
from tests.unit.infra.local.simulator.simulated import END, moment_of

SOURCES = ("MED", "ANALYST", "CUSTOMER", "FRAUD_MARKER", "REFUND", "FUNDS_RECOVERY")


def local_month(text: str) -> str:
    return f"{moment_of(text) - timedelta(hours=3):%Y-%m}"


def test_new_reports_name_their_situation_and_fraud(feedback: list[dict[str, Any]]) -> None:
    named = {report.get(field) for report in feedback for field in ("situation_type", "fraud_type")}
    assert {"SCAM", "MULE_ACCOUNT"} < named
    assert "UNKNOWN" not in named


def test_statistics_end_at_their_watermark(
    transactions: list[dict[str, Any]], feedback: list[dict[str, Any]]
) -> None:
    """A payee has no more open or rejected reports and markers than were public at the watermark."""
    payee_of = {tx["end_to_end_id"]: tx["payee"]["tax_id"] for tx in transactions}
    opened, rejected = defaultdict(list), defaultdict(list)
    for report in feedback:
        if report["source"] == "MED" and report["status"] == "OPEN":
            opened[payee_of[report["end_to_end_id"]]].append(report["reported_at"])
        if report.get("analysis_result") == "DISAGREED":
            rejected[payee_of[report["end_to_end_id"]]].append(report["reported_at"])
    seen: Counter[str] = Counter()
    for tx in transactions:
        block = tx.get("payee_statistics")
        if block:
            tax_id, watermark = tx["payee"]["tax_id"], block["watermark"]
            assert watermark <= tx["initiated_at"]
            infractions = block["infraction_reports"]
            assert infractions["open"] <= sum(at < watermark for at in opened[tax_id])
            assert infractions["rejected"]["d90"] == sum(at < watermark for at in rejected[tax_id])
            earlier = sum(local_month(at) < local_month(watermark) for at in rejected[tax_id])
            assert infractions["rejected"]["m12"] == earlier
            seen.update(open=infractions["open"], rejected=infractions["rejected"]["d90"], earlier=earlier)
            windows = [block["settlements"], *block["fraud_markers"].values()]
            assert all(window["m12"] <= window["m60"] for window in windows)
    assert seen["open"] > 0
    assert 0 < seen["earlier"] < seen["rejected"]


def test_med_reports_go_through_their_states_in_time(
    transactions: list[dict[str, Any]], feedback: list[dict[str, Any]]
) -> None:
    initiated = {tx["end_to_end_id"]: moment_of(tx["initiated_at"]) for tx in transactions}
    reports = defaultdict(list)
    for message in feedback:
        if message["source"] == "MED":
            reports[message["report_id"]].append(message)
    for states in reports.values():
        assert [s["status"] for s in states] in (
            ["OPEN", "ACKNOWLEDGED", "CLOSED"],
            ["OPEN", "ACKNOWLEDGED", "CANCELLED"],
        )
        assert {s["created_at"] for s in states} == {states[0]["reported_at"]}
        opened, *_, ended = (moment_of(s["reported_at"]) for s in states)
        assert timedelta(0) < opened - initiated[states[0]["end_to_end_id"]] <= timedelta(days=80, hours=1)
        assert timedelta(0) < ended - opened <= timedelta(days=7)
        assert (states[-1]["analysis_result"] is not None) == (states[-1]["status"] == "CLOSED")
        assert (states[-1]["fraud_type"] is not None) == (states[-1]["analysis_result"] == "AGREED")


def test_reports_are_late_wrong_rejected_and_missing() -> None:
    simulation = Simulation(SimulationConfig(end=END, transactions=30_000, days=90, seed=1, fraud_rate=0.01))
    feedback = [json.loads(line)["data"] for line in simulation.lines() if b'"pix-feedback"' in line]
    outcomes = {"fraud never reported", "MED agreed", "MED disagreed", "MED cancelled", "analyst fraud"}
    assert all(simulation.labels[outcome] > 5 for outcome in outcomes)
    after_end = [report for report in feedback if moment_of(report["reported_at"]) >= END]
    assert 0.02 < len(after_end) / len(feedback) < 0.5
    assert {report["source"] for report in feedback} == set(SOURCES)


def test_labels_until_drops_later_feedback(feedback: list[dict[str, Any]]) -> None:
    until = END - timedelta(days=5)
    config = SimulationConfig(end=END, transactions=15_000, days=45, seed=3, fraud_rate=0.01, labels_until=until)
    kept = [json.loads(line)["data"] for line in simulate(config) if b'"pix-feedback"' in line]
    assert kept == [report for report in feedback if moment_of(report["reported_at"]) <= until]

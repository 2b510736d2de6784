"""MED 2.0: recoveries, reports on hops, markers and refunds agree with the money that went that way."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra.local.simulator import Simulation, simulate
from tests.unit.infra.local.simulator.simulated import CONFIG, moment_of

Messages = list[dict[str, Any]]


def cents(amount: str) -> int:
    return round(100 * float(amount))


def of_source(feedback: Messages, source: str) -> Messages:
    return [report for report in feedback if report["source"] == source]


@pytest.fixture(scope="session")
def pix(transactions: Messages) -> dict[str, dict[str, Any]]:
    return {tx["end_to_end_id"]: tx for tx in transactions}


@pytest.fixture(scope="session")
def graphs(feedback: Messages) -> dict[str, Messages]:
    """The graph of each recovery, by its id."""
    found: dict[str, Messages] = {}
    for recovery in of_source(feedback, "FUNDS_RECOVERY"):
        if recovery["status"] == "CREATED":
            assert recovery["graph"] == []
        else:
            assert found.setdefault(recovery["report_id"], recovery["graph"]) == recovery["graph"]
    return found


def test_recoveries_go_through_their_states_in_time(feedback: Messages) -> None:
    states = defaultdict(list)
    for recovery in of_source(feedback, "FUNDS_RECOVERY"):
        states[recovery["report_id"]].append(recovery["status"])
    begun = ["CREATED", "TRACKED", "AWAITING_ANALYSIS"]
    ends = {tuple(each[3:]) for each in states.values() if each[:3] == begun}
    assert ends == {("ANALYSED", "REFUNDING", "COMPLETED"), ("CANCELLED",)}
    assert all(each[:3] == begun for each in states.values())


def test_a_graph_is_a_tree_of_money_from_the_root_on(
    graphs: dict[str, Messages], pix: dict[str, dict[str, Any]]
) -> None:
    """Each hop is paid by the payee of the hop before, later than that, and no more is stolen than came in."""
    hops: Counter[int] = Counter()
    for graph in graphs.values():
        root, *later = graph
        assert root == {
            "end_to_end_id": root["end_to_end_id"],
            "hop": 1,
            "amount": pix[root["end_to_end_id"]]["amount"],
        }
        for edge in later:
            tx = pix[edge["end_to_end_id"]]
            assert 0 < cents(edge["amount"]) <= cents(tx["amount"])
            parents = [each for each in graph if each["hop"] == edge["hop"] - 1]
            assert any(
                (payee := pix[parent["end_to_end_id"]]["payee"])["account"] == tx["payer"]["account"]
                and payee["tax_id"] == tx["payer"]["tax_id"]
                and pix[parent["end_to_end_id"]]["initiated_at"] < tx["initiated_at"]
                for parent in parents
            )
        sums: Counter[int] = Counter()
        for edge in graph:
            sums[edge["hop"]] += cents(edge["amount"])
        assert all(sums[hop] <= sums[hop - 1] for hop in sums if hop > 1)
        hops.update(edge["hop"] for edge in later)
    assert set(hops) == {2, 3, 4, 5}
    assert hops[2] > hops[3] > hops[5]


def test_every_edge_has_a_report_with_its_hop_and_amount(
    feedback: Messages, graphs: dict[str, Messages], pix: dict[str, dict[str, Any]]
) -> None:
    told = defaultdict(set)
    for report in of_source(feedback, "MED"):
        hop, amount = report["hop"], report["infraction_amount"]
        told[report["funds_recovery_id"]].add((report["end_to_end_id"], hop, amount))
        assert (report["root_end_to_end_id"] == report["end_to_end_id"]) == (hop == 1)
        assert report["reported_at"] > pix[report["end_to_end_id"]]["initiated_at"]
    for recovery, graph in graphs.items():
        assert told[recovery] == {(edge["end_to_end_id"], edge["hop"], edge["amount"]) for edge in graph}


def test_an_agreed_report_marks_its_receiver(feedback: Messages, pix: dict[str, dict[str, Any]]) -> None:
    agreed = {
        report["report_id"]: report
        for report in of_source(feedback, "MED")
        if report["analysis_result"] == "AGREED" and report["status"] == "CLOSED"
    }
    markers = [marker for marker in of_source(feedback, "FRAUD_MARKER") if marker["status"] == "REGISTERED"]
    assert {marker["infraction_report_id"] for marker in markers} == set(agreed)
    for marker in markers:
        report = agreed[marker["infraction_report_id"]]
        payee = pix[report["end_to_end_id"]]["payee"]
        assert (marker["tax_id"], marker["fraud_type"]) == (payee["tax_id"], report["fraud_type"])
        assert marker.get("key", payee.get("key")) == payee.get("key", marker.get("key"))
    cancelled = [marker for marker in of_source(feedback, "FRAUD_MARKER") if marker["status"] == "CANCELLED"]
    assert 0 < len(cancelled) < len(markers) / 5
    assert {marker["report_id"] for marker in cancelled} < {marker["report_id"] for marker in markers}


def test_refunds_of_a_recovery_are_at_most_the_contested_amount(
    feedback: Messages, outcomes: Messages, graphs: dict[str, Messages]
) -> None:
    refunds = {r["end_to_end_id"]: r for r in of_source(feedback, "REFUND") if r["status"] == "CLOSED"}
    given = {o["end_to_end_id"]: o for o in outcomes if o["status"] == "RETURNED" and o["reason"] == "FR01"}
    results: Counter[str] = Counter()
    for graph in graphs.values():
        back = 0
        for edge in graph:
            refund = refunds.get(edge["end_to_end_id"])
            if refund is None:
                continue
            results[refund["result"]] += 1
            back += cents(refund.get("amount", "0"))
            assert (refund["result"] == "REJECTED") == ("rejection" in refund) == ("amount" not in refund)
            assert (refund["result"] == "TOTAL") == (refund.get("amount") == edge["amount"])
            if edge["hop"] == 1 and "amount" in refund:
                returned = given[edge["end_to_end_id"]]
                assert (returned["amount"], returned["at"]) == (refund["amount"], refund["reported_at"])
        assert back <= cents(graph[0]["amount"])
    assert set(results) == {"TOTAL", "PARTIAL", "REJECTED"}


def test_customers_contest_before_the_report_or_withdraw_without_one(feedback: Messages) -> None:
    contested = {r["end_to_end_id"]: r["reported_at"] for r in of_source(feedback, "CUSTOMER")[::-1]}
    withdrawn = {r["end_to_end_id"] for r in of_source(feedback, "CUSTOMER") if r["status"] == "WITHDRAWN"}
    opened = {r["end_to_end_id"]: r["reported_at"] for r in of_source(feedback, "MED") if r["status"] == "OPEN"}
    later = [moment_of(opened[id_]) - moment_of(at) for id_, at in contested.items() if id_ in opened]
    assert len(later) > 50
    assert all(timedelta(0) < delay < timedelta(days=1) for delay in later)
    assert 0 < len(withdrawn) < len(contested) / 3
    assert not withdrawn & set(opened)
    assert withdrawn == set(contested) - set(opened)


def test_without_hop_reports_the_payments_and_their_outcomes_are_the_same(
    events: Messages, transactions: Messages, feedback: Messages
) -> None:
    alone = [json.loads(line) for line in simulate(replace(CONFIG, hop_reports=False))]
    told = [event["data"] for event in alone if event["topic"] == "pix-feedback"]
    assert [e for e in alone if e["topic"] == "pix-outcomes"] == [e for e in events if e["topic"] == "pix-outcomes"]
    unmarked = [
        {name: value for name, value in e["data"].items() if name != "payee_statistics"}
        for e in alone
        if e["topic"] == "pix-transactions" and "side" not in e["data"]
    ]
    assert unmarked == [{n: v for n, v in tx.items() if n != "payee_statistics"} for tx in transactions]
    assert {report["hop"] for report in of_source(told, "MED")} == {1}
    roots = [report for report in of_source(feedback, "MED") if report["hop"] == 1]
    assert of_source(told, "MED") == roots


def test_the_share_of_med_2_is_that_of_the_options() -> None:
    simulation = Simulation(replace(CONFIG, med2=0.4))
    reports = [json.loads(line)["data"] for line in simulation.lines() if b'"MED"' in line]
    opened = [report for report in reports if report["status"] == "OPEN"]
    roots = [report for report in opened if report.get("hop", 1) == 1]
    assert 0.3 < sum("funds_recovery_id" in report for report in roots) / len(roots) < 0.5
    assert all(("hop" in report) == ("funds_recovery_id" in report) for report in opened)

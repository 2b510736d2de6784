"""Money behind an agreed report is followed and reported hop by hop."""

from __future__ import annotations

import json
from typing import Any

from infra.local.recoveries import with_recoveries
from shared.contract.feedback import MedReport, decode_feedback
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from tests.builders import encoded, med_report, transaction


def pix(payer: str, payee: str, amount: str, minute: int) -> dict[str, Any]:
    at = f"2026-11-20T14:{minute:02}:00Z"
    return transaction(
        payer__account=payer, payee__account=payee, payee__ispb="12345678", amount=amount, initiated_at=at
    )


def hops(*events: dict[str, Any]) -> list[MedReport]:
    """Return the reports on later hops behind events in time order."""
    topics = (FEEDBACK if "source" in event else TRANSACTIONS for event in events)
    lines = [encoded({"topic": topic, "data": data}) for topic, data in zip(topics, events, strict=True)]
    found = [json.loads(line)["data"] for line in with_recoveries(lines) if line not in lines]
    reports = [decode_feedback(encoded(data)).value for data in found]
    return [report for report in reports if isinstance(report, MedReport)]


def test_what_the_payee_and_the_next_account_sent_on_is_reported() -> None:
    root, second, third = pix("1", "2", "1000.00", 0), pix("2", "3", "900.00", 10), pix("3", "4", "850.00", 20)
    reports = hops(root, second, third, med_report(root["end_to_end_id"]))
    assert [(each.end_to_end_id, each.hop) for each in reports] == [
        (second["end_to_end_id"], 2),
        (third["end_to_end_id"], 3),
    ]
    assert {each.root_end_to_end_id for each in reports} == {root["end_to_end_id"]}
    assert len({each.funds_recovery_id for each in reports}) == 1
    assert [str(each.infraction_amount) for each in reports] == ["900.00", "850.00"]


def test_small_early_and_late_pix_are_not_followed() -> None:
    root = pix("1", "2", "1000.00", 5)
    others = [pix("2", "3", "250.00", 10), pix("2", "3", "900.00", 50) | {"initiated_at": "2026-11-20T16:06:00Z"}]
    early = pix("2", "3", "900.00", 4)
    assert hops(early, root, *others, med_report(root["end_to_end_id"])) == []


def test_only_an_agreed_report_is_followed() -> None:
    root, second = pix("1", "2", "1000.00", 0), pix("2", "3", "900.00", 10)
    assert hops(root, second, med_report(root["end_to_end_id"], analysis_result="DISAGREED")) == []


def test_a_circle_ends() -> None:
    root, back, again = pix("1", "2", "1000.00", 0), pix("2", "1", "900.00", 10), pix("1", "2", "800.00", 20)
    assert [each.hop for each in hops(root, back, again, med_report(root["end_to_end_id"]))] == [2, 3]

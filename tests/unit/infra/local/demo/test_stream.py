"""What the live part of an event file says about its Pix."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from infra.local.demo.stream import confirmed_frauds
from shared.contract.events_file import Line
from shared.contract.topics import FEEDBACK, TRANSACTIONS
from tests.builders import encoded, med_report, transaction

ID = transaction()["end_to_end_id"]


def analyst(verdict: str) -> dict[str, Any]:
    report = {"source": "ANALYST", "report_id": "A1", "end_to_end_id": ID, "reported_at": "2026-11-21T09:00:00Z"}
    return report | {"verdict": verdict}


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (med_report(ID, status="CLOSED", analysis_result="AGREED", situation_type="SCAM"), {ID: "SCAM"}),
        (med_report(ID, status="CLOSED", analysis_result="DISAGREED", situation_type="SCAM"), {}),
        (med_report(ID, status="OPEN", analysis_result=None, situation_type="SCAM"), {}),
        (analyst("FRAUD"), {ID: "UNKNOWN"}),
        (analyst("LEGITIMATE"), {}),
        ({"source": "MED"}, {}),
    ],
)
def test_a_review_is_to_find_what_the_file_confirms(message: dict[str, Any], found: dict[str, str]) -> None:
    lines = [Line(TRANSACTIONS, Raw(encoded(transaction()))), Line(FEEDBACK, Raw(encoded(message)))]
    assert confirmed_frauds(lines) == found

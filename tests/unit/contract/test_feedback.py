"""Reports on Pix: the verdict of each, and required fields."""

import pytest

from shared.contract.feedback import decode_feedback
from shared.contract.fields import Verdict
from tests.builders import encoded, med_report, transaction
from tests.unit.contract.refusals import reason

E2E = transaction()["end_to_end_id"]


@pytest.mark.parametrize(
    ("status", "result", "verdict"),
    [
        ("OPEN", None, Verdict.PENDING),
        ("ACKNOWLEDGED", None, Verdict.PENDING),
        ("CLOSED", "AGREED", Verdict.FRAUD),
        ("CLOSED", "DISAGREED", Verdict.LEGITIMATE),
        ("CANCELLED", None, Verdict.LEGITIMATE),
        ("CANCELLED", "AGREED", Verdict.LEGITIMATE),
    ],
)
def test_the_verdict_of_a_med_report(status: str, result: str | None, verdict: Verdict) -> None:
    report = decode_feedback(encoded(med_report(E2E, status=status, analysis_result=result))).value
    assert report.verdict is verdict


def test_the_verdict_of_an_analyst() -> None:
    message = {
        "source": "ANALYST",
        "report_id": "r",
        "end_to_end_id": E2E,
        "reported_at": "2026-11-22T10:00:00Z",
        "verdict": "FRAUD",
    }
    assert decode_feedback(encoded(message)).value.verdict is Verdict.FRAUD
    assert decode_feedback(encoded(message | {"novelty": 1})).unknown_fields == 1
    assert reason(encoded(message | {"verdict": "PENDING"}), decode_feedback) == ("invalid_value", "verdict")


def test_a_closed_report_needs_its_result() -> None:
    assert reason(encoded(med_report(E2E, analysis_result=None)), decode_feedback) == (
        "missing_field",
        "analysis_result",
    )

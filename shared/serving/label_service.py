"""The label function: one report in, one row of `pix.feedback`, one acknowledgement."""

from __future__ import annotations

from collections.abc import Callable

from shared.contract.envelope import PubsubMessage
from shared.contract.event import micros
from shared.contract.events_file import FEEDBACK
from shared.contract.feedback import Feedback, MedReport, decode_feedback
from shared.contract.rows import FeedbackRow
from shared.ports import Table
from shared.serving.intake import Intake


def label_intake(
    feedback: Table,
    quarantine: Table,
    now: Callable[[], int],
    batch_max: int,
    batches_in_flight: int,
) -> Intake[FeedbackRow]:
    """Return the intake that stores reports."""

    def decode(message: PubsubMessage) -> FeedbackRow:
        return feedback_row(decode_feedback(message.data).value, now())

    return Intake(FEEDBACK, decode, feedback.append, quarantine, now, batch_max, batches_in_flight)


def feedback_row(report: Feedback, received_at: int) -> FeedbackRow:
    """Return the row of one report."""
    med = report if isinstance(report, MedReport) else None
    return FeedbackRow(
        source="MED" if med else "ANALYST",
        report_id=report.report_id,
        end_to_end_id=report.end_to_end_id,
        reported_at=micros(report.reported_at),
        received_at=received_at,
        verdict=report.verdict.value,
        status=med.status.value if med else None,
        analysis_result=med.analysis_result.value if med and med.analysis_result else None,
        situation_type=med.situation_type.value if med else None,
        fraud_type=med.fraud_type.value if med and med.fraud_type else None,
    )

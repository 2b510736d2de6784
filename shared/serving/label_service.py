"""The label function: one report in, history told, one row of `pix.feedback`, one acknowledgement.

The order keeps every label: history is told first, then the row is stored, then the message is acknowledged. After a
crash in between the message comes again; history, which knows what it was told, counts nothing twice and answers as
it did, and the row is stored then, or a second time, which the view `labels` does not mind. The other way round, a
row without its count could stand for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

import msgspec

from shared.contract.envelope import PubsubMessage
from shared.contract.event import micros
from shared.contract.events_file import FEEDBACK
from shared.contract.feedback import Feedback, MedReport, decode_feedback
from shared.contract.fields import Verdict
from shared.contract.rows import FeedbackRow
from shared.errors import PixError
from shared.features.verdicts import Said
from shared.ports import Lookup, Statement, Table, Verdicts
from shared.serving.group_commit import Limits
from shared.serving.intake import Intake, check_not_in_the_future, refusals
from shared.telemetry.batches import Telling
from shared.telemetry.metrics import STAGE, UNKNOWN_FIELDS

log = logging.getLogger(__name__)


class SharedHistory(NamedTuple):
    """Where the pseudonyms of a Pix are looked up, and the history that is told what became of it."""

    scored: Lookup
    verdicts: Verdicts

    async def tell(self, rows: Sequence[FeedbackRow]) -> list[FeedbackRow]:
        """Tell history, and return the rows with the place at which it counted them. Raises Unavailable."""
        parties = await self.scored.parties({row.end_to_end_id for row in rows})
        known = [row for row in rows if row.end_to_end_id in parties]
        if len(known) < len(rows):
            log.warning("unknown transactions reported", extra={"fields": {"reports": len(rows) - len(known)}})
        statements = [Statement(row.end_to_end_id, parties[row.end_to_end_id], _said(row)) for row in known]
        counted = iter(await self.verdicts.tell(statements))
        return [
            msgspec.structs.replace(row, history_sequence=next(counted)) if row.end_to_end_id in parties else row
            for row in rows
        ]


def label_intake(
    feedback: Table,
    quarantine: Table,
    now: Callable[[], int],
    limits: Limits,
    ahead_seconds: float,
    telling: Telling,
    history: SharedHistory | None = None,
) -> Intake[FeedbackRow]:
    """Return the intake that tells history, where it is shared, and stores reports."""

    metrics = telling.metrics

    def decode(message: PubsubMessage) -> FeedbackRow:
        report, unknown = decode_feedback(message.data)
        if unknown:
            metrics.add(UNKNOWN_FIELDS, unknown)
        row = feedback_row(report, now())
        check_not_in_the_future("reported_at", row.reported_at, row.received_at, ahead_seconds)
        return row

    async def store(rows: Sequence[FeedbackRow]) -> dict[int, PixError]:
        times = [perf_counter()]
        told = await history.tell(rows) if history else rows
        times.append(perf_counter())
        refused = await feedback.append(told)
        times.append(perf_counter())
        metrics.record(STAGE, times[1] - times[0], "state")
        metrics.record(STAGE, times[2] - times[1], "append")
        return refusals(refused)

    return Intake(FEEDBACK, decode, store, quarantine, now, limits, telling)


def feedback_row(report: Feedback, received_at: int, history_sequence: int | None = None) -> FeedbackRow:
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
        history_sequence=history_sequence,
    )


def _said(row: FeedbackRow) -> Said:
    return Said(Verdict(row.verdict), row.reported_at)

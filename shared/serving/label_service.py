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
from shared.contract.feedback import decode_feedback
from shared.contract.fields import Verdict
from shared.contract.mapping import feedback_row
from shared.contract.rows import FeedbackRow
from shared.contract.topics import FEEDBACK
from shared.errors import PixError
from shared.features.verdicts import ReportedVerdict
from shared.ports import Lookup, PixVerdict, Table, Verdicts
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import Intake, check_not_in_the_future, refusals
from shared.telemetry.batches import Telemetry
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
        statements = [PixVerdict(row.end_to_end_id, parties[row.end_to_end_id], _said(row)) for row in known]
        counted = iter(await self.verdicts.tell(statements))
        return [
            msgspec.structs.replace(row, history_sequence=next(counted)) if row.end_to_end_id in parties else row
            for row in rows
        ]


def label_intake(
    feedback: Table,
    quarantine: Table,
    now: Callable[[], int],
    limits: BatchLimits,
    ahead_seconds: float,
    telling: Telemetry,
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


def _said(row: FeedbackRow) -> ReportedVerdict:
    return ReportedVerdict(Verdict(row.verdict), row.reported_at)

"""The label function: one report in, its verdict counted in history, one row of `pix.feedback`, one acknowledgement.

The order keeps every label: history counts the verdict first, then the row is stored, then the message is
acknowledged. After a crash in between, the message is delivered again: history recognises the verdict, counts nothing
twice and gives the same answer, and the row is stored then, or a second time, which the view `labels` removes. In the
other order, a row without its count could remain for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
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
from shared.serving.intake import Intake
from shared.serving.quarantine import check_not_in_the_future, refused_by_table
from shared.telemetry.batches import Telemetry
from shared.telemetry.metrics import STAGE, UNKNOWN_FIELDS, Metrics

log = logging.getLogger(__name__)


class SharedHistory(NamedTuple):
    """History that the score function shares, and the lookup of the pseudonyms by which it knows a Pix."""

    scored: Lookup
    verdicts: Verdicts

    async def apply(self, rows: Sequence[FeedbackRow]) -> list[FeedbackRow]:
        """Count the verdicts of the rows; return the rows with the sequence at which each counts.

        Raises Unavailable.
        """
        parties = await self.scored.parties({row.end_to_end_id for row in rows})
        known = [row for row in rows if row.end_to_end_id in parties]
        if len(known) < len(rows):
            log.warning("unknown transactions reported", extra={"fields": {"reports": len(rows) - len(known)}})
        verdicts = [PixVerdict(row.end_to_end_id, parties[row.end_to_end_id], _verdict(row)) for row in known]
        sequences = iter(await self.verdicts.apply(verdicts))
        return [
            msgspec.structs.replace(row, history_sequence=next(sequences)) if row.end_to_end_id in parties else row
            for row in rows
        ]


class LabelPipeline:
    """Every step from a report to its row, in order.

    ::

        decode, one message   parse
        store, a batch        history -> append

    `history` is None where the score function does not share its history.
    """

    def __init__(
        self,
        history: SharedHistory | None,
        feedback: Table,
        now: Callable[[], int],
        ahead_seconds: float,
        metrics: Metrics,
    ) -> None:
        self._history = history
        self._feedback = feedback
        self._now = now
        self._ahead_seconds = ahead_seconds
        self._metrics = metrics

    def decode(self, message: PubsubMessage) -> FeedbackRow:
        """Parse a report. Raises Malformed."""
        report, unknown_fields = decode_feedback(message.data)
        if unknown_fields:
            self._metrics.add(UNKNOWN_FIELDS, unknown_fields)
        row = feedback_row(report, self._now())
        check_not_in_the_future("reported_at", row.reported_at, row.received_at, self._ahead_seconds)
        return row

    async def store(self, rows: Sequence[FeedbackRow]) -> dict[int, PixError]:
        """Count verdicts in history and append rows; return the error of each refused row, by index.

        Raises Unavailable if history does not answer or the rows are not known to be stored.
        """
        with self._metrics.timed(STAGE, "state"):
            counted = await self._history.apply(rows) if self._history else rows
        with self._metrics.timed(STAGE, "append"):
            refused = await self._feedback.append(counted)
        return refused_by_table(refused)


def label_intake(
    pipeline: LabelPipeline, quarantine: Table, now: Callable[[], int], limits: BatchLimits, telemetry: Telemetry
) -> Intake[FeedbackRow]:
    """Return the intake of `pix-feedback`."""
    return Intake(FEEDBACK, pipeline.decode, pipeline.store, quarantine, now, limits, telemetry)


def _verdict(row: FeedbackRow) -> ReportedVerdict:
    return ReportedVerdict(Verdict(row.verdict), row.reported_at)

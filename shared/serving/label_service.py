"""The label function: one report in, its verdict counted in history, one row of `pix.feedback`, one acknowledgement.

The order keeps every label: history counts the verdict first, then the row is stored, then the message is
acknowledged. After a crash in between, the message is delivered again: history recognises the report, counts nothing
twice and gives the same answer, and the row is stored then, or a second time, which the view `labels` removes. In the
other order, a row without its count could remain for good.

A report that comes too soon is not acknowledged, so that Pub/Sub delivers it again, in the end as a dead letter: one
about a Pix that is not stored yet, and one that is dated ahead of the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.contract.envelope import PubsubMessage
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.reading import Clock, read_report
from shared.contract.rows import FeedbackRow
from shared.contract.topics import FEEDBACK
from shared.errors import PixError
from shared.ports.tables import Table
from shared.serving.endings import Ending, Endings
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import Intake
from shared.serving.quarantine import check_not_too_old, refused_by_table
from shared.serving.readiness import AT_ONCE, Readiness
from shared.serving.verdict_history import CountedReports, VerdictHistory
from shared.settings import BEHIND_DAYS
from shared.telemetry.batches import Telemetry
from shared.telemetry.metrics import STAGE, UNKNOWN_FIELDS, UNKNOWN_VALUES, Metrics


class LabelPipeline:
    """Every step from a report to its row, in order.

    ::

        decode, one message   parse -> pseudonymise
        store, a batch        history -> append -> announce ends of holds

    `history` is None where the score function does not share its history.
    """

    def __init__(
        self,
        history: VerdictHistory | None,
        feedback: Table,
        pseudonymiser: Pseudonymiser,
        now: Callable[[], int],
        ahead_seconds: float,
        metrics: Metrics,
        behind_days: float = BEHIND_DAYS,
        endings: Endings | None = None,
        following: Pseudonymiser | None = None,
    ) -> None:
        """`following` makes the pseudonyms under the next HMAC key, if there is one."""
        self._endings = endings
        self._history = history
        self._feedback = feedback
        self._pseudonymiser, self._following = pseudonymiser, following
        self._now = now
        self._ahead_seconds = ahead_seconds
        self._behind_days = behind_days
        self._metrics = metrics

    def decode(self, message: PubsubMessage) -> FeedbackRow:
        """Parse a report and replace its personal data by pseudonyms. Raises Malformed, Unavailable."""
        clock = Clock(self._now(), self._ahead_seconds)
        read = read_report(message.data, self._pseudonymiser, clock, self._following)
        row = read.record
        if read.unknown_fields:
            self._metrics.add(UNKNOWN_FIELDS, read.unknown_fields)
        self._metrics.add_each(UNKNOWN_VALUES, read.unknown_values)
        check_not_too_old("reported_at", row.reported_at, row.received_at, self._behind_days)
        return row

    async def store(self, rows: Sequence[FeedbackRow]) -> dict[int, PixError]:
        """Count verdicts in history and append rows; return the error of each row that is not stored, by index.

        Raises Unavailable if history does not answer or the rows are not known to be stored.
        """
        with self._metrics.timed(STAGE, "state"):
            counted, errors = await self._history.count(rows) if self._history else CountedReports(list(rows), {})
        stored = [index for index in range(len(rows)) if index not in errors]
        with self._metrics.timed(STAGE, "append"):
            refused = await self._feedback.append([counted[index] for index in stored]) if stored else []
        errors |= refused_by_table(stored[i] for i in refused)
        if self._endings:
            ends = {i: Ending.of_report(row) for i, row in enumerate(rows) if i not in errors}
            errors |= await self._endings.tell(ends)
        return errors


def label_intake(
    pipeline: LabelPipeline,
    quarantine: Table,
    payload_hash: Callable[[bytes], str],
    now: Callable[[], int],
    limits: BatchLimits,
    telemetry: Telemetry,
    readiness: Readiness = AT_ONCE,
) -> Intake[FeedbackRow]:
    """Return the intake of `pix-feedback`."""
    return Intake(
        FEEDBACK, pipeline.decode, pipeline.store, quarantine, payload_hash, now, limits, telemetry, readiness
    )

"""The score function: one Pix in, one row of `pix.score_events`, one acknowledgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shared.contract.envelope import PubsubMessage
from shared.contract.event import in_range, micros
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.reading import Clock, read_transaction
from shared.contract.rows import ScoreRow
from shared.contract.topics import TRANSACTIONS
from shared.errors import PixError, Unavailable
from shared.features.columns import Events
from shared.features.vector import feature_matrix
from shared.ports import Table
from shared.scoring.control_group import Batch, ControlGroup
from shared.scoring.first_decision import first_decisions
from shared.scoring.policy import decide
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import Intake
from shared.serving.quarantine import check_not_too_old, refused_by_table
from shared.settings import BEHIND_DAYS
from shared.telemetry.batches import Telemetry
from shared.telemetry.metrics import STAGE, UNKNOWN_FIELDS, UNKNOWN_VALUES, Metrics


class ScorePipeline:
    """Every step from a message to its row, in order.

    ::

        decode, one message   parse -> pseudonymise
        store, a batch        history -> features -> model -> rules -> decision -> control group
                              -> history -> row -> append

    The intake calls both. A message that `decode` refuses leaves the rest of its batch alone.
    """

    def __init__(
        self,
        scorer: Scorer,
        score_events: Table,
        pseudonymiser: Pseudonymiser,
        now: Callable[[], int],
        ahead_seconds: float,
        metrics: Metrics,
        behind_days: float = BEHIND_DAYS,
        control: ControlGroup | None = None,
    ) -> None:
        self._scorer = scorer
        self._score_events = score_events
        self._pseudonymiser = pseudonymiser
        self._now = now
        self._ahead_seconds = ahead_seconds
        self._behind_days = behind_days
        self._metrics = metrics
        self._control = control

    def decode(self, message: PubsubMessage) -> Delivery:
        """Parse a message and replace its personal data by pseudonyms. Raises Malformed."""
        clock = Clock(self._now(), self._ahead_seconds)
        event, unknown_fields, unknown_values = read_transaction(message.data, self._pseudonymiser, clock)
        if unknown_fields:
            self._metrics.add(UNKNOWN_FIELDS, unknown_fields)
        self._metrics.add_each(UNKNOWN_VALUES, unknown_values)
        check_not_too_old("initiated_at", event.initiated_at, clock.now, self._behind_days)
        published = message.publish_time
        return Delivery(
            event, micros(published) if published and in_range(published) else None, message.delivery_attempt
        )

    async def store(self, deliveries: Sequence[Delivery]) -> dict[int, PixError]:
        """Score a batch and append its rows; return the error of each delivery without a row, by index.

        Raises Unavailable if the rows are not known to be stored.
        """
        scorer, timed = self._scorer, self._metrics.timed
        events = Events(delivery.event for delivery in deliveries)
        champion, claim = await scorer.begin()
        with timed(STAGE, "state"):
            history = await scorer.observe(events, claim)
        with timed(STAGE, "features"):
            features = feature_matrix(events.columns, history.reads)
        with timed(STAGE, "model"):
            scored, errors = scorer.score(features, history, champion, claim)
            fired = scorer.rules.apply(features)
            due = np.array([each.event.scheduled_for or each.event.initiated_at for each in deliveries])
            decisions = first_decisions(decide(features, scored, fired, due), history.answers)
            errors |= scorer.taken(history)
        with timed(STAGE, "conclude"):
            if self._control:
                batch = Batch(events, scored, fired, history, due, errors)
                decisions = await self._control.apply(decisions, batch)
            concluded = await scorer.conclude(events, decisions, history, errors)
        rows = scorer.rows(deliveries, features, decisions, history, concluded, errors)
        scorer.count(rows.values())
        with timed(STAGE, "append"):
            refused = await self._appended(list(rows.values()))
        indexes = list(rows)
        return errors | refused_by_table(indexes[i] for i in refused)

    async def _appended(self, rows: list[ScoreRow]) -> list[int]:
        """Append rows and tell history; return the indexes of those that the table refuses. Raises Unavailable."""
        try:
            refused = await self._score_events.append(rows)
        except Unavailable:
            await self._scorer.answer(rows)
            raise
        self._scorer.stored(row for i, row in enumerate(rows) if i not in refused)
        if refused:
            await self._scorer.answer(rows[i] for i in refused)
        return refused


def score_intake(
    pipeline: ScorePipeline,
    quarantine: Table,
    payload_hash: Callable[[bytes], str],
    now: Callable[[], int],
    limits: BatchLimits,
    telemetry: Telemetry,
) -> Intake[Delivery]:
    """Return the intake of `pix-transactions`."""
    return Intake(TRANSACTIONS, pipeline.decode, pipeline.store, quarantine, payload_hash, now, limits, telemetry)

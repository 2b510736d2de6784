"""The score function: one Pix in, one row of `pix.score_events`, one acknowledgement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
from shared.ports.history import Observations
from shared.ports.tables import Table
from shared.scoring.challenger import challenged
from shared.scoring.control_group import Batch, ControlGroup
from shared.scoring.first_decision import first_decisions
from shared.scoring.policy import decide
from shared.scoring.reply import Asking, give, repeat, unclaimed, undrawn
from shared.scoring.scorer import Delivery, Scorer
from shared.scoring.suspected_accounts import SuspectedAccounts
from shared.serving.announcing import Announcer
from shared.serving.earlier import ScoringSteps
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import Intake
from shared.serving.quarantine import check_not_too_old, refused_by_table
from shared.serving.readiness import AT_ONCE, Readiness
from shared.settings import BEHIND_DAYS
from shared.telemetry.batches import Telemetry
from shared.telemetry.metrics import STAGE, UNKNOWN_FIELDS, UNKNOWN_VALUES, Metrics


class ScorePipeline:
    """Every step from a message to its row, in order.

    ::

        decode, one message   parse -> pseudonymise
        store, a batch        history -> features -> model -> rules -> decision -> control group
                              -> history -> row -> keep -> append -> announce

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
        announcer: Announcer | None = None,
        following: Pseudonymiser | None = None,
        suspected: SuspectedAccounts | None = None,
    ) -> None:
        """`following` makes the pseudonyms under the next HMAC key, if there is one.

        `suspected` is None where no register of suspicions is kept.
        """
        self._scorer = scorer
        self._suspected = suspected
        self._score_events = score_events
        self._pseudonymiser, self._following = pseudonymiser, following
        self._now = now
        self._ahead_seconds = ahead_seconds
        self._behind_days = behind_days
        self._metrics = metrics
        self._control = control
        self._announcer = announcer

    def decode(self, message: PubsubMessage) -> Delivery:
        """Parse a message and replace its personal data by pseudonyms. Raises Malformed."""
        clock = Clock(self._now(), self._ahead_seconds)
        read = read_transaction(message.data, self._pseudonymiser, clock, self._following)
        event = read.record
        if read.unknown_fields:
            self._metrics.add(UNKNOWN_FIELDS, read.unknown_fields)
        if read.unknown_values:
            self._metrics.add_each(UNKNOWN_VALUES, read.unknown_values)
        check_not_too_old("initiated_at", event.initiated_at, clock.now, self._behind_days)
        published = message.publish_time
        published_at = micros(published) if published and in_range(published) else None
        return Delivery(event, published_at, message.delivery_attempt, next_ids=read.next_ids)

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
            scored = scorer.scores.score(events, features, history, champion, claim)
            fired = scorer.rules.apply(features)
            if self._suspected:
                fired = await self._suspected.rejected(fired, [each.payee_id for each in events], claim.scored_at)
            due = np.array([max(each.scheduled_for or 0, each.initiated_at) for each in events])
            decided = decide(features, scored.models, fired, due)
            decided = decided._replace(challenged=challenged(scored, features, fired))
            decisions = first_decisions(decided, history.answers)
            asking = _asking(deliveries)
            errors = scored.errors | scorer.taken(history) | unclaimed(asking, history)
        with timed(STAGE, "conclude"):
            if self._control:
                batch = Batch(events, scored.models, fired, history, due, errors)
                decisions, unpaid = await self._control.apply(decisions, batch)
                errors |= undrawn(asking, unpaid, history, self._now())
            concluded = await scorer.conclude(events, decisions, history, errors)
        rows = scorer.rows(deliveries, features, decisions, history, concluded, errors)
        scorer.count(rows.values())
        await self._keep(asking, rows, history)
        indexes = list(rows)
        errors |= {indexes[i]: error for i, error in (await self._committed(list(rows.values()))).items()}
        give(asking, {i: row for i, row in rows.items() if i not in errors}, history)
        return errors

    async def _keep(self, asking: Sequence[Asking], rows: Mapping[int, ScoreRow], history: Observations) -> None:
        """Keep decisions in history: those of callers, which stand then before their rows are stored, and are given.

        Where decisions are published, also those whose end is to be told.
        """
        repeat(asking, history)
        kept = {each.position for each in asking if each.position in rows}
        if self._announcer:
            kept |= {i for i, row in rows.items() if row.hold_until is not None}
        if kept and await self._scorer.answer(rows[i] for i in kept):
            give(asking, {i: rows[i] for i in kept}, history)

    async def _committed(self, rows: list[ScoreRow]) -> dict[int, PixError]:
        """Append rows, publish their decisions, tell history; return the error of each that is not done, by index.

        In this order nothing is lost: a decision that history knows as stored is published. Raises Unavailable.
        """
        try:
            with self._metrics.timed(STAGE, "append"):
                errors = refused_by_table(await self._score_events.append(rows))
        except Unavailable:
            await self._scorer.answer(rows)
            raise
        if self._announcer:
            with self._metrics.timed(STAGE, "announce"):
                errors |= await self._announcer.announce(rows, [i for i in range(len(rows)) if i not in errors])
        self._scorer.stored(row for i, row in enumerate(rows) if i not in errors)
        if errors:
            await self._scorer.answer(rows[i] for i in errors)
        return errors


def _asking(deliveries: Sequence[Delivery]) -> list[Asking]:
    return [Asking(i, each.event, each.reply) for i, each in enumerate(deliveries) if each.reply is not None]


def score_intake(
    pipeline: ScoringSteps,
    quarantine: Table,
    payload_hash: Callable[[bytes], str],
    now: Callable[[], int],
    limits: BatchLimits,
    telemetry: Telemetry,
    readiness: Readiness = AT_ONCE,
) -> Intake[Delivery]:
    """Return the intake of `pix-transactions`."""
    return Intake(
        TRANSACTIONS, pipeline.decode, pipeline.store, quarantine, payload_hash, now, limits, telemetry, readiness
    )

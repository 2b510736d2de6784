"""The score function: one Pix in, one row of `pix.score_events`, one acknowledgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from shared.contract.envelope import PubsubMessage
from shared.contract.event import micros
from shared.contract.mapping import event_of
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import ScoreRow
from shared.contract.topics import TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.errors import PixError
from shared.ports import Table
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.group_commit import BatchLimits
from shared.serving.intake import Intake, check_not_in_the_future, refusals
from shared.telemetry.batches import Telemetry
from shared.telemetry.metrics import STAGE, UNKNOWN_FIELDS


def score_intake(
    scorer: Scorer,
    score_events: Table,
    quarantine: Table,
    pseudonymiser: Pseudonymiser,
    now: Callable[[], int],
    limits: BatchLimits,
    ahead_seconds: float,
    telling: Telemetry,
) -> Intake[Delivery]:
    """Return the intake that scores what it is given."""

    metrics = telling.metrics

    def decode(message: PubsubMessage) -> Delivery:
        transaction, unknown = decode_transaction(message.data)
        if unknown:
            metrics.add(UNKNOWN_FIELDS, unknown)
        event = event_of(transaction, pseudonymiser)
        check_not_in_the_future("initiated_at", event.initiated_at, now(), ahead_seconds)
        return Delivery(event, micros(message.publish_time) if message.publish_time else None)

    async def store(deliveries: Sequence[Delivery]) -> dict[int, PixError]:
        rows = await scorer.score(deliveries)
        began = perf_counter()
        kept = [(place, row) for place, row in enumerate(rows) if isinstance(row, ScoreRow)]
        refused = await score_events.append([row for _, row in kept])
        metrics.record(STAGE, perf_counter() - began, "append")
        failed = {place: row for place, row in enumerate(rows) if isinstance(row, PixError)}
        return failed | refusals(kept[i][0] for i in refused)

    return Intake(TRANSACTIONS, decode, store, quarantine, now, limits, telling)

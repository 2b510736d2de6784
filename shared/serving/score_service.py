"""The score function: one Pix in, one row of `pix.score_events`, one acknowledgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.contract.envelope import PubsubMessage
from shared.contract.event import micros
from shared.contract.events_file import TRANSACTIONS
from shared.contract.transaction import decode_transaction
from shared.ports import Table
from shared.privacy import Pseudonymiser
from shared.scoring.scorer import Delivery, Scorer
from shared.serving.intake import Intake, check_not_in_the_future


def score_intake(
    scorer: Scorer,
    score_events: Table,
    quarantine: Table,
    pseudonymiser: Pseudonymiser,
    now: Callable[[], int],
    batch_max: int,
    batches_in_flight: int,
    ahead_seconds: float,
) -> Intake[Delivery]:
    """Return the intake that scores what it is given."""

    def decode(message: PubsubMessage) -> Delivery:
        transaction, _ = decode_transaction(message.data)
        event = pseudonymiser.event(transaction)
        check_not_in_the_future("initiated_at", event.initiated_at, now(), ahead_seconds)
        return Delivery(event, micros(message.publish_time) if message.publish_time else None)

    async def store(deliveries: Sequence[Delivery]) -> list[int]:
        return await score_events.append(await scorer.score(deliveries))

    return Intake(TRANSACTIONS, decode, store, quarantine, now, batch_max, batches_in_flight)

"""Dead letters of a topic: pulled from their subscription, published to the topic they came from.

PUBSUB_EMULATOR_HOST redirects the official clients to an emulator.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence
from typing import Self

from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from shared.adapters.pubsub.leases import Leases
from shared.contract.topics import DEAD
from shared.ports.messages import REDRIVEN, DeadLetter

SECONDS = 60.0
_ADDED_BY_PUBSUB = "CloudPubSubDeadLetterSource"


class PubsubDeadLetters:
    """`shared.ports.messages.DeadLetters` in the subscription that keeps the dead letters of a topic."""

    def __init__(self, publisher: PublisherClient, subscriber: SubscriberClient, project: str, topic: str) -> None:
        self._publisher = publisher
        self._subscriber = subscriber
        self._topic = publisher.topic_path(project, topic)
        self._leases = Leases(subscriber, subscriber.subscription_path(project, topic + DEAD))

    @classmethod
    def connect(cls, project: str, topic: str) -> Self:
        """Return the dead letters of a topic; no request is sent yet."""
        return cls(PublisherClient(), SubscriberClient(), project, topic)

    def pull(self, limit: int, seconds: float) -> list[DeadLetter]:
        """Lease up to `limit` letters; return none if none arrives in time. Raises Unavailable, Misconfigured."""
        return [
            DeadLetter(
                each.message.message_id,
                each.message.data,
                each.message.attributes,
                each.message.publish_time,
                each.ack_id,
            )
            for each in self._leases.pull(limit, seconds)
        ]

    def redrive(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Publish letters to their topic and remove the published ones; return the others.

        After a crash in between, a letter is published a second time; scoring is idempotent by EndToEndId.
        """
        sent = [self._publisher.publish(self._topic, each.data, **_attributes(each)) for each in letters]
        concurrent.futures.wait(sent, timeout=SECONDS)
        there = [future.done() and future.exception() is None for future in sent]
        ack_ids = [each.ack_id for each, arrived in zip(letters, there, strict=True) if arrived]
        self._leases.acknowledge(ack_ids)
        return [each for each, arrived in zip(letters, there, strict=True) if not arrived]

    def release(self, letters: Sequence[DeadLetter]) -> None:
        """End the leases of letters, so that they can be pulled again at once. Raises Unavailable."""
        self._leases.release([each.ack_id for each in letters])

    def close(self) -> None:
        """End the clients' threads and connections."""
        self._publisher.stop()
        self._publisher.transport.close()
        self._subscriber.close()


def _attributes(letter: DeadLetter) -> dict[str, str]:
    """Return the published attributes with the count of redrives, this one included."""
    own = {name: text for name, text in letter.attributes.items() if not name.startswith(_ADDED_BY_PUBSUB)}
    return {**own, REDRIVEN: str(letter.redriven + 1)}

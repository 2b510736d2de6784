"""Tables, buckets, topics and subscriptions of the local cloud, as Terraform creates them in production.

Clients find the local servers through the environment. Each function leaves resources alone that exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.api_core.exceptions import AlreadyExists, Conflict
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.protobuf.duration_pb2 import Duration

from infra.local.pubsub.launch import PubSubKind
from shared.contract.topics import DEAD, DECISIONS, TOPICS

MAX_DELIVERY_ATTEMPTS = 20
"""With the back-off below, about three minutes until a message is dead-lettered."""

ACK_DEADLINE_SECONDS = 60


def create_buckets(project: str, names: tuple[str, ...]) -> None:
    """Create buckets."""
    client = storage.Client(project=project, credentials=AnonymousCredentials())
    for name in names:
        _once(client.create_bucket, name)


def create_topics(project: str) -> None:
    """Create the topics, the dead-letter topics of functions, and the subscriptions of these."""
    publisher = PublisherClient()
    with SubscriberClient() as subscriber:
        _once(lambda name: publisher.create_topic(name=name), publisher.topic_path(project, DECISIONS))
        for topic in TOPICS:
            dead = publisher.topic_path(project, topic + DEAD)
            for path in (publisher.topic_path(project, topic), dead):
                _once(lambda name: publisher.create_topic(name=name), path)
            request = {"name": subscriber.subscription_path(project, topic + DEAD), "topic": dead}
            _once(subscriber.create_subscription, request)


def create_subscription(
    project: str, name: str, topic: str, url: str, kind: PubSubKind, attempts: int = MAX_DELIVERY_ATTEMPTS
) -> None:
    """Create the subscription of a function: push to `url`, or pull if it is empty.

    A message is dead-lettered after so many `attempts`.
    """
    with SubscriberClient() as subscriber:
        request = {
            "name": subscriber.subscription_path(project, name),
            "topic": f"projects/{project}/topics/{topic}",
            "ack_deadline_seconds": ACK_DEADLINE_SECONDS,
            "push_config": {"push_endpoint": url},
            **_policies(project, topic, kind, attempts),
        }
        _once(subscriber.create_subscription, request)


def _policies(project: str, topic: str, kind: PubSubKind, attempts: int) -> dict[str, Any]:
    """Return the policies of a subscription, as in production: retry with back-off, then dead letters.

    Google's emulator gets neither. With a retry policy it never again pushes messages that have failed together, and
    without one the attempts are used up before a killed function is back.
    """
    if kind == "google":
        return {}
    return {
        "retry_policy": {
            "minimum_backoff": Duration(nanos=500_000_000),
            "maximum_backoff": Duration(seconds=10),
        },
        "dead_letter_policy": {
            "dead_letter_topic": f"projects/{project}/topics/{topic}{DEAD}",
            "max_delivery_attempts": attempts,
        },
    }


def _once(create: Callable[[Any], object], resource: object) -> None:
    try:
        create(resource)
    except (AlreadyExists, Conflict):
        return

"""Topics, their subscriptions, and the messages published from one to the other."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from infra.local.pubsub import configuration, names, wire
from infra.local.pubsub.backlog import Backlog, MemoryBudget
from infra.local.pubsub.body import rfc3339
from infra.local.pubsub.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from infra.local.pubsub.pending import PendingMessage
from infra.local.pubsub.push import PushLoop

DELETED_TOPIC = "_deleted-topic_"
LARGEST_MESSAGE_BYTES = 10_000_000


class SubscriptionState:
    """A subscription: its configuration (a Subscription protobuf), its backlog, and its push loop if it has one."""

    def __init__(self, configured: Any, backlog: Backlog) -> None:
        self.backlog = backlog
        self._push: PushLoop | None = None
        self.configure(configured)

    def configure(self, configured: Any) -> None:
        """Apply a completed configuration; pushes in flight are repeated."""
        self.close_push()
        self.configured = configured
        self.backlog.policy = configuration.delivery_policy(configured)
        url = configured.push_config.push_endpoint
        if url:
            self._push = PushLoop(self.backlog, configured.name, url, configured.ack_deadline_seconds)

    def close(self) -> None:
        """Stop delivering and drop the backlog."""
        self.close_push()
        self.backlog.close()

    def close_push(self) -> None:
        """Stop pushing."""
        if self._push:
            self._push.close()
            self._push = None


class Broker:
    """Keep topics and subscriptions in memory, at most `memory_bytes` of messages in all backlogs together."""

    def __init__(self, memory_bytes: int) -> None:
        self.topics: dict[str, Any] = {}
        self.subscriptions: dict[str, SubscriptionState] = {}
        self._subscribed: dict[str, list[SubscriptionState]] = {}
        self._memory = MemoryBudget(memory_bytes)
        # Ids differ between runs, as they do in production.
        self._message_ids = map(str, itertools.count(time.time_ns() // 1000))

    def topic(self, name: str) -> Any:
        """Return a Topic; raises NotFound."""
        if name not in self.topics:
            names.check_topic(name)
            raise NotFound(f"Topic not found: {name}")
        return self.topics[name]

    def subscription(self, name: str) -> SubscriptionState:
        """Return a subscription; raises NotFound."""
        if name not in self.subscriptions:
            names.check_subscription(name)
            raise NotFound(f"Subscription does not exist: {name}")
        return self.subscriptions[name]

    def subscriptions_of(self, topic: str) -> list[str]:
        """Return the names of a topic's subscriptions; raises NotFound."""
        self.topic(topic)
        return sorted(state.configured.name for state in self._subscribed[topic])

    def create_topic(self, topic: Any) -> None:
        """Add a Topic; raises AlreadyExists, InvalidArgument."""
        names.check_topic(topic.name)
        if topic.name in self.topics:
            raise AlreadyExists(f"Topic already exists: {topic.name}")
        self.topics[topic.name] = topic
        self._subscribed[topic.name] = []

    def delete_topic(self, name: str) -> None:
        """Remove a topic; its subscriptions keep their backlogs. Raises NotFound."""
        self.topic(name)
        del self.topics[name]
        for state in self._subscribed.pop(name):
            state.configured.topic = DELETED_TOPIC

    def create_subscription(self, configured: Any) -> None:
        """Add a Subscription with its defaults filled in; raises PubSubError."""
        self._complete(configured)
        if configured.name in self.subscriptions:
            raise AlreadyExists(f"Subscription already exists: {configured.name}")
        if configured.topic not in self.topics:
            raise NotFound(f"Subscription topic does not exist: {configured.topic}")
        backlog = Backlog(configured.name, self._memory, functools.partial(self._dead_letter, configured.name))
        state = SubscriptionState(configured, backlog)
        self.subscriptions[configured.name] = state
        self._subscribed[configured.topic].append(state)

    def reconfigure(self, configured: Any) -> None:
        """Replace a subscription's configuration; raises PubSubError."""
        state = self.subscription(configured.name)
        self._complete(configured)
        state.configure(configured)

    def delete_subscription(self, name: str) -> None:
        """Remove a subscription and its backlog; raises NotFound."""
        state = self.subscription(name)
        del self.subscriptions[name]
        if state.configured.topic in self.topics:
            self._subscribed[state.configured.topic].remove(state)
        state.close()

    def publish(self, topic: str, messages: Iterable[Any]) -> list[str]:
        """Add each PubsubMessage, with a new id, to the backlogs of the topic's subscriptions; return the ids.

        Raises NotFound, InvalidArgument, or ResourceExhausted when the backlogs are full.
        """
        self.topic(topic)
        copies = [_checked_copy(message) for message in messages]
        self._check_memory(topic, copies)
        return self._distribute(topic, copies)

    def close(self) -> None:
        """Stop all delivery."""
        for state in self.subscriptions.values():
            state.close()

    def _complete(self, configured: Any) -> None:
        configuration.complete(configured)
        dead_letter_topic = configured.dead_letter_policy.dead_letter_topic
        if dead_letter_topic and dead_letter_topic not in self.topics:
            raise NotFound(f"Dead letter topic not found: {dead_letter_topic}")

    def _check_memory(self, topic: str, messages: list[Any]) -> None:
        wanted = sum(message.ByteSize() for message in messages) * len(self._subscribed[topic])
        if self._memory.used + wanted > self._memory.limit:
            raise ResourceExhausted(
                f"The backlogs hold {self._memory.used} of {self._memory.limit} bytes: acknowledge messages, delete "
                "idle subscriptions or start with a larger --memory-megabytes."
            )

    def _distribute(self, topic: str, messages: list[Any]) -> list[str]:
        now = Timestamp()
        now.FromMilliseconds(time.time_ns() // 1_000_000)
        for message in messages:
            message.message_id = next(self._message_ids)
            message.publish_time.CopyFrom(now)
            size = message.ByteSize()
            for state in self._subscribed[topic]:
                state.backlog.add(message, size)
        return [message.message_id for message in messages]

    def _dead_letter(self, name: str, pending: PendingMessage) -> bool:
        source = self.subscriptions[name].configured
        target = source.dead_letter_policy.dead_letter_topic
        if target not in self.topics:
            return False
        self._distribute(target, [_dead_letter_copy(name, pending)])
        return True


def _checked_copy(message: Any) -> Any:
    """Return a copy: a message taken out of its request would keep the whole batch in memory."""
    if not message.data and not message.attributes:
        raise InvalidArgument("Some messages are empty: a message needs data or attributes.")
    if message.ByteSize() > LARGEST_MESSAGE_BYTES:
        raise InvalidArgument(f"A message is larger than {LARGEST_MESSAGE_BYTES} bytes.")
    copy = wire.PubsubMessage()
    copy.CopyFrom(message)
    return copy


def _dead_letter_copy(subscription: str, pending: PendingMessage) -> Any:
    """Add production's attributes: https://cloud.google.com/pubsub/docs/dead-letter-topics."""
    project, identifier = names.split(subscription, "subscriptions")
    copy = wire.PubsubMessage()
    copy.CopyFrom(pending.message)
    published = copy.publish_time
    copy.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = str(pending.attempts)
    copy.attributes["CloudPubSubDeadLetterSourceSubscription"] = identifier
    copy.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = project
    copy.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = rfc3339(
        published.seconds, published.nanos // 1_000_000, "+00:00"
    )
    return copy

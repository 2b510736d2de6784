"""The Publisher service: https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#publisher."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from infra.local.pubsub import wire
from infra.local.pubsub.broker import Broker
from infra.local.pubsub.errors import InvalidArgument
from infra.local.pubsub.rpc import page, unary

MUTABLE = frozenset({"labels", "message_retention_duration"})


class PublisherService:
    """Answer the calls of a PublisherClient."""

    NAME = "google.pubsub.v1.Publisher"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """Return a gRPC handler for each method."""
        return {
            "CreateTopic": unary(self.create_topic, wire.Topic),
            "DeleteTopic": unary(self.delete_topic, wire.DeleteTopicRequest),
            "GetTopic": unary(self.get_topic, wire.GetTopicRequest),
            "ListTopicSubscriptions": unary(self.list_topic_subscriptions, wire.ListTopicSubscriptionsRequest),
            "ListTopics": unary(self.list_topics, wire.ListTopicsRequest),
            "Publish": unary(self.publish, wire.PublishRequest),
            "UpdateTopic": unary(self.update_topic, wire.UpdateTopicRequest),
        }

    def create_topic(self, topic: Any) -> Any:
        """Create a topic."""
        self._broker.create_topic(topic)
        return topic

    def get_topic(self, request: Any) -> Any:
        """Return a topic."""
        return self._broker.topic(request.topic)

    def update_topic(self, request: Any) -> Any:
        """Change the fields of the update mask."""
        topic = self._broker.topic(request.topic.name)
        merge(request.topic, topic, request.update_mask, MUTABLE)
        return topic

    def delete_topic(self, request: Any) -> Empty:
        """Delete a topic."""
        self._broker.delete_topic(request.topic)
        return Empty()

    def list_topics(self, request: Any) -> Any:
        """List a project's topics."""
        names = [name for name in self._broker.topics if name.startswith(f"{request.project}/topics/")]
        names, token = page(names, request.page_size, request.page_token)
        topics = [self._broker.topics[name] for name in names]
        return wire.ListTopicsResponse(topics=topics, next_page_token=token)

    def list_topic_subscriptions(self, request: Any) -> Any:
        """List the names of a topic's subscriptions."""
        names = self._broker.subscriptions_of(request.topic)
        names, token = page(names, request.page_size, request.page_token)
        return wire.ListTopicSubscriptionsResponse(subscriptions=names, next_page_token=token)

    def publish(self, request: Any) -> Any:
        """Publish a batch of messages."""
        return wire.PublishResponse(message_ids=self._broker.publish(request.topic, request.messages))


def merge(source: Any, target: Any, mask: Any, mutable: frozenset[str]) -> None:
    """Copy the fields of a FieldMask; raises InvalidArgument for a field that cannot be changed."""
    if not mask.paths:
        raise InvalidArgument("The update_mask must be set, and must contain a non-empty paths list.")
    for path in mask.paths:
        if path.partition(".")[0] not in mutable:
            raise InvalidArgument(f"Invalid update_mask: {path} cannot be changed.")
    mask.MergeMessage(source, target, replace_message_field=True, replace_repeated_field=True)

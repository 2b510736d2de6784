"""The messages of google.pubsub.v1 that a subscriber and a publisher need, and their calls.

Source: google/pubsub/v1/pubsub.proto. See `shared.adapters.google_grpc` for the reason.
"""

from __future__ import annotations

from typing import Any

import grpc

from shared.adapters.google_grpc import BYTES, INT32, INT64, STRING, channel, message_classes

ADDRESS = "pubsub.googleapis.com:443"
SCOPE = "https://www.googleapis.com/auth/pubsub"
_KEEPALIVE = ("grpc.keepalive_time_ms", 30_000)
"""A stream without messages finds out that its connection is dead; Google's client asks as often."""
_SERVICE = "/google.pubsub.v1.Subscriber/"

_CLASSES = message_classes(
    "pix.pubsub",
    {
        "Timestamp": {"seconds": (1, INT64), "nanos": (2, INT32)},
        "PubsubMessage": {
            "data": (1, BYTES),
            "message_id": (3, STRING),
            "publish_time": (4, ".pix.pubsub.Timestamp"),
        },
        "ReceivedMessage": {
            "ack_id": (1, STRING),
            "message": (2, ".pix.pubsub.PubsubMessage"),
            "delivery_attempt": (3, INT32),
        },
        "StreamingPullResponse": {"received_messages": (1, [".pix.pubsub.ReceivedMessage"])},
        "StreamingPullRequest": {
            "subscription": (1, STRING),
            "stream_ack_deadline_seconds": (5, INT32),
            "client_id": (6, STRING),
            "max_outstanding_messages": (7, INT64),
            "max_outstanding_bytes": (8, INT64),
        },
        "AcknowledgeRequest": {"subscription": (1, STRING), "ack_ids": (2, [STRING])},
        "ModifyAckDeadlineRequest": {
            "subscription": (1, STRING),
            "ack_deadline_seconds": (3, INT32),
            "ack_ids": (4, [STRING]),
        },
        "Empty": {},
        "Attribute": {"key": (1, STRING), "value": (2, STRING)},  # an entry of a map, as it is on the wire
        "PublishedMessage": {"data": (1, BYTES), "attributes": (2, [".pix.pubsub.Attribute"])},
        "PublishRequest": {"topic": (1, STRING), "messages": (2, [".pix.pubsub.PublishedMessage"])},
        "PublishResponse": {"message_ids": (1, [STRING])},
    },
)
StreamingPullRequest, StreamingPullResponse = _CLASSES["StreamingPullRequest"], _CLASSES["StreamingPullResponse"]
AcknowledgeRequest, ModifyAckDeadlineRequest = _CLASSES["AcknowledgeRequest"], _CLASSES["ModifyAckDeadlineRequest"]

PublishRequest, PublishResponse = _CLASSES["PublishRequest"], _CLASSES["PublishResponse"]


class PublisherService:
    """The call of a publisher over a channel; it raises grpc.RpcError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.publish = channel.unary_unary(
            "/google.pubsub.v1.Publisher/Publish",
            request_serializer=PublishRequest.SerializeToString,
            response_deserializer=PublishResponse.FromString,
        )

    @classmethod
    def connect(cls, emulator: str) -> PublisherService:
        """Return the emulator at that address, or Google's service. Raises Misconfigured, Unavailable."""
        return cls(channel(emulator, ADDRESS, SCOPE))

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


class SubscriberService:
    """The calls of a subscriber over a channel; all raise grpc.RpcError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.streaming_pull = channel.stream_stream(
            _SERVICE + "StreamingPull",
            request_serializer=StreamingPullRequest.SerializeToString,
            response_deserializer=StreamingPullResponse.FromString,
        )
        self.acknowledge = self._unary("Acknowledge", AcknowledgeRequest)
        self.modify_ack_deadline = self._unary("ModifyAckDeadline", ModifyAckDeadlineRequest)

    @classmethod
    def connect(cls, emulator: str) -> SubscriberService:
        """Return the emulator at that address, or Google's service. Raises Misconfigured, Unavailable."""
        return cls(channel(emulator, ADDRESS, SCOPE, _KEEPALIVE))

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    def _unary(self, method: str, request: Any) -> Any:
        return self._channel.unary_unary(
            _SERVICE + method,
            request_serializer=request.SerializeToString,
            response_deserializer=_CLASSES["Empty"].FromString,
        )

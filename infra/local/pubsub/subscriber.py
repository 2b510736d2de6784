"""The Subscriber service: https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#subscriber."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty

from infra.local.pubsub import wire
from infra.local.pubsub.broker import Broker, SubscriptionState
from infra.local.pubsub.errors import FailedPrecondition, InvalidArgument
from infra.local.pubsub.publisher import merge
from infra.local.pubsub.rpc import page, stream, unary, unary_waiting
from infra.local.pubsub.streaming import StreamingPull, received

MUTABLE = frozenset(
    {
        "ack_deadline_seconds",
        "dead_letter_policy",
        "expiration_policy",
        "labels",
        "message_retention_duration",
        "push_config",
        "retain_acked_messages",
        "retry_policy",
    }
)
LONGEST_PULL = 90.0  # seconds
ANSWER_TIME = 1.0  # seconds for an empty response to reach the client before the client's own deadline


class SubscriberService:
    """Answer the calls of a SubscriberClient."""

    NAME = "google.pubsub.v1.Subscriber"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """Return a gRPC handler for each method."""
        return {
            "Acknowledge": unary(self.acknowledge, wire.AcknowledgeRequest),
            "CreateSubscription": unary(self.create_subscription, wire.Subscription),
            "DeleteSubscription": unary(self.delete_subscription, wire.DeleteSubscriptionRequest),
            "GetSubscription": unary(self.get_subscription, wire.GetSubscriptionRequest),
            "ListSubscriptions": unary(self.list_subscriptions, wire.ListSubscriptionsRequest),
            "ModifyAckDeadline": unary(self.modify_ack_deadline, wire.ModifyAckDeadlineRequest),
            "ModifyPushConfig": unary(self.modify_push_config, wire.ModifyPushConfigRequest),
            "Pull": unary_waiting(self.pull, wire.PullRequest),
            "StreamingPull": stream(self.streaming_pull, wire.StreamingPullRequest),
            "UpdateSubscription": unary(self.update_subscription, wire.UpdateSubscriptionRequest),
        }

    def create_subscription(self, configured: Any) -> Any:
        """Create a subscription."""
        self._broker.create_subscription(configured)
        return configured

    def get_subscription(self, request: Any) -> Any:
        """Return a subscription."""
        return self._broker.subscription(request.subscription).configured

    def update_subscription(self, request: Any) -> Any:
        """Change the fields of the update mask."""
        changed = self._copy(request.subscription.name)
        merge(request.subscription, changed, request.update_mask, MUTABLE)
        self._broker.reconfigure(changed)
        return changed

    def delete_subscription(self, request: Any) -> Empty:
        """Delete a subscription."""
        self._broker.delete_subscription(request.subscription)
        return Empty()

    def list_subscriptions(self, request: Any) -> Any:
        """List a project's subscriptions."""
        prefix = f"{request.project}/subscriptions/"
        names = [name for name in self._broker.subscriptions if name.startswith(prefix)]
        names, token = page(names, request.page_size, request.page_token)
        listed = [self._broker.subscriptions[name].configured for name in names]
        return wire.ListSubscriptionsResponse(subscriptions=listed, next_page_token=token)

    def modify_push_config(self, request: Any) -> Empty:
        """Change the push endpoint; an empty one makes a pull subscription."""
        changed = self._copy(request.subscription)
        changed.push_config.CopyFrom(request.push_config)
        self._broker.reconfigure(changed)
        return Empty()

    def acknowledge(self, request: Any) -> Empty:
        """Acknowledge messages."""
        backlog = self._broker.subscription(request.subscription).backlog
        backlog.check_ack_ids(request.ack_ids)
        for ack_id in request.ack_ids:
            backlog.acknowledge(ack_id)
        return Empty()

    def modify_ack_deadline(self, request: Any) -> Empty:
        """Extend leases, or reject messages by a deadline of 0."""
        backlog = self._broker.subscription(request.subscription).backlog
        backlog.check_ack_ids(request.ack_ids)
        if not 0 <= request.ack_deadline_seconds <= 600:
            raise InvalidArgument("ack_deadline_seconds out of bounds: use 0 to 600.")
        for ack_id in request.ack_ids:
            backlog.extend(ack_id, request.ack_deadline_seconds)
        return Empty()

    async def pull(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        """Return the ready messages; if there are none, wait for one until shortly before the client's deadline."""
        if request.max_messages <= 0:
            raise InvalidArgument("No max_messages specified: use 1 or more.")
        state = self._pull_subscription(request.subscription)
        timeout = 0.0 if request.return_immediately else _timeout(context)
        try:
            async with asyncio.timeout(timeout):
                await state.backlog.wait()
        except TimeoutError:
            return wire.PullResponse()
        batch = state.backlog.lease(request.max_messages, state.configured.ack_deadline_seconds)
        return wire.PullResponse(received_messages=received(batch, state))

    async def streaming_pull(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Send messages and receive acknowledgements until the client disconnects."""
        first = await context.read()
        if first is grpc.aio.EOF:
            return
        await StreamingPull(self._pull_subscription(first.subscription), first, context).run()

    def _pull_subscription(self, name: str) -> SubscriptionState:
        state = self._broker.subscription(name)
        if state.configured.push_config.push_endpoint:
            raise FailedPrecondition(f"{name} is a push subscription: it cannot be pulled from.")
        return state

    def _copy(self, name: str) -> Any:
        copy = wire.Subscription()
        copy.CopyFrom(self._broker.subscription(name).configured)
        return copy


def _timeout(context: grpc.aio.ServicerContext[Any, Any]) -> float:
    remaining = context.time_remaining()
    return LONGEST_PULL if remaining is None else min(LONGEST_PULL, max(0.0, remaining - ANSWER_TIME))

"""The protobuf messages of google.pubsub.v1, without their proto-plus wrappers, which cost time per field."""

from __future__ import annotations

from typing import Any

from google.pubsub_v1 import types

AcknowledgeRequest: Any = types.AcknowledgeRequest.pb()
DeleteSubscriptionRequest: Any = types.DeleteSubscriptionRequest.pb()
DeleteTopicRequest: Any = types.DeleteTopicRequest.pb()
GetSubscriptionRequest: Any = types.GetSubscriptionRequest.pb()
GetTopicRequest: Any = types.GetTopicRequest.pb()
ListSubscriptionsRequest: Any = types.ListSubscriptionsRequest.pb()
ListSubscriptionsResponse: Any = types.ListSubscriptionsResponse.pb()
ListTopicSubscriptionsRequest: Any = types.ListTopicSubscriptionsRequest.pb()
ListTopicSubscriptionsResponse: Any = types.ListTopicSubscriptionsResponse.pb()
ListTopicsRequest: Any = types.ListTopicsRequest.pb()
ListTopicsResponse: Any = types.ListTopicsResponse.pb()
ModifyAckDeadlineRequest: Any = types.ModifyAckDeadlineRequest.pb()
ModifyPushConfigRequest: Any = types.ModifyPushConfigRequest.pb()
PublishRequest: Any = types.PublishRequest.pb()
PublishResponse: Any = types.PublishResponse.pb()
PubsubMessage: Any = types.PubsubMessage.pb()
PullRequest: Any = types.PullRequest.pb()
PullResponse: Any = types.PullResponse.pb()
ReceivedMessage: Any = types.ReceivedMessage.pb()
StreamingPullRequest: Any = types.StreamingPullRequest.pb()
StreamingPullResponse: Any = types.StreamingPullResponse.pb()
Subscription: Any = types.Subscription.pb()
Topic: Any = types.Topic.pb()
UpdateSubscriptionRequest: Any = types.UpdateSubscriptionRequest.pb()
UpdateTopicRequest: Any = types.UpdateTopicRequest.pb()

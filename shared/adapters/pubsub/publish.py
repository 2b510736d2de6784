"""Publish over gRPC: decisions of a batch in one request, and the verdicts of reviewers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
import msgspec

from shared.adapters.pubsub.wire import PublisherService, PublishRequest
from shared.contract.decision import DecisionMessage
from shared.contract.feedback import AnalystReport
from shared.contract.topics import DECISIONS, FEEDBACK
from shared.errors import Unavailable

SECONDS = 10.0
"""Seconds that a request waits for its answer."""
_AT_ONCE = 1_000  # messages in a request, at most: a limit of Pub/Sub


class PubsubDecisions:
    """`shared.ports.decisions.DecisionPublisher` on the topic of decisions of a project."""

    def __init__(self, service: PublisherService, project: str, seconds: float = SECONDS) -> None:
        """Wait at most `seconds` for each answer."""
        self._topic = _Topic(service, project, DECISIONS, seconds)

    async def publish(self, messages: Sequence[DecisionMessage]) -> None:
        """Publish messages. Raises Unavailable unless all of them are known to be published."""
        for start in range(0, len(messages), _AT_ONCE):
            request = self._topic.request()
            for each in messages[start : start + _AT_ONCE]:
                message = request.messages.add(data=msgspec.json.encode(each))
                for key, value in each.attributes.items():
                    message.attributes.add(key=key, value=value)
            await self._topic.publish(request)


class PubsubVerdicts:
    """`shared.desk.ports.Verdicts` on the topic of reports of a project."""

    def __init__(self, service: PublisherService, project: str, seconds: float = SECONDS) -> None:
        """Wait at most `seconds` for an answer."""
        self._topic = _Topic(service, project, FEEDBACK, seconds)

    async def publish(self, report: AnalystReport) -> None:
        """Publish a report, and return once the topic has it. Raises Unavailable."""
        request = self._topic.request()
        request.messages.add(data=msgspec.json.encode(report))
        await self._topic.publish(request)


class _Topic:
    """A topic to publish to."""

    def __init__(self, service: PublisherService, project: str, topic: str, seconds: float) -> None:
        self._service, self._seconds = service, seconds
        self._name = f"projects/{project}/topics/{topic}"

    def request(self) -> PublishRequest:
        """Return a request without messages."""
        return PublishRequest(topic=self._name)

    async def publish(self, request: PublishRequest) -> None:
        """Publish a request, and return once the topic has it. Raises Unavailable."""
        metadata = (("x-goog-request-params", f"topic={self._name}"),)
        try:
            async with asyncio.timeout(self._seconds):
                await self._service.publish(request, metadata=metadata)
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            reason = error.code().name if isinstance(error, grpc.RpcError) else type(error).__name__
            raise Unavailable(f"Pub/Sub: {reason}") from error
        except TimeoutError:
            raise Unavailable(f"Pub/Sub did not answer within {self._seconds:g} s") from None

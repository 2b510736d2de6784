"""A verdict is published as a report of the contract, and a topic that fails is Unavailable."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import grpc
import pytest

from shared.adapters.pubsub.publish import PubsubVerdicts
from shared.adapters.pubsub.wire import PublisherService
from shared.contract.feedback import AnalystReport, ShownBecause, decode_feedback
from shared.contract.fields import Verdict
from shared.errors import Unavailable

REPORT = AnalystReport(
    report_id="desk-1",
    reported_at=dt.datetime(2026, 11, 20, 15, tzinfo=dt.UTC),
    end_to_end_id="E12345678202611201432a1b2c3d4e5f",
    verdict=Verdict.FRAUD,
    analyst="ana@bank.example",
    shown_because=ShownBecause.MODEL,
)


class Topic:
    """A channel whose only call ends in `error`, or keeps its request."""

    def __init__(self, error: Exception | None = None, endless: bool = False) -> None:
        self.requests: list[Any] = []
        self._error, self._endless = error, endless

    def unary_unary(self, *_: object, **__: object) -> Any:
        async def call(request: Any, metadata: object) -> None:
            assert metadata
            self.requests.append(request)
            if self._endless:
                await asyncio.Event().wait()
            if self._error:
                raise self._error

        return call


def publish(topic: Any, seconds: float = 10.0) -> None:
    asyncio.run(PubsubVerdicts(PublisherService(topic), "bank", seconds).publish(REPORT))


def test_the_topic_gets_the_report() -> None:
    topic = Topic()
    publish(topic)
    (request,) = topic.requests
    assert request.topic == "projects/bank/topics/pix-feedback"
    assert decode_feedback(request.messages[0].data).value == REPORT


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED])
def test_an_error_of_the_topic_is_unavailable(code: grpc.StatusCode) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())
    with pytest.raises(Unavailable, match=code.name):
        publish(Topic(error))


def test_a_topic_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        publish(Topic(endless=True), 0.01)

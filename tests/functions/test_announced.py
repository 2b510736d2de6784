"""`pix-decisions` tells each first decision that stops a Pix, at least once, before its message is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from google.cloud import pubsub_v1

from infra.local.cloud import LocalCloud
from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.decision import DecisionEvent, DecisionMessage
from shared.contract.topics import DECISIONS
from shared.settings import ALL, STOPPED
from tests.builders import encoded, push_body, transaction
from tests.functions.asking import Functions
from tests.functions.test_decide_server import post
from tests.functions.world import deliver, url
from tests.waiting import PATIENCE, until

REJECTED = {"amount": "250.00", "device__registered_at": None}


def run(scenario: Callable[[Functions], Coroutine[Any, Any, None]], which: str = STOPPED) -> None:
    async def whole() -> None:
        await asyncio.wait_for(scenario(Functions(MemoryHistoryAdapter(), which=which)), PATIENCE)

    asyncio.run(whole())


@pytest.mark.parametrize(("which", "told"), [(STOPPED, ["REJECT"]), (ALL, ["REJECT", "APPROVE"])])
def test_a_first_decision_is_published_once_its_row_is_stored(which: str, told: list[str]) -> None:
    async def scenario(functions: Functions) -> None:
        stopped, plain = transaction(**REJECTED), transaction()
        for message in (stopped, plain, stopped):
            assert await functions.deliver(message) == 204
        await functions.ask(stopped)
        assert [each.decision for each in functions.topic.messages] == told
        (first, *_) = functions.topic.messages
        assert first == DecisionMessage.decided(functions.rows[0])
        assert first.attributes == {"event": "DECIDED", "decision": "REJECT", "side": "PAYER", "degraded": "true"}

    run(scenario, which)


def test_a_decision_that_is_not_published_is_delivered_again_and_published_then() -> None:
    async def scenario(functions: Functions) -> None:
        stopped, plain = transaction(**REJECTED), transaction()
        functions.topic.away = True
        statuses = await asyncio.gather(*map(functions.deliver, (stopped, plain)))
        assert statuses == [503, 204]
        functions.topic.away = False
        functions.now += 60_000_000
        assert await functions.deliver(stopped) == 204
        assert functions.topic.messages == [DecisionMessage.decided(functions.rows[0])]
        assert await functions.deliver(stopped) == 204
        assert len(functions.topic.messages) == 1

    run(scenario)


def test_nothing_is_published_whose_row_is_not_stored() -> None:
    async def scenario(functions: Functions) -> None:
        functions.table.away = True
        assert await functions.deliver(transaction(**REJECTED)) == 503
        assert functions.topic.messages == []

    run(scenario)


def test_both_functions_publish_to_the_topic_with_attributes_to_filter_by(cloud: LocalCloud) -> None:
    asked, delivered = transaction(**REJECTED), transaction(**REJECTED)
    topic = f"projects/{cloud.settings.project}/topics/{DECISIONS}"
    name = f"projects/{cloud.settings.project}/subscriptions/announced"
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.create_subscription(name=name, topic=topic)
        post(cloud, encoded(asked))
        deliver(url(cloud, "score"), [push_body(encoded(delivered))])
        found: dict[str, Any] = {}

        def came() -> bool:
            for each in subscriber.pull(subscription=name, max_messages=10, timeout=PATIENCE).received_messages:
                news = msgspec.json.decode(each.message.data, type=DecisionMessage)
                found[news.end_to_end_id] = (news.event, dict(each.message.attributes) == news.attributes)
            return {asked["end_to_end_id"], delivered["end_to_end_id"]} <= found.keys()

        until(came)
    assert set(found.values()) == {(DecisionEvent.DECIDED, True)}

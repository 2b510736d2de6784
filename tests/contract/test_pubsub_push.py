"""Push subscriptions of both servers, to an endpoint of the test."""

from __future__ import annotations

import base64
from collections import Counter

from tests.contract.pubsub_world import QUICK_RETRY, PushTarget, World, check_dead_letter, push_target, world

__all__ = ["world"]
# https://cloud.google.com/pubsub/docs/push#receive_push; Google's emulator differs in two: it takes 203 for 202.
ACKNOWLEDGING = {"embedded": {102, 200, 201, 202, 204}, "google": {102, 200, 201, 203, 204}}


def test_a_push_has_the_documented_body_and_ends_with_its_ack(world: World) -> None:
    topic = world.topic()
    with push_target() as target:
        subscription = world.subscription(topic, push_config={"push_endpoint": target.url})
        message_id = world.publish(topic, b"\x00\xffpix", source="MED", name='"ação"\n')
        body = target.next()
        world.publish(topic, b"next")
        assert base64.b64decode(target.next()["message"]["data"]) == b"next"
    message = body["message"]
    assert body == {"message": message, "subscription": subscription}
    assert message == {
        "data": base64.b64encode(b"\x00\xffpix").decode(),
        "attributes": {"source": "MED", "name": '"ação"\n'},
        "messageId": message_id,
        "message_id": message_id,
        "publishTime": message["publishTime"],
        "publish_time": message["publishTime"],
    }
    assert message["publishTime"].endswith("Z")
    assert target.bodies.empty()


def test_only_the_documented_statuses_acknowledge_a_push(world: World) -> None:
    answers = {102, 200, 201, 202, 203, 204, 302, 404, 500}
    topic = world.topic()
    ids: dict[int, str] = {}
    with push_target(lambda body: int(body["message"]["attributes"]["answer"])) as target:
        world.subscription(topic, push_config={"push_endpoint": target.url}, retry_policy=QUICK_RETRY)
        for status in answers:
            ids[status] = world.publish(topic, b"answer me", answer=str(status))
        pushed: Counter[str] = Counter()
        refused = {ids[status] for status in answers - ACKNOWLEDGING[world.kind]}
        while min(pushed[message_id] for message_id in refused) < 2:
            pushed[target.next()["message"]["messageId"]] += 1
    assert {status for status in answers if pushed[ids[status]] == 1} == ACKNOWLEDGING[world.kind]


def test_a_push_refused_five_times_goes_to_the_dead_letter_topic(world: World) -> None:
    dead_topic, topic = world.topic(), world.topic()
    dead = world.subscription(dead_topic)
    with push_target(lambda _body: 500) as target:
        subscription = world.subscription(
            topic,
            push_config={"push_endpoint": target.url},
            retry_policy=QUICK_RETRY,
            dead_letter_policy={"dead_letter_topic": dead_topic, "max_delivery_attempts": 5},
        )
        world.publish(topic, b"poison")
        attempts = [target.next().get("deliveryAttempt") for _ in range(5)]
        [letter] = world.pull(dead)
    check_dead_letter(letter.message, subscription)
    # Documented for push under a dead-letter policy; Google's emulator leaves the field out.
    assert attempts == ([None] * 5 if world.kind == "google" else [1, 2, 3, 4, 5])


def test_an_endpoint_gets_the_messages_of_its_outage_afterwards(world: World) -> None:
    topic = world.topic()
    with push_target() as target:
        url = target.url
    world.subscription(topic, push_config={"push_endpoint": url}, retry_policy=QUICK_RETRY)
    ids = {world.publish(topic, str(number).encode()) for number in range(20)}
    with push_target() as target:
        _move_push(world, topic, target)
        assert {target.next()["message"]["messageId"] for _ in range(20)} == ids


def _move_push(world: World, topic: str, target: PushTarget) -> None:
    [subscription] = world.publisher.list_topic_subscriptions(topic=topic)
    world.subscriber.modify_push_config(subscription=subscription, push_config={"push_endpoint": target.url})

"""Fixtures of the Pub/Sub contract: clients, new resources, and a push endpoint with given answers."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1

from infra.local.pubsub.google import find_emulator
from tests.contract.local_servers import local_pubsub
from tests.waiting import PATIENCE

PROJECT = "bank"
QUICK_RETRY = {"minimum_backoff": {"nanos": 100_000_000}, "maximum_backoff": {"seconds": 1}}
Answer = Callable[[dict[str, Any]], int]


class World:
    """The official clients of one server; each test creates its own topics and subscriptions."""

    def __init__(
        self, kind: str, publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
    ) -> None:
        self.kind = kind
        self.publisher = publisher
        self.subscriber = subscriber

    def topic(self) -> str:
        name = f"projects/{PROJECT}/topics/t-{uuid.uuid4().hex}"
        self.publisher.create_topic(name=name)
        return name

    def subscription(self, topic: str, **configuration: Any) -> str:
        name = f"projects/{PROJECT}/subscriptions/s-{uuid.uuid4().hex}"
        self.subscriber.create_subscription(request={"name": name, "topic": topic, **configuration})
        return name

    def publish(self, topic: str, data: bytes, **attributes: str) -> str:
        message_id: str = self.publisher.publish(topic, data, **attributes).result(timeout=PATIENCE)
        return message_id

    def pull(self, subscription: str, count: int = 1) -> list[Any]:
        """Pull until `count` messages have come."""
        messages: list[Any] = []
        give_up = time.monotonic() + PATIENCE
        while len(messages) < count:
            assert time.monotonic() < give_up, f"{len(messages)} of {count} messages came"
            messages += self.subscriber.pull(
                subscription=subscription, max_messages=count - len(messages), timeout=PATIENCE
            ).received_messages
        return messages

    def ready(self, subscription: str) -> list[Any]:
        """Pull the messages that are ready at this moment."""
        return list(self._pull_now(subscription).received_messages)

    def _pull_now(self, subscription: str) -> Any:
        # A short wait, not return_immediately: that one is deprecated and may miss messages.
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                return self.subscriber.pull(subscription=subscription, max_messages=100, timeout=2.0, retry=None)
            except DeadlineExceeded:  # the empty answer of a busy server came too late
                assert time.monotonic() < give_up, "the server does not answer"

    def acknowledge(self, subscription: str, *messages: Any) -> None:
        self.subscriber.acknowledge(subscription=subscription, ack_ids=[message.ack_id for message in messages])

    def set_deadline(self, subscription: str, message: Any, seconds: int) -> None:
        self.subscriber.modify_ack_deadline(
            subscription=subscription, ack_ids=[message.ack_id], ack_deadline_seconds=seconds
        )

    def reject(self, subscription: str, message: Any) -> None:
        self.set_deadline(subscription, message, 0)


class PushTarget:
    """The bodies that were pushed to `url`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def next(self) -> dict[str, Any]:
        return self.bodies.get(timeout=PATIENCE)


@contextmanager
def push_target(answer: Answer = lambda _body: 204) -> Iterator[PushTarget]:
    """Serve an endpoint that answers each body with the status that `answer` returns."""
    seen: list[PushTarget] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE  # an idle connection that ended by itself would fail the push that is just coming over it

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen[0].bodies.put(body)
            self.send_response(answer(body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen.append(PushTarget(f"http://127.0.0.1:{server.server_port}/push"))
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield seen[0]
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture(scope="module", params=["google", "embedded"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if request.param == "google" and find_emulator() is None:
        pytest.skip("Google's Pub/Sub emulator (Cloud SDK and Java) is not installed on this machine")
    directory: Path = tmp_path_factory.mktemp(request.param)
    with (
        local_pubsub(directory, request.param) as server,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("PUBSUB_EMULATOR_HOST", server.endpoint)
        with pubsub_v1.SubscriberClient() as subscriber:
            publisher = pubsub_v1.PublisherClient()
            yield World(server.kind, publisher, subscriber)
            publisher.stop()
            publisher.transport.close()


def check_dead_letter(message: Any, subscription: str, **attributes: str) -> None:
    """Check that a message has its own attributes and those that Pub/Sub adds to a dead letter."""
    added = {
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": subscription.rpartition("/")[2],
        "CloudPubSubDeadLetterSourceSubscriptionProject": "bank",
        "CloudPubSubDeadLetterSourceTopicPublishTime": message.attributes[
            "CloudPubSubDeadLetterSourceTopicPublishTime"
        ],
    }
    assert dict(message.attributes) == attributes | added

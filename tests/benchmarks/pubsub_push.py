"""Measure push delivery of each local Pub/Sub to an endpoint that only answers 204.

    python -m tests.benchmarks.pubsub_push --messages 20000

All messages are published first, and push is switched on afterwards, so that only push is measured. Publisher, server
and endpoint share the machine, so only the ratio is comparable across machines.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from aiohttp import web
from google.cloud import pubsub_v1

from infra.local.pubsub.google import find_emulator
from infra.local.pubsub.launch import PubSubKind
from tests.contract.local_servers import local_pubsub

PAYLOAD = b"x" * 700  # bytes: about one transaction


class Counter:
    """Counts pushes until `expected` and records their times."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._times: list[float] = []
        self._complete = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self._times.append(time.perf_counter())
        if len(self._times) >= self._expected:
            self._complete.set()
        return web.Response(status=204)

    async def rate(self, patience: float) -> float:
        """Wait up to `patience` seconds for all messages; return messages per second."""
        try:
            async with asyncio.timeout(patience):
                await self._complete.wait()
        except TimeoutError:
            print(f"  stopped after {patience:.0f} s with {len(self._times)} of {self._expected} messages")
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])


@contextmanager
def emulator_host(endpoint: str) -> Iterator[None]:
    """Point the official clients at a local server."""
    os.environ["PUBSUB_EMULATOR_HOST"] = endpoint
    try:
        yield
    finally:
        del os.environ["PUBSUB_EMULATOR_HOST"]


def fill(messages: int) -> str:
    """Publish messages to a new topic; return its subscription."""
    topic = f"projects/bench/topics/t-{uuid.uuid4().hex}"
    subscription = topic.replace("/topics/", "/subscriptions/")
    publisher = pubsub_v1.PublisherClient()
    publisher.create_topic(name=topic)
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.create_subscription(name=subscription, topic=topic)
    started = time.perf_counter()
    futures = [publisher.publish(topic, PAYLOAD) for _ in range(messages)]
    for future in futures:
        future.result(timeout=120)
    print(f"  published {messages / (time.perf_counter() - started):,.0f}/s")
    publisher.stop()
    publisher.transport.close()
    return subscription


def push_to(subscription: str, url: str) -> None:
    """Switch push delivery on, or off with an empty URL."""
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.modify_push_config(subscription=subscription, push_config={"push_endpoint": url})


async def receive(subscription: str, messages: int, patience: float) -> float:
    """Serve the endpoint, switch push on, and return messages per second."""
    counter = Counter(messages)
    application = web.Application()
    application.router.add_post("/", counter.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        await asyncio.to_thread(push_to, subscription, f"http://{host}:{port}/")
        rate = await counter.rate(patience)
        await asyncio.to_thread(push_to, subscription, "")
        return rate
    finally:
        await runner.cleanup()


def measure(kind: PubSubKind, messages: int, patience: float) -> float:
    """Return messages per second pushed by one kind of server."""
    print(kind)
    with TemporaryDirectory() as folder, local_pubsub(Path(folder), kind) as server, emulator_host(server.endpoint):
        rate = uvloop.run(receive(fill(messages), messages, patience))
    print(f"  pushed {rate:,.0f}/s")
    return rate


def main() -> None:
    """Measure the installed servers and print their ratio."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.pubsub_push", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--messages", type=int, default=20_000, help="messages to push (default: %(default)s)")
    parser.add_argument("--patience", type=float, default=60, help="longest run in seconds (default: %(default)s)")
    arguments = parser.parse_args()
    embedded = measure("embedded", arguments.messages, arguments.patience)
    if find_emulator() is None:
        print("Google's emulator is not installed here: nothing to compare with")
        return
    google = measure("google", arguments.messages, arguments.patience)
    print(f"embedded/google: {embedded / google:.1f}")


if __name__ == "__main__":
    main()

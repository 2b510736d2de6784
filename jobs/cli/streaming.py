"""The composition of a stream: its function and its source, from the options of `jobs.stream`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from shared.adapters.secret_manager import revealed, secret_versions
from shared.adapters.spark.feed import Wire
from shared.adapters.spark.session import session
from shared.adapters.spark.stream import StreamSource, run_stream
from shared.errors import Misconfigured
from shared.settings import Settings
from shared.wiring.common import MEMORY
from shared.wiring.label import label_function
from shared.wiring.outcome import outcome_function
from shared.wiring.score import score_function
from shared.wiring.workers import TOPIC_OF, properties, worker_settings

FUNCTIONS: dict[str, Wire] = {"score": score_function, "outcome": outcome_function, "label": label_function}
"""The composition roots of the functions that take messages."""


class StreamOrder(NamedTuple):
    """A function, the source of its messages, and a place for Spark's notes: the options of the job."""

    function: str
    checkpoint: str
    subscription: str
    kafka: Path | None
    """Properties of Kafka's client, None for Pub/Sub."""
    messages: int
    tasks: int | None
    seconds: int
    master: str | None


def stream(order: StreamOrder) -> None:
    """Run a stream until an exception ends it. Raises Misconfigured, Unavailable."""
    settings = worker_settings(order.function, revealed(os.environ, secret_versions))
    if settings.state.startswith(f"{MEMORY}://"):
        raise Misconfigured("the processes of a stream share history: PIX_STATE names no server but memory://")
    with session(order.master, f"use python -m functions.{order.function}.pull") as spark:
        source = _source(order, settings, order.tasks or spark.sparkContext.defaultParallelism)
        run_stream(spark, source, FUNCTIONS[order.function], settings, order.checkpoint)


def _source(order: StreamOrder, settings: Settings, tasks: int) -> StreamSource:
    if order.kafka:
        from shared.adapters.spark.kafka import KafkaStream

        return KafkaStream(properties(order.kafka), TOPIC_OF[order.function], order.messages)
    from shared.adapters.spark.pubsub import PubsubStream

    name = f"projects/{settings.project}/subscriptions/{order.subscription or order.function}"
    return PubsubStream(name, tasks, order.messages, order.seconds)

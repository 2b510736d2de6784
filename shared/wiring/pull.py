"""The composition root of a worker: a function's intake, fed by a subscription in place of HTTP."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop

from shared.adapters.pubsub.pull import Outstanding, PubsubSource
from shared.adapters.pubsub.wire import SubscriberService
from shared.errors import PixError
from shared.ports.messages import MessageSource
from shared.serving.intake import Intake
from shared.serving.memory import settle_memory
from shared.serving.worker import work
from shared.settings import Settings
from shared.telemetry import logs
from shared.wiring.common import batch_limits
from shared.wiring.workers import TOPIC_OF, properties, worker_settings

log = logging.getLogger(__name__)

MIB = 2**20
FAILED = 1


def pull(function: str, wire: Callable[[Settings], Intake[Any]], arguments: Sequence[str] | None = None) -> int:
    """Run the worker of a function until SIGTERM and return the exit status."""
    options = _parser(function).parse_args(arguments)
    logs.configure()
    try:
        settings = worker_settings(function, os.environ)
        uvloop.run(_run(wire, settings, options, TOPIC_OF[function]))
    except PixError as error:
        sys.stderr.write(f"{function}: {error}\n")
        return FAILED
    except Exception as error:
        log.critical("failed", exc_info=error)
        return FAILED
    return 0


async def _run(
    wire: Callable[[Settings], Intake[Any]], settings: Settings, options: argparse.Namespace, topic: str
) -> None:
    intake = wire(settings)
    settle_memory()
    source = _source(settings, options, topic)
    await work(intake, source, batch_limits(settings), settings.drain_seconds, options.health_port)


def _source(settings: Settings, options: argparse.Namespace, topic: str) -> MessageSource:
    if options.kafka:
        from shared.adapters.kafka.source import KafkaSource

        return KafkaSource(properties(options.kafka), options.subscription, topic)
    outstanding = Outstanding(options.messages, options.mib * MIB)
    service = SubscriberService.connect(settings.pubsub_emulator_host)
    name = f"projects/{settings.project}/subscriptions/{options.subscription}"
    return PubsubSource(service, name, outstanding)


def _parser(function: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m functions.{function}.pull",
        description=f"Pull the messages of {TOPIC_OF[function]} and do with each what the function {function} does"
        " with a push: no acknowledgement before its row. The environment has the settings of the function.",
    )
    add = parser.add_argument
    add("--subscription", default=function, metavar="NAME", help="pull subscription (default: %(default)s)")
    add(
        "--messages",
        type=int,
        default=Outstanding().messages,
        metavar="N",
        help="messages that may be sent ahead of their acknowledgement (default: %(default)s)",
    )
    add(
        "--mib",
        type=int,
        default=Outstanding().bytes // MIB,
        metavar="N",
        help="the same limit in MiB (default: %(default)s)",
    )
    add(
        "--kafka",
        type=Path,
        metavar="FILE",
        help="pull from a topic of Kafka of the same name, with the properties of librdkafka in FILE, such as"
        " bootstrap.servers=...; --subscription names the consumer group, and the dead letters' topic ends in -dead",
    )
    add(
        "--health-port",
        type=int,
        metavar="PORT",
        help="answer probes of HTTP there: 200, or 503 once it drains, and for /ready until it pulls (default: none)",
    )
    return parser

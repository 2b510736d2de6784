"""The composition root of a worker: a function's intake, fed by a subscription in place of HTTP."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import uvloop

from shared.adapters.pubsub.pull import Outstanding, PubsubSource
from shared.adapters.pubsub.wire import SubscriberService
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.errors import PixError
from shared.ports import MessageSource
from shared.serving.intake import Intake
from shared.serving.memory import settle_memory
from shared.serving.worker import work
from shared.settings import Settings
from shared.telemetry import logs
from shared.wiring.common import batch_limits

MIB = 2**20
FAILED = 1
_BATCHES = {"PIX_BATCH_MAX": "1024", "PIX_BATCH_ENOUGH": "512"}
"""Batches of push are bounded by the concurrency of an instance. Those of a backlog are not, and the larger a batch,
the less its fixed cost; below some 30,000 messages a second they start by the linger anyway."""
_TOPICS = {"score": TRANSACTIONS, "outcome": OUTCOMES, "label": FEEDBACK}


def pull(function: str, wire: Callable[[Settings], Intake[Any]], arguments: Sequence[str] | None = None) -> int:
    """Run the worker of a function until SIGTERM and return the exit status."""
    options = _parser(function).parse_args(arguments)
    logs.configure()
    try:
        settings = Settings.from_env({**_BATCHES, **os.environ})
        uvloop.run(_run(wire, settings, options))
    except PixError as error:
        sys.stderr.write(f"{function}: {error}\n")
        return FAILED
    return 0


async def _run(wire: Callable[[Settings], Intake[Any]], settings: Settings, options: argparse.Namespace) -> None:
    intake = wire(settings)
    settle_memory()
    source = _source(settings, options)
    await work(intake, source, batch_limits(settings), settings.drain_seconds, options.health_port)


def _source(settings: Settings, options: argparse.Namespace) -> MessageSource:
    outstanding = Outstanding(options.messages, options.mib * MIB)
    service = SubscriberService.connect(os.environ.get("PUBSUB_EMULATOR_HOST", ""))
    name = f"projects/{settings.project}/subscriptions/{options.subscription}"
    return PubsubSource(service, name, outstanding)


def _parser(function: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m functions.{function}.pull",
        description=f"Pull the messages of {_TOPICS[function]} and do with each what the function {function} does"
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
        "--health-port",
        type=int,
        metavar="PORT",
        help="answer probes of HTTP there: 200, or 503 once it drains (default: none)",
    )
    return parser

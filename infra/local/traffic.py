"""Publish the simulator's Pix into a running `make up` until Ctrl-C: `make traffic RATE=20`.

Each Pix happens now. All dates in it move by as much as its time, so that accounts and devices are as old as in the
simulation. A month of it passes in an hour, so reports follow within minutes. Outcomes and reports follow once their
Pix is decided, and fit the decision. Held Pix wait at the case desk, unless simulated reviewers judge them
(--reviewed).
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import os
import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
from google.api_core.retry import Retry
from google.cloud.pubsub_v1 import PublisherClient
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from infra.local import home as homes
from infra.local import query
from infra.local.aftermath.fitting import Message, TopicMessage
from infra.local.aftermath.held import Published
from infra.local.aftermath.publisher import AftermathPublisher, stored_decisions
from infra.local.command import add_home, run
from infra.local.query import NothingRuns, running
from infra.local.simulator import Simulation, SimulationConfig
from infra.local.simulator.clock import LOCAL_OFFSET_MS
from infra.local.simulator.config import BOTH_SIDES
from jobs.cli import interruption
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.settings import Settings

COMMAND = "make traffic"
DAYS, SECONDS = 30, 3_600
"""Length of a simulation in days, and its duration when it is published, in seconds."""
TRANSACTIONS_MIN, TRANSACTIONS_MAX = 1_000, 500_000
FRAUD_RATE = 0.01  # as in the demo: the true rate is 6 to 8 per 100,000
RATE_MAX = 1_000.0
TIMES = {TRANSACTIONS: "initiated_at", OUTCOMES: "at", FEEDBACK: "reported_at"}
"""The field with the time of a message, by topic."""
_RETRY_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_LOCAL = dt.timezone(dt.timedelta(milliseconds=LOCAL_OFFSET_MS))
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def main(arguments: list[str] | None = None) -> int:
    """Publish until interrupted; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    published: Counter[str] = Counter()
    return run(
        COMMAND,
        lambda: _publish(options, published, console),
        console,
        lambda: f"stopped; published {_counts(published)}",
    )


def _publish(options: argparse.Namespace, published: Counter[str], console: Console) -> int:
    """Publish at the pace of the options, without end. Raises NothingRuns, GoogleAPIError, TimeoutError."""
    process = running(options.home)
    os.environ.update(process.exports)
    publisher = _Publisher(process.exports["GOOGLE_CLOUD_PROJECT"], published)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    decisions = stored_decisions(query.client(), Settings.from_env(process.exports).dataset)
    frauds: dict[str, str] = {}
    with (
        AftermathPublisher(decisions, publisher.publish_now, frauds.get, desk=not options.reviewed) as aftermath,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task("simulating ...")
        looked = time.monotonic()
        for topic, message in _paced(stream(options.rate, options.seed, frauds), options.rate):
            if topic != TRANSACTIONS:
                aftermath.hold(TopicMessage(topic, message))
                continue
            aftermath.asked(Published.of(message))
            publisher.publish(topic, message)
            if time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                progress.update(task, description=f"published {_counts(published)}")
                _require(options.home, process.pid, published)
                aftermath.waiting()
    return 0


class _Publisher:
    """Publishes and counts messages."""

    def __init__(self, project: str, published: Counter[str]) -> None:
        self._project, self._published = project, published
        self._client = PublisherClient()
        self._pending: deque[Future[str]] = deque()

    def publish(self, topic: str, message: Message) -> None:
        """Publish a message without waiting. Raises GoogleAPIError, TimeoutError of an earlier one."""
        self._pending.append(self._send(topic, message))
        while self._pending and self._pending[0].done():
            self._pending.popleft().result()

    def publish_now(self, messages: Sequence[TopicMessage]) -> None:
        """Publish messages, and wait until they are; called by another thread."""
        for future in [self._send(topic, message) for topic, message in messages]:
            future.result(timeout=_RETRY_SECONDS)

    def _send(self, topic: str, message: Message) -> Future[str]:
        path = self._client.topic_path(self._project, topic)
        future: Future[str] = self._client.publish(
            path, msgspec.json.encode(message), retry=Retry(timeout=_RETRY_SECONDS)
        )
        self._published[topic] += 1
        return future


def _require(home: Path, pid: int, published: Counter[str]) -> None:
    found = homes.owner(home)
    if found is None or found.pid != pid:
        raise NothingRuns(f"`make up` has ended; published {_counts(published)}")


def stream(
    rate: float, seed: int, frauds: dict[str, str], now: Callable[[], dt.datetime] | None = None
) -> Iterator[tuple[str, Message]]:
    """Yield (topic, message) without end, each as of the moment when it is taken.

    The situation of each fraud is written to `frauds` before its Pix is yielded.
    """
    transactions = round(min(max(rate * SECONDS, TRANSACTIONS_MIN), TRANSACTIONS_MAX))
    for number in itertools.count(seed):
        end = dt.datetime.now(dt.UTC)
        config = SimulationConfig(
            end=end,
            transactions=transactions,
            days=DAYS,
            customers=transactions,
            seed=number,
            fraud_rate=FRAUD_RATE,
            both_sides=BOTH_SIDES,
            labels_until=end,
        )
        simulation = Simulation(config)

        def note(before: str, id_: str, situations: Mapping[str, str] = simulation.frauds) -> None:
            if before in situations:
                frauds[id_] = situations[before]

        yield from moved(simulation.lines(), now or (lambda: dt.datetime.now(dt.UTC)), note)


def moved(
    lines: Iterator[bytes], now: Callable[[], dt.datetime], note: Callable[[str, str], None] = lambda *_: None
) -> Iterator[tuple[str, Message]]:
    """Yield simulated lines as (topic, message) that happen now; other messages name the new ids of their Pix.

    `note` is told the simulated and the new id of each Pix.
    A Pix keeps its id and time where the other side asks about it. Messages about earlier Pix are left out.
    """
    moments: dict[str, dt.datetime] = {}
    ids: dict[str, str] = {}
    for line in lines:
        event = msgspec.json.decode(line)
        topic, message = event["topic"], event["data"]
        field = TIMES[topic]
        before = message.get("end_to_end_id") or message.get("root_end_to_end_id")
        if topic == TRANSACTIONS:
            at = moments[before] = moments.get(before) or now()
            ids[before] = f"{before[:9]}{at:%Y%m%d%H%M}{before[21:]}"
            note(before, ids[before])
        elif before is None or before in ids:
            at = now()
        else:
            continue
        yield topic, _moved(message, dt.datetime.fromisoformat(message[field]), at, ids)


def _moved(value: Any, before: dt.datetime, now: dt.datetime, ids: Mapping[str, str]) -> Any:
    """Return a message, or a value in it, with all its dates as far from `now` as they were from `before`."""
    if isinstance(value, dict):
        return {name: _moved(each, before, now, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, before, now, ids) for each in value]
    if not isinstance(value, str):
        return value
    if _INSTANT.fullmatch(value):
        return _instant(dt.datetime.fromisoformat(value) + (now - before))
    if _DATE.fullmatch(value):
        days = now.astimezone(_LOCAL).date() - before.astimezone(_LOCAL).date()
        return (dt.date.fromisoformat(value) + days).isoformat()
    return ids.get(value, value)


def _paced(messages: Iterator[tuple[str, Message]], per_second: float) -> Iterator[tuple[str, Message]]:
    """Yield messages so that transactions have this pace; the others come between them."""
    started, transactions = time.monotonic(), 0
    while True:
        time.sleep(max(0.0, started + transactions / per_second - time.monotonic()))
        topic, message = next(messages)
        transactions += topic == TRANSACTIONS
        yield topic, message


def _counts(published: Counter[str]) -> str:
    return f"{published[TRANSACTIONS]:,} Pix, {published[OUTCOMES]:,} outcomes and {published[FEEDBACK]:,} reports"


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= RATE_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to {RATE_MAX:,.0f}")
    return rate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.traffic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=_rate, default=20.0, metavar="N", help="Pix a second (default: %(default)g)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**31), metavar="S", help="seed of the simulator (default: any)"
    )
    parser.add_argument(
        "--reviewed", action="store_true", help="let simulated reviewers judge held Pix, which else wait at the desk"
    )
    add_home(parser)
    return parser


if __name__ == "__main__":
    interruption.leave(main())

"""Publish the simulator's Pix into a running `make up` until Ctrl-C: `make traffic RATE=20`.

Each Pix happens now. All dates in it move by as much as its time, so that accounts and devices are as old as in the
simulation. A month of it passes in an hour, so reports follow within minutes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import os
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
from google.api_core.retry import Retry
from google.cloud.pubsub_v1 import PublisherClient
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from infra.local import home as homes
from infra.local.command import add_home, run
from infra.local.query import NothingRuns, running
from infra.local.simulator import SimulationConfig, simulate
from infra.local.simulator.clock import LOCAL_OFFSET_MS
from jobs.cli import interruption
from shared.contract.topics import FEEDBACK, TRANSACTIONS

COMMAND = "make traffic"
DAYS, SECONDS = 30, 3_600
"""Length of a simulation in days, and its duration when it is published, in seconds."""
TRANSACTIONS_MIN, TRANSACTIONS_MAX = 1_000, 500_000
FRAUD_RATE = 0.01  # as in the demo: the true rate is 6 to 8 per 100,000
RATE_MAX = 1_000.0
_RETRY_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_LOCAL = dt.timezone(dt.timedelta(milliseconds=LOCAL_OFFSET_MS))

Message = dict[str, Any]


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
    client = PublisherClient()
    project = process.exports["GOOGLE_CLOUD_PROJECT"]
    pending: deque[Future[str]] = deque()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("simulating ...")
        looked = time.monotonic()
        for topic, message in _paced(stream(options.rate, options.seed), options.rate):
            data = msgspec.json.encode(message)
            pending.append(
                client.publish(client.topic_path(project, topic), data, retry=Retry(timeout=_RETRY_SECONDS))
            )
            published[topic] += 1
            while pending and pending[0].done():
                pending.popleft().result()
            if time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                progress.update(task, description=f"published {_counts(published)}")
                _require(options.home, process.pid, published)
    return 0


def _require(home: Path, pid: int, published: Counter[str]) -> None:
    found = homes.owner(home)
    if found is None or found.pid != pid:
        raise NothingRuns(f"`make up` has ended; published {_counts(published)}")


def stream(rate: float, seed: int, now: Callable[[], dt.datetime] | None = None) -> Iterator[tuple[str, Message]]:
    """Yield (topic, message) without end, each as of the moment when it is taken."""
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
            labels_until=end,
        )
        yield from moved(simulate(config), now or (lambda: dt.datetime.now(dt.UTC)))


def moved(lines: Iterator[bytes], now: Callable[[], dt.datetime]) -> Iterator[tuple[str, Message]]:
    """Yield simulated lines as (topic, message) that happen now; reports name the new ids of their Pix."""
    ids: dict[str, str] = {}
    for line in lines:
        event = msgspec.json.decode(line)
        message: Message = event["data"]
        if event["topic"] == TRANSACTIONS:
            before = message["end_to_end_id"]
            yield TRANSACTIONS, _moved(message, now())
            ids[before] = message["end_to_end_id"]
        elif message["end_to_end_id"] in ids:
            message |= {"end_to_end_id": ids[message["end_to_end_id"]], "reported_at": _instant(now())}
            yield FEEDBACK, message


def _moved(message: Message, now: dt.datetime) -> Message:
    """Change a transaction in place: it happens `now`, and its other dates keep their distance."""
    at = dt.datetime.fromisoformat(message["initiated_at"])
    by, days = now - at, now.astimezone(_LOCAL).date() - at.astimezone(_LOCAL).date()
    id_ = message["end_to_end_id"]
    message |= {"initiated_at": _instant(now), "end_to_end_id": f"{id_[:9]}{now:%Y%m%d%H%M}{id_[21:]}"}
    for holder, field in (("payer", "opened_at"), ("payee", "opened_at"), ("payee", "key_owned_since")):
        if field in message[holder]:
            message[holder][field] = (dt.date.fromisoformat(message[holder][field]) + days).isoformat()
    for holder, field in (("device", "registered_at"), ("payee_statistics", "watermark")):
        if message.get(holder, {}).get(field):
            message[holder][field] = _instant(dt.datetime.fromisoformat(message[holder][field]) + by)
    return message


def _paced(messages: Iterator[tuple[str, Message]], per_second: float) -> Iterator[tuple[str, Message]]:
    """Yield messages so that transactions have this pace; reports come between them."""
    started, transactions = time.monotonic(), 0
    while True:
        time.sleep(max(0.0, started + transactions / per_second - time.monotonic()))
        topic, message = next(messages)
        transactions += topic == TRANSACTIONS
        yield topic, message


def _counts(published: Counter[str]) -> str:
    return f"{published[TRANSACTIONS]:,} Pix and {published[FEEDBACK]:,} reports"


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
    add_home(parser)
    return parser


if __name__ == "__main__":
    interruption.leave(main())

"""One run: publish while faults are injected, wait for the rows, and check the outcome."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import chain, pairwise, repeat
from pathlib import Path

from google.cloud.pubsub_v1 import PublisherClient

from infra.local.cloud import LocalCloud
from infra.local.loopback import free_port
from shared.settings import PUBLISHED, Settings
from tests.benchmarks.faults.instances import Instances
from tests.benchmarks.faults.models import broken, bundles
from tests.benchmarks.faults.on_call import Log
from tests.benchmarks.faults.queries import Deadline, Findings, Queries, Run
from tests.benchmarks.faults.relay import Relay
from tests.benchmarks.faults.scale import Scale
from tests.benchmarks.faults.script import Script, Site, Step
from tests.benchmarks.faults.stream import Message, Stream, stream
from tests.benchmarks.faults.watch import Watch

BATCH_MAX, SLOW_BATCH_MAX = 200, 10
"""Most messages published together, usually and while a fault is due; at most 1/100 and 1/400 of the stream."""
AHEAD = 4_000
"""Transactions that may be published but not yet stored."""
SECONDS = 30.0
"""While a fault lasts, the messages that are left until the next one are published at a pace that would take as long.

The pace falls with their number, so messages remain for each fault, however slow the machine is.
"""
TRICKLE = 3.0
"""Longest pause in seconds: a model is looked for only where there is traffic."""
PATIENCE = 400.0
_END = Step(math.inf, lambda: None)


def run(transactions: int, seed: int, scale: Scale, home: Path, log: Log) -> Findings:
    """Run the faults and return the findings. Raises FaultFailed, LocalCloudError."""
    log(f"preparing {transactions:,} transactions and {scale.swaps + 1} models")
    sent = stream(transactions, seed)
    good = bundles(sent.messages, scale.swaps + 1)
    bad = broken(good["v01"])
    log(
        f"{len(sent.messages):,} messages: {sent.duplicates:,} Pix twice, {sent.late:,} late, "
        f"{len(sent.asked) - transactions:,} asked by both sides, {len(sent.malformed):,} malformed"
    )
    deadline = Deadline.at(sent.middle, scale.clocks_apart)
    with _cloud(home, deadline, log) as cloud, Instances(cloud, scale.clocks_apart) as instances:
        port = free_port()
        queries = Queries(cloud)
        watch = Watch(queries.shown)
        with Relay(cloud.settings.bigquery_storage_emulator_host, port) as relay:
            script = Script(Site(cloud, instances, relay), good, bad, sent.refused, scale, log, watch.look)
            script.begin()
            instances.subscribe(scale.attempts)
            cloud.start_functions(bigquery_storage_emulator_host=f"127.0.0.1:{port}")
            instances.start()
            with watch:
                PacedPublisher(cloud.settings.project, sent, queries, log).beside(script)
                _drain(queries, sent, script, scale.quiet, log)
                script.on_call.mend()
            log("querying BigQuery, and replaying")
            watch.look()
            return queries.findings(Run(sent, script.report, watch, deadline, good, len(bad)))


def _cloud(home: Path, deadline: Deadline, log: Log) -> LocalCloud:
    return LocalCloud(
        home,
        pubsub="embedded",
        on_step=lambda step: log(f"starting {step}"),
        pointer_ttl_seconds=0.5,
        deadline_seconds=deadline.seconds,
        state_call_seconds=Settings("").state_call_seconds,
        maturity_days=2.0,
        outcomes=PUBLISHED,
        late_outcome_seconds=0,
    )


class PacedPublisher:
    """Publishes the stream in a thread, at most AHEAD of the stored rows, and slowly while a fault is due."""

    def __init__(self, project: str, sent: Stream, queries: Queries, log: Log) -> None:
        self._project = project
        self._messages = sent.messages
        self._live = sent.live
        self._queries = queries
        self._log = log
        self._wanted = _rows_wanted(sent.messages)
        self._batch = min(BATCH_MAX, len(sent.messages) // 100)
        self._slow_batch = min(SLOW_BATCH_MAX, len(sent.messages) // 400)
        self._published = 0
        self._due = self._next = 0.0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def beside(self, script: Script) -> None:
        """Publish all messages and inject each fault when it is due. Raises the errors of both."""
        self._thread.start()
        try:
            for step, following in pairwise([*script.steps(), _END]):
                self._due, self._next = step.share, min(following.share, 1.0)
                while self._share() < step.share and self._published < len(self._messages) and not self._error:
                    time.sleep(0.05)
                if self._error:
                    break
                step.run()
        finally:
            self._due = math.inf
            self._thread.join()
        if self._error:
            raise self._error

    def _share(self) -> float:
        """Return the published share of the Pix, which times the faults; reports after the last Pix do not count."""
        return self._published / self._live

    def _run(self) -> None:
        client = PublisherClient()
        try:
            while self._published < len(self._messages):
                count = self._room()
                self._publish(client, self._messages[self._published : self._published + count])
        except BaseException as error:  # noqa: BLE001 (raised again by the waiting thread)
            self._error = error
        finally:
            client.stop()

    def _publish(self, client: PublisherClient, messages: list[Message]) -> None:
        sent: list[Future[str]] = [
            client.publish(client.topic_path(self._project, message.topic), message.data) for message in messages
        ]
        for future in sent:
            future.result(timeout=120)
        before = int(10 * self._share())
        self._published += len(messages)
        if before != int(10 * self._share()):
            self._log(f"{100 * self._share():.0f} % of the Pix published")

    def _room(self) -> int:
        """Wait for room and return the number of messages to publish; few while a fault is due."""
        wanted = self._wanted[self._published]
        while wanted > AHEAD and wanted - sum(self._queries.progress()) > AHEAD:
            time.sleep(0.5)
        came = time.monotonic()
        while self._share() > self._due:
            left = max(1, round(self._next * self._live) - self._published)
            count = min(self._slow_batch, left)
            if time.monotonic() >= came + min(count / left * SECONDS, TRICKLE):
                return count
            time.sleep(0.05)
        return self._batch


def _rows_wanted(messages: list[Message]) -> list[int]:
    """Return the number of rows expected after the first n messages, for each n; duplicates count once."""
    seen: set[Message] = set()
    wanted = [0]
    for message in messages:
        seen.add(message)
        wanted.append(len(seen))
    return wanted


def _drain(queries: Queries, sent: Stream, script: Script, quiet: float, log: Log) -> None:
    """Wait until every message has its row; redrive dead letters after `quiet` seconds without a new row.

    The first time, a day later. Gives up after PATIENCE seconds without a new row. Raises FaultFailed.
    """
    wanted = (len(sent.asked), sent.outcomes, sent.reports, len(sent.malformed))
    redrives: Iterator[Callable[[], object]] = chain([script.redrive_a_day_later], repeat(script.on_call.redrive))
    seen, came, changed = (0, 0, 0, 0), time.monotonic(), time.monotonic()
    while (found := queries.progress()) != wanted:
        if found != seen:
            seen, came, changed = found, time.monotonic(), time.monotonic()
        if time.monotonic() > came + PATIENCE:
            log("gave up waiting for missing rows")
            return
        if time.monotonic() > changed + quiet:
            log(
                f"no new row for {quiet:g} s: {found} of {wanted} questions, outcomes, reports and malformed messages"
            )
            next(redrives)()
            changed = time.monotonic()
        time.sleep(0.5)
    log("every message has its row")
